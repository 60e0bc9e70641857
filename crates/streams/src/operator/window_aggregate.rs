//! Aggregation by key and window of time (`KStreamWindowAggregate`). Not sessions.
//! Invariant: a record counts in a window only while the window's end is after stream time less grace.

use super::encode_key;
use super::materialized::{Cause, Materialized};
use crate::format::FormatOf;
use crate::task::{Context, Receive, Scratch};
use crate::window::{TimeWindows, Windowed};
use crate::{Record, Result};
use std::cell::Cell;

/// `apply(key, value, last, row)` answers the new row of one window; `last` says that no other window needs the value. `None`
/// deletes the row.
pub(crate) struct WindowAggregate<K, V, A, F> {
    pub(crate) key: FormatOf<K>,
    pub(crate) windows: TimeWindows,
    pub(crate) rows: Materialized<Windowed<K>, A>,
    pub(crate) apply: F,
    /// Records without a value are aggregated too; otherwise they are passed over.
    pub(crate) takes_tombstones: bool,
    /// The largest timestamp this operator has seen; -1 before the first.
    pub(crate) observed_time: Cell<i64>,
    pub(crate) key_bytes: Scratch,
    pub(crate) types: std::marker::PhantomData<fn(V)>,
}

impl<K, V, A, F> Receive<K, V> for WindowAggregate<K, V, A, F>
where
    K: Clone + 'static,
    A: Clone + 'static,
    F: Fn(&K, &mut Option<V>, bool, Option<A>) -> Option<A>,
{
    fn receive(&self, ctx: &mut Context<'_>, mut record: Record<K, V>) -> Result<()> {
        let mut key_bytes = self.key_bytes.take();
        if !encode_key(&self.key, self.rows.topic(), &record.key, &mut key_bytes)? {
            ctx.drop_record();
            return Ok(());
        }
        if record.timestamp > self.observed_time.get() {
            self.observed_time.set(record.timestamp);
            self.rows.observe(ctx, record.timestamp);
        }
        if record.value.is_none() && !self.takes_tombstones {
            ctx.drop_record();
            return Ok(());
        }
        let closed = self
            .observed_time
            .get()
            .saturating_sub(self.windows.grace_ms);
        let plain = key_bytes.len();
        let mut starts = self.windows.starts(record.timestamp).peekable();
        while let Some(start) = starts.next() {
            let end = start.saturating_add(self.windows.size_ms);
            if end <= closed {
                ctx.drop_record();
                continue;
            }
            key_bytes.truncate(plain);
            key_bytes.extend_from_slice(&start.to_be_bytes());
            key_bytes.extend_from_slice(&[0; 4]); // The sequence number of stores that keep duplicates; here always 0.
            let (old, timestamp) = match self.rows.get(ctx, &key_bytes)? {
                Some((row, stored)) => (Some(row), record.timestamp.max(stored)),
                None => (None, record.timestamp),
            };
            let kept = self.rows.kept(&old);
            let last = starts.peek().is_none();
            let new = (self.apply)(&record.key, &mut record.value, last, old);
            let cause = Cause {
                timestamp,
                record_timestamp: record.timestamp,
                headers: &record.headers,
                position: record.position,
            };
            let key = || Windowed {
                key: record.key.clone(),
                start,
                end,
            };
            self.rows.put(ctx, &key_bytes, key, new, kept, cause)?;
        }
        self.key_bytes.give(key_bytes);
        Ok(())
    }
}
