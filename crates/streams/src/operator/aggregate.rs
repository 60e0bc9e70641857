//! Aggregation by key (`KStreamAggregate`, `KStreamReduce`) and tables read from a topic (`KTableSource`).
//! Not windowed. Invariant: an aggregate's timestamp never goes back; a table's row is the last by offset, not by time.

use super::encode_key;
use super::fold::Fold;
use super::materialized::{Cause, Materialized};
use crate::format::{Codec, FormatOf};
use crate::task::{Context, Meta, Outputs, Receive, ReceiveRecord, Scratch, Step};
use crate::{Change, Record, Result};
use std::sync::Arc;

pub(crate) struct Aggregate<K, V, A, F> {
    pub(crate) key: Codec<K>,
    pub(crate) rows: Materialized<K, A>,
    pub(crate) fold: Arc<F>,
    pub(crate) key_bytes: Scratch,
    pub(crate) types: std::marker::PhantomData<fn(V)>,
}

impl<K, V, A, F> Receive<K, V> for Aggregate<K, V, A, F>
where
    K: Clone + 'static,
    A: Clone + 'static,
    F: Fold<K, V, A>,
{
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        if value.is_none() {
            ctx.drop_record();
            return Ok(());
        }
        let mut key_bytes = self.key_bytes.take();
        if !encode_key(&self.key, self.rows.topic(), &key, &mut key_bytes)? {
            self.key_bytes.give(key_bytes);
            ctx.drop_record();
            return Ok(());
        }
        let (row, kept, timestamp) = match self.rows.get(ctx, &key_bytes)? {
            Some((row, stored)) if self.rows.is_live(ctx, stored) => {
                let row = Some(row);
                let kept = self.rows.kept(&row);
                (row, kept, meta.timestamp.max(stored))
            }
            expired => {
                if let Some(row) = expired {
                    self.rows.expire(ctx, &key_bytes, key.clone(), row)?;
                }
                let row = self.fold.initial();
                let kept = self.rows.kept_initial(&row);
                (row, kept, meta.timestamp)
            }
        };
        let new = self.fold.add(&key, value, row);
        let cause = Cause {
            timestamp,
            record_timestamp: meta.timestamp,
            headers: &meta.headers,
            position: meta.position,
        };
        let _present = self.rows.put(ctx, &key_bytes, || key, new, kept, cause)?;
        self.key_bytes.give(key_bytes);
        Ok(())
    }
}

/// Rows of a topic: each record replaces the row of its key, a tombstone deletes it. Without a store it only sends them on.
pub(crate) struct TableSource<K, V> {
    pub(crate) key: Codec<K>,
    /// Known where there is a store; tells which values stand for null.
    pub(crate) value: Option<FormatOf<V>>,
    pub(crate) rows: Option<Materialized<K, V>>,
    pub(crate) outputs: Outputs<K, Change<V>>,
    pub(crate) key_bytes: Scratch,
}

impl<K: Clone + 'static, V: Clone + 'static> ReceiveRecord<K, V> for TableSource<K, V> {
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let is_null = |value: &V| (self.value.as_ref()).is_some_and(|format| format.is_null(value));
        let new = record.value.filter(|value| !is_null(value));
        let Some(rows) = &self.rows else {
            if self.key.is_null(&record.key) {
                ctx.drop_record();
                return Ok(());
            }
            let (timestamp, headers, position) =
                (record.timestamp, record.headers, record.position);
            let value = Some(Change::latest(new, None));
            return self.outputs.send(
                ctx,
                Record {
                    key: record.key,
                    value,
                    timestamp,
                    headers,
                    position,
                },
            );
        };
        let mut key_bytes = self.key_bytes.take();
        if !encode_key(&self.key, rows.topic(), &record.key, &mut key_bytes)? {
            self.key_bytes.give(key_bytes);
            ctx.drop_record();
            return Ok(());
        }
        let old = if rows.reads_old() {
            rows.get(ctx, &key_bytes)?.map(|(row, _)| row)
        } else {
            None
        };
        let cause = Cause::at(record.timestamp, &record.headers, record.position);
        let _present = rows.put(ctx, &key_bytes, || record.key, new, old, cause)?;
        self.key_bytes.give(key_bytes);
        Ok(())
    }
}
