//! A stream looks rows up in a global table, under a key made of the record (`KStreamGlobalKTableJoin`).
//! Invariant: nothing is co-partitioned and nothing waits: the row seen is the one the worker's copy holds.

use crate::format::FormatOf;
use crate::task::{Context, Outputs, ReceiveRecord, Rows};
use crate::{Record, Result};
use std::{marker::PhantomData, rc::Rc};

/// `select(key, value)` answers the global table's key; `apply(key, value, row)` the joined value, `None` for a tombstone.
pub(crate) struct GlobalJoin<K, V, G, R, O, S, F> {
    pub(crate) global_key: FormatOf<G>,
    pub(crate) rows: Rc<dyn Rows<G, R>>,
    pub(crate) select: S,
    pub(crate) apply: F,
    /// A left join sends records without a row, and records whose global key is null.
    pub(crate) left: bool,
    pub(crate) outputs: Outputs<K, O>,
    pub(crate) types: PhantomData<fn(V)>,
}

impl<K, V, G, R, O, S, F> ReceiveRecord<K, V> for GlobalJoin<K, V, G, R, O, S, F>
where
    K: Clone,
    O: Clone,
    S: Fn(&K, &V) -> G,
    F: Fn(&K, &V, Option<&R>) -> Option<O>,
{
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let Some(value) = &record.value else {
            ctx.drop_record();
            return Ok(());
        };
        let global_key = (self.select)(&record.key, value);
        let mut row = None;
        if !self.global_key.is_null(&global_key) {
            row = self.rows.get(ctx, &global_key)?;
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
