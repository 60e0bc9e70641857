//! Aggregation by key and window of time (`KStreamWindowAggregate`). Not sessions and sliding windows.
//! Invariant: a record counts in a window only while the window's end is after stream time less grace.

use super::encode_key;
use super::fold::Fold;
use super::materialized::{Cause, Materialized};
use super::{Closing, ObservedTime};
use crate::format::Codec;
use crate::task::{Context, Meta, Receive, Scratch, Step};
use crate::window::{Windowed, Windowing};
use std::{rc::Rc, sync::Arc};

pub(crate) struct WindowAggregate<K, V, A, W, F> {
    pub(crate) key: Codec<K>,
    pub(crate) windows: W,
    pub(crate) rows: Materialized<Windowed<K>, A>,
    pub(crate) fold: Arc<F>,
    /// Records without a value are aggregated too; otherwise they are passed over.
    pub(crate) takes_tombstones: bool,
    pub(crate) observed: ObservedTime,
    /// Where results are sent only when windows close.
    pub(crate) closing: Option<Rc<Closing<K, A>>>,
    pub(crate) key_bytes: Scratch,
    pub(crate) types: std::marker::PhantomData<fn(V)>,
}

impl<K, V, A, W, F> Receive<K, V> for WindowAggregate<K, V, A, W, F>
where
    K: Clone + 'static,
    V: Clone,
    A: Clone + 'static,
    W: Windowing,
    F: Fold<K, V, A>,
{
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        let mut key_bytes = self.key_bytes.take();
        if !encode_key(&self.key, self.rows.topic(), &key, &mut key_bytes)? {
            self.key_bytes.give(key_bytes);
            ctx.drop_record();
            return Ok(());
        }
        let observed = self.observed.advance(ctx, meta.timestamp);
        if self.closing.is_none() {
            self.rows.observe(ctx, observed);
        }
        if value.is_none() && !self.takes_tombstones {
            ctx.drop_record();
        } else {
            self.aggregate(ctx, (&key, value), meta, &mut key_bytes, observed)?;
        }
        self.key_bytes.give(key_bytes);
        if let Some(closing) = &self.closing {
            closing.emit(ctx, observed, &meta.headers, meta.position)?;
            // Last: what is not yet sent must not expire.
            self.rows.observe(ctx, observed);
        }
        Ok(())
    }
}

impl<K, V, A, W, F> WindowAggregate<K, V, A, W, F>
where
    K: Clone + 'static,
    V: Clone,
    A: Clone + 'static,
    W: Windowing,
    F: Fold<K, V, A>,
{
    fn aggregate(
        &self,
        ctx: &mut Context<'_>,
        (key, mut value): (&K, Option<V>),
        meta: &Meta,
        key_bytes: &mut Vec<u8>,
        observed: i64,
    ) -> Step {
        let closed = observed.saturating_sub(self.windows.grace_ms());
        let plain = key_bytes.len();
        let mut starts = self.windows.starts(meta.timestamp).peekable();
        while let Some(start) = starts.next() {
            let end = self.windows.end(start);
            if end <= closed {
                ctx.drop_record();
                continue;
            }
            key_bytes.truncate(plain);
            key_bytes.extend_from_slice(&start.to_be_bytes());
            key_bytes.extend_from_slice(&[0; 4]); // The sequence number of stores that keep duplicates; here always 0.
            let (row, kept, timestamp) = match self.rows.get(ctx, key_bytes)? {
                Some((row, stored)) => {
                    let row = Some(row);
                    let kept = self.rows.kept(&row);
                    (row, kept, meta.timestamp.max(stored))
                }
                None => {
                    let row = self.fold.initial();
                    let kept = self.rows.kept_initial(&row);
                    (row, kept, meta.timestamp)
                }
            };
            // The last window needs no copy.
            let value = match starts.peek() {
                Some(_) => value.clone(),
                None => value.take(),
            };
            let new = self.fold.add(key, value, row);
            let cause = Cause {
                timestamp,
                record_timestamp: meta.timestamp,
                headers: &meta.headers,
                position: meta.position,
            };
            let windowed = || Windowed {
                key: key.clone(),
                start,
                end,
            };
            let present = self.rows.put(ctx, key_bytes, windowed, new, kept, cause)?;
            if let Some(closing) = &self.closing {
                closing.written(key_bytes, present);
            }
        }
        Ok(())
    }
}
