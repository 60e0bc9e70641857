//! A stream looks rows up in a table (`KStreamKTableJoin`). The table's updates trigger nothing.
//! Invariant: the row seen is the table's at processing time, which the task keeps close to the record's time; of a table that
//! keeps versions it is the one that held at the record's time.

use crate::dsl::Joiner;
use crate::format::FormatOf;
use crate::task::{Context, Outputs, Receive, Rows};
use crate::{Record, Result};
use std::rc::Rc;

/// `apply(key, value, row)` answers the joined value; `None` is a tombstone.
pub(crate) struct TableJoin<K, V, R, O> {
    pub(crate) key: FormatOf<K>,
    pub(crate) rows: Rc<dyn Rows<K, R>>,
    pub(crate) apply: Joiner<K, V, R, O>,
    /// A left join sends records without a row, and records with a null key.
    pub(crate) left: bool,
    pub(crate) outputs: Outputs<K, O>,
}

impl<K, V, R, O> TableJoin<K, V, R, O>
where
    K: Clone,
    O: Clone,
{
    /// False for a record that can have no answer: without a value, or in an inner join without a key.
    #[inline]
    pub(crate) fn takes(&self, record: &Record<K, V>) -> bool {
        record.value.is_some() && (self.left || !self.key.is_null(&record.key))
    }

    /// Joins a record that [`TableJoin::takes`] with the row of its key.
    pub(crate) fn answer(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let Some(value) = &record.value else {
            return Ok(());
        };
        let mut row = None;
        if !self.key.is_null(&record.key) {
            row = if self.rows.is_versioned() {
                self.rows.get_as_of(ctx, &record.key, record.timestamp)?
            } else {
                self.rows.get(ctx, &record.key)?
            };
        }
        if row.is_none() && !self.left {
            return Ok(());
        }
        let joined = (self.apply)(&record.key, value, row.as_ref().map(|row| &row.value));
        self.outputs.send(ctx, record.with_value(joined))
    }
}

impl<K, V, R, O> Receive<K, V> for TableJoin<K, V, R, O>
where
    K: Clone,
    O: Clone,
{
    fn receive(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        if !self.takes(&record) {
            ctx.drop_record();
            return Ok(());
        }
        self.answer(ctx, record)
    }
}
