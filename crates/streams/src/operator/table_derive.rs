//! Tables computed row by row from another table (`KTableFilter`, `KTableMapValues`, `KTableTransformValues`).
//! Not joins. Invariant: without a store of its own, a row read is what the operator makes of its parent's present row.

use super::encode_key;
use super::materialized::{Cause, Kept};
use crate::task::{Context, Outputs, ReceiveRecord, Row, Rows};
use crate::{Change, Record, Result};
use std::marker::PhantomData;
use std::rc::Rc;

/// `apply(ctx, key, row, timestamp)` answers the row made of a parent's row, `None` where there is none.
pub(crate) struct TableDerive<K, V, V2, F> {
    pub(crate) apply: F,
    /// The rows, where the operator keeps them.
    pub(crate) kept: Option<Kept<K, V2>>,
    pub(crate) sends_old: bool,
    /// Passes over updates without a row before and after them, where it knows both.
    pub(crate) filters: bool,
    /// The parent keeps versions: an update without rows tells of a version that is gone.
    pub(crate) reads_versions: bool,
    pub(crate) outputs: Outputs<K, Change<V2>>,
    pub(crate) types: PhantomData<fn(V)>,
}

impl<K, V, V2, F> TableDerive<K, V, V2, F> {
    fn passes_over(&self, new: &Option<V2>, old: &Option<V2>) -> bool {
        self.filters && self.sends_old && !self.reads_versions && new.is_none() && old.is_none()
    }
}

impl<K, V, V2, F> ReceiveRecord<K, Change<V>> for TableDerive<K, V, V2, F>
where
    K: Clone + 'static,
    V2: Clone + 'static,
    F: Fn(&mut Context<'_>, &K, Option<V>, i64) -> Result<Option<V2>>,
{
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        mut record: Record<K, Change<V>>,
    ) -> Result<()> {
        let Some(change) = record.value.take() else {
            return Ok(());
        };
        let timestamp = record.timestamp;
        let new = (self.apply)(ctx, &record.key, change.new, timestamp)?;
        let Some(kept) = &self.kept else {
            let mut old = None;
            if self.sends_old {
                old = (self.apply)(ctx, &record.key, change.old, timestamp)?;
            }
            if self.passes_over(&new, &old) {
                return Ok(());
            }
            let is_latest = change.is_latest;
            let change = Change {
                new,
                old,
                is_latest,
            };
            return self.outputs.send(ctx, record.with_value(Some(change)));
        };
        let mut key_bytes = kept.key_bytes.take();
        if !encode_key(&kept.key, kept.rows.topic(), &record.key, &mut key_bytes)? {
            ctx.drop_record();
            return Ok(());
        }
        let mut old = None;
        if self.sends_old && (self.filters || kept.rows.reads_old()) {
            old = kept.rows.get(ctx, &key_bytes)?.map(|(row, _)| row);
        }
        if !self.passes_over(&new, &old) {
            let cause = Cause::at(timestamp, &record.headers, record.position);
            kept.rows
                .put(ctx, &key_bytes, || record.key, new, old, cause)?;
        }
        kept.key_bytes.give(key_bytes);
        Ok(())
    }
}

/// The rows of such a table without a store.
pub(crate) struct DerivedRows<K, V, V2, F> {
    pub(crate) parent: Rc<dyn Rows<K, V>>,
    pub(crate) apply: F,
    pub(crate) types: PhantomData<fn() -> V2>,
}

/// The time of a row that is not there (`ConsumerRecord.NO_TIMESTAMP`).
const NO_TIME: i64 = -1;

impl<K, V, V2, F> DerivedRows<K, V, V2, F>
where
    F: Fn(&mut Context<'_>, &K, Option<V>, i64) -> Result<Option<V2>>,
{
    fn of(
        &self,
        ctx: &mut Context<'_>,
        key: &K,
        parent: Option<Row<V>>,
    ) -> Result<Option<Row<V2>>> {
        let timestamp = parent.as_ref().map_or(NO_TIME, |row| row.timestamp);
        let value = (self.apply)(ctx, key, parent.map(|row| row.value), timestamp)?;
        Ok(value.map(|value| Row { value, timestamp }))
    }
}

impl<K, V, V2, F> Rows<K, V2> for DerivedRows<K, V, V2, F>
where
    F: Fn(&mut Context<'_>, &K, Option<V>, i64) -> Result<Option<V2>>,
{
    fn get(&self, ctx: &mut Context<'_>, key: &K) -> Result<Option<Row<V2>>> {
        let parent = self.parent.get(ctx, key)?;
        self.of(ctx, key, parent)
    }

    fn get_as_of(&self, ctx: &mut Context<'_>, key: &K, time: i64) -> Result<Option<Row<V2>>> {
        let parent = self.parent.get_as_of(ctx, key, time)?;
        self.of(ctx, key, parent)
    }

    fn is_versioned(&self) -> bool {
        self.parent.is_versioned()
    }
}
