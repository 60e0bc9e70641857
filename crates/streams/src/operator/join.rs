//! A stream looks rows up in a table (`KStreamKTableJoin`). The table's updates trigger nothing.
//! Rows it reads are not kept in the record cache, other than in Kafka Streams: that would let a join evict, and so send on,
//! the table's updates from inside an operator that may lie below the table.
//! Invariant: the row seen is the table's at processing time, which the task keeps close to the record's time.

use super::encode_key;
use super::materialized::decode_row;
use crate::format::FormatOf;
use crate::task::{Context, Outputs, Receive};
use crate::{Record, Result};
use std::sync::Arc;

/// `apply(key, value, row)` answers the joined value; `None` sends nothing.
pub(crate) struct TableJoin<K, V, R, O, F> {
    pub(crate) store: usize,
    pub(crate) topic: Arc<str>,
    pub(crate) key: FormatOf<K>,
    pub(crate) row: FormatOf<R>,
    pub(crate) apply: F,
    /// A left join sends records without a row, and records with a null key.
    pub(crate) left: bool,
    pub(crate) outputs: Outputs<K, O>,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) local: Vec<u8>,
    pub(crate) types: std::marker::PhantomData<fn(V)>,
}

impl<K, V, R, O, F> Receive<K, V> for TableJoin<K, V, R, O, F>
where
    K: Clone,
    O: Clone,
    F: Fn(&V, Option<&R>) -> O,
{
    fn receive(&mut self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let Some(value) = &record.value else {
            ctx.drop_record();
            return Ok(());
        };
        let mut row = None;
        if encode_key(&self.key, &self.topic, &record.key, &mut self.key_bytes)? {
            if ctx.get(self.store, &self.key_bytes, &mut self.local)? {
                row = Some(decode_row(&self.row, &self.topic, &self.local)?.0);
            }
        } else if !self.left {
            ctx.drop_record();
            return Ok(());
        }
        if row.is_none() && !self.left {
            return Ok(());
        }
        let joined = (self.apply)(value, row.as_ref());
        self.outputs.send(ctx, record.with_value(Some(joined)))
    }
}
