//! Aggregation by key and window of time (`KStreamWindowAggregate`). Not sessions.
//! Invariant: a record counts in a window only while the window's end is after stream time less grace.

use super::encode_key;
use super::materialized::{Cause, Materialized};
use crate::format::FormatOf;
use crate::task::{Context, Receive};
use crate::window::{TimeWindows, Windowed};
use crate::{Record, Result};

/// `apply(key, value, row)` answers the new row of one window.
pub(crate) struct WindowAggregate<K, V, A, F> {
    pub(crate) key: FormatOf<K>,
    pub(crate) windows: TimeWindows,
    pub(crate) rows: Materialized<Windowed<K>, A>,
    pub(crate) apply: F,
    /// The largest timestamp this operator has seen; -1 before the first.
    pub(crate) observed_time: i64,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) types: std::marker::PhantomData<fn(V)>,
}

impl<K, V, A, F> Receive<K, V> for WindowAggregate<K, V, A, F>
where
    K: Clone + 'static,
    V: Clone,
    A: Clone + 'static,
    F: Fn(&K, Option<V>, Option<A>) -> Option<A>,
{
    fn receive(&mut self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        if !encode_key(
            &self.key,
            self.rows.topic(),
            &record.key,
            &mut self.key_bytes,
        )? {
            ctx.drop_record();
            return Ok(());
        }
        self.observed_time = self.observed_time.max(record.timestamp);
        let closed = self.observed_time.saturating_sub(self.windows.grace_ms);
        let plain = self.key_bytes.len();
        for start in self.windows.starts(record.timestamp) {
            let end = start.saturating_add(self.windows.size_ms);
            if end <= closed {
                ctx.drop_record();
                continue;
            }
            self.key_bytes.truncate(plain);
            self.key_bytes.extend_from_slice(&start.to_be_bytes());
            self.key_bytes.extend_from_slice(&[0; 4]); // The sequence number of stores that keep duplicates; here always 0.
            let (old, timestamp) = match self.rows.get(ctx, &self.key_bytes)? {
                Some((row, stored)) => (Some(row), record.timestamp.max(stored)),
                None => (None, record.timestamp),
            };
            let new = (self.apply)(&record.key, record.value.clone(), old.clone());
            let cause = Cause {
                timestamp,
                headers: &record.headers,
                position: record.position,
            };
            let key = || Windowed {
                key: record.key.clone(),
                start,
                end,
            };
            self.rows.put(ctx, &self.key_bytes, key, new, old, cause)?;
        }
        Ok(())
    }
}
