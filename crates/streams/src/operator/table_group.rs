//! A table grouped by another key, and its aggregates (`KTableRepartitionMap`, `KTableAggregate`, `KTableReduce`).
//! Not streams grouped by key. Invariant: what an update takes back reaches the aggregate before what it adds.

use super::encode_key;
use super::materialized::{Cause, Kept};
use crate::format::FormatOf;
use crate::task::{Context, Outputs, ReceiveRecord};
use crate::{Change, Record, Result};
use std::marker::PhantomData;

/// `apply(key, row)` answers the key and value of a row's group; a row without either belongs to none.
pub(crate) struct TableGroup<K, V, K2, V2, F> {
    pub(crate) apply: F,
    /// Tells keys that are null.
    pub(crate) key: FormatOf<K2>,
    /// The parent keeps versions: updates of what was are passed over.
    pub(crate) reads_versions: bool,
    pub(crate) outputs: Outputs<K2, Change<V2>>,
    pub(crate) types: PhantomData<fn(K, V)>,
}

impl<K, V, K2, V2, F> TableGroup<K, V, K2, V2, F>
where
    F: Fn(&K, V) -> (K2, Option<V2>),
{
    fn pair(&self, key: &K, row: Option<V>) -> Option<(K2, V2)> {
        let (key, value) = (self.apply)(key, row?);
        Some((key, value?)).filter(|(key, _)| !self.key.is_null(key))
    }
}

impl<K, V, K2, V2, F> ReceiveRecord<K, Change<V>> for TableGroup<K, V, K2, V2, F>
where
    K2: Clone + PartialEq,
    V2: Clone,
    F: Fn(&K, V) -> (K2, Option<V2>),
{
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, Change<V>>) -> Result<()> {
        let Record {
            key,
            value: Some(change),
            timestamp,
            headers,
            position,
        } = record
        else {
            return Ok(());
        };
        if self.reads_versions && !change.is_latest {
            return Ok(());
        }
        let new = self.pair(&key, change.new);
        let old = self.pair(&key, change.old);
        let mut send = |key: K2, new: Option<V2>, old: Option<V2>| {
            let record = Record {
                key,
                value: Some(Change::latest(new, old)),
                timestamp,
                headers: headers.clone(),
                position,
            };
            self.outputs.send(ctx, record)
        };
        match (new, old) {
            (Some((key, new)), Some((old_key, old))) if key == old_key => {
                send(key, Some(new), Some(old))
            }
            (new, old) => {
                if let Some((key, old)) = old {
                    send(key, None, Some(old))?;
                }
                match new {
                    Some((key, new)) => send(key, Some(new), None),
                    None => Ok(()),
                }
            }
        }
    }
}

/// `add(key, value, row)` and `subtract(key, value, row)` answer the group's row with and without a value; `add` is given no row
/// for the first value.
pub(crate) struct TableAggregate<K, V, A, F, G> {
    pub(crate) kept: Kept<K, A>,
    pub(crate) add: F,
    pub(crate) subtract: G,
    pub(crate) types: PhantomData<fn(V)>,
}

impl<K, V, A, F, G> ReceiveRecord<K, Change<V>> for TableAggregate<K, V, A, F, G>
where
    K: Clone + 'static,
    A: Clone + 'static,
    F: Fn(&K, V, Option<A>) -> Option<A>,
    G: Fn(&K, V, A) -> Option<A>,
{
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        mut record: Record<K, Change<V>>,
    ) -> Result<()> {
        let Some(change) = record.value.take() else {
            ctx.drop_record();
            return Ok(());
        };
        let Kept {
            key: format,
            rows,
            key_bytes,
        } = &self.kept;
        let mut bytes = key_bytes.take();
        if !encode_key(format, rows.topic(), &record.key, &mut bytes)? {
            ctx.drop_record();
            return Ok(());
        }
        let (mut row, stored) = rows.get(ctx, &bytes)?.unzip();
        let kept = rows.kept(&row);
        let mut timestamp = record.timestamp;
        let had_row = row.is_some();
        if let (Some(value), true) = (change.old, had_row) {
            row = row.and_then(|row| (self.subtract)(&record.key, value, row));
            timestamp = timestamp.max(stored.unwrap_or(timestamp));
        }
        if let Some(value) = change.new {
            row = (self.add)(&record.key, value, row);
            timestamp = timestamp.max(stored.unwrap_or(timestamp));
        }
        let cause = Cause {
            timestamp,
            ..Cause::at(record.timestamp, &record.headers, record.position)
        };
        rows.put(ctx, &bytes, || record.key, row, kept, cause)?;
        key_bytes.give(bytes);
        Ok(())
    }
}
