//! Window stores: values by key and time, for as long as the retention. Not windows themselves: a time is what the processor
//! says. Invariant: what is older than the largest time put by the retention or more is neither written nor read.

use super::row::RowKind;
use super::{Failing, StoreView};
use crate::Result;
use crate::dsl::ByTime;
use headwater_store::{Direction, window};
use std::ops::{ControlFlow, RangeInclusive};

/// Sequence numbers of duplicates stay below this, as `ChangeLoggingWindowBytesStore` keeps them positive.
const SEQUENCE_MASK: u32 = 0x7fff_ffff;

impl<K, V, R: RowKind> StoreView<'_, K, V, ByTime<R>> {
    /// Sets the value under `key` at `time`, ms since the epoch; with [`Store::duplicates`](crate::Store::duplicates) it joins
    /// those that are there. A time beyond the retention is counted and goes to the changelog only, as in Kafka Streams.
    pub fn put(&mut self, key: &K, value: &R::Of<V>, time: i64) -> Result<()> {
        self.with_key(key, |view, key, bytes| {
            bytes.clear();
            let present = R::encode(view, value, bytes)?;
            view.put_bytes(key, present.then_some(bytes.as_slice()), time)
        })
    }

    /// Removes what is under `key` at `time`; in a store of duplicates it removes nothing.
    pub fn delete(&mut self, key: &K, time: i64) -> Result<()> {
        self.with_key(key, |view, key, _| view.put_bytes(key, None, time))
    }

    fn put_bytes(&mut self, key: &mut Vec<u8>, value: Option<&[u8]>, time: i64) -> Result<()> {
        let state = self.ctx.state.store(self.store);
        let duplicates = state.duplicates;
        if duplicates {
            state.sequence = (state.sequence + 1) & SEQUENCE_MASK;
        }
        key.extend_from_slice(&time.to_be_bytes());
        key.extend_from_slice(&state.sequence.to_be_bytes());
        let live = self.observe(time);
        if (live || self.expires_late()) && !(duplicates && value.is_none()) {
            return self.write(key, value);
        }
        let cause = self.cause;
        let timestamp = cause.timestamp;
        Ok((self.ctx).log_row(self.store, key, value, timestamp, &cause.headers)?)
    }

    /// The value under `key` at `time`.
    pub fn get(&mut self, key: &K, time: i64) -> Result<Option<R::Of<V>>> {
        let mut found = None;
        self.fetch(key, time..=time, |_, value| {
            found = Some(value);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// Visits the values of `key` in these times, ascending: time, value.
    pub fn fetch(
        &mut self,
        key: &K,
        times: RangeInclusive<i64>,
        visit: impl FnMut(i64, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.fetch_in(key, times, Direction::Forward, visit)
    }

    /// As [`StoreView::fetch`], in descending order of time.
    pub fn backward_fetch(
        &mut self,
        key: &K,
        times: RangeInclusive<i64>,
        visit: impl FnMut(i64, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.fetch_in(key, times, Direction::Backward, visit)
    }

    fn fetch_in(
        &mut self,
        key: &K,
        times: RangeInclusive<i64>,
        direction: Direction,
        mut visit: impl FnMut(i64, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        let from = (*times.start()).max(self.visible_ms());
        self.with_key(key, |view, key, _| {
            let mut failing = Failing(None);
            let cached = view.cached();
            let mut each = |_: &[u8], time: i64, _: u32, value: &[u8]| {
                failing.step(R::decode(view, value).map(|value| visit(time, value)))
            };
            window::fetch(&cached, key, from, *times.end(), direction, &mut each)?;
            failing.end()
        })
    }

    /// Visits the values of all keys in these times, by key and then by time: key, time, value.
    pub fn fetch_all(
        &mut self,
        times: RangeInclusive<i64>,
        visit: impl FnMut(K, i64, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.fetch_all_in(times, Direction::Forward, visit)
    }

    /// As [`StoreView::fetch_all`], in descending order.
    pub fn backward_fetch_all(
        &mut self,
        times: RangeInclusive<i64>,
        visit: impl FnMut(K, i64, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.fetch_all_in(times, Direction::Backward, visit)
    }

    /// Visits everything.
    pub fn all(&mut self, visit: impl FnMut(K, i64, R::Of<V>) -> ControlFlow<()>) -> Result<()> {
        self.fetch_all(0..=i64::MAX, visit)
    }

    fn fetch_all_in(
        &mut self,
        times: RangeInclusive<i64>,
        direction: Direction,
        mut visit: impl FnMut(K, i64, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        let from = (*times.start()).max(self.visible_ms());
        let mut failing = Failing(None);
        let cached = self.cached();
        let mut each = |key: &[u8], time: i64, _: u32, value: &[u8]| {
            failing.step(self.decode_key(key).and_then(|key| {
                let value = R::decode(self, value)?;
                Ok(visit(key, time, value))
            }))
        };
        window::fetch_all(&cached, from, *times.end(), direction, &mut each)?;
        failing.end()
    }
}
