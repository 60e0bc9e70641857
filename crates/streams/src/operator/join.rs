//! A stream looks rows up in a table (`KStreamKTableJoin`). The table's updates trigger nothing.
//! Invariant: the row seen is the table's at processing time, which the task keeps close to the record's time.

use crate::format::FormatOf;
use crate::task::{Context, Outputs, Receive, Rows};
use crate::{Record, Result};
use std::rc::Rc;

/// `apply(key, value, row)` answers the joined value; `None` is a tombstone.
pub(crate) struct TableJoin<K, V, R, O, F> {
    pub(crate) key: FormatOf<K>,
    pub(crate) rows: Rc<dyn Rows<K, R>>,
    pub(crate) apply: F,
    /// A left join sends records without a row, and records with a null key.
    pub(crate) left: bool,
    pub(crate) outputs: Outputs<K, O>,
    pub(crate) types: std::marker::PhantomData<fn(V)>,
}

impl<K, V, R, O, F> Receive<K, V> for TableJoin<K, V, R, O, F>
where
    K: Clone,
    O: Clone,
    F: Fn(&K, &V, Option<&R>) -> Option<O>,
{
    fn receive(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let Some(value) = &record.value else {
            ctx.drop_record();
            return Ok(());
        };
        let mut row = None;
        if !self.key.is_null(&record.key) {
            row = if self.rows.is_versioned() {
                self.rows.get_as_of(ctx, &record.key, record.timestamp)?
            } else {
                self.rows.get(ctx, &record.key)?
            };
        } else if !self.left {
            ctx.drop_record();
            return Ok(());
        }
        if row.is_none() && !self.left {
            return Ok(());
        }
        let joined = (self.apply)(&record.key, value, row.as_ref().map(|row| &row.value));
        self.outputs.send(ctx, record.with_value(joined))
    }
}
