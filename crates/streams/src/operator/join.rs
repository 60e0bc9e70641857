//! A stream looks rows up in a table (`KStreamKTableJoin`). The table's updates trigger nothing.
//! Invariant: the row seen is the table's at processing time, which the task keeps close to the record's time; of a table that
//! keeps versions it is the one that held at the record's time.

use crate::dsl::Joiner;
use crate::format::FormatOf;
use crate::task::{Context, Meta, Outputs, Receive, Rows, Step};
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
    pub(crate) fn takes(&self, key: &K, value: Option<&V>) -> bool {
        value.is_some() && (self.left || !self.key.is_null(key))
    }

    /// Joins a record that [`TableJoin::takes`] with the row of its key.
    #[inline]
    pub(crate) fn answer(
        &self,
        ctx: &mut Context<'_>,
        key: K,
        value: Option<V>,
        meta: &mut Meta,
    ) -> Step {
        let Some(value) = value else {
            return Ok(());
        };
        let mut row = None;
        if !self.key.is_null(&key) {
            row = if self.rows.is_versioned() {
                self.rows.get_as_of(ctx, &key, meta.timestamp)?
            } else {
                self.rows.get(ctx, &key)?
            };
        }
        if row.is_none() && !self.left {
            return Ok(());
        }
        let joined = (self.apply)(&key, &value, row.as_ref().map(|row| &row.value));
        self.outputs.pass(ctx, key, joined, meta)
    }
}

impl<K, V, R, O> Receive<K, V> for TableJoin<K, V, R, O>
where
    K: Clone,
    O: Clone,
{
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        if !self.takes(&key, value.as_ref()) {
            ctx.drop_record();
            return Ok(());
        }
        self.answer(ctx, key, value, meta)
    }
}
