//! Session stores: values by key, start and end, for as long as the retention. Not the merging of sessions: a processor does
//! that. Invariant: what ends before the largest end put by the retention or more is neither written nor read.

use super::row::RowKind;
use super::{Failing, StoreView};
use crate::dsl::BySession;
use crate::{Result, Windowed};
use headwater_store::{Direction, session};
use std::ops::ControlFlow;

impl<K: Clone, V, R: RowKind> StoreView<'_, K, V, BySession<R>> {
    /// Sets the value of a session; `end` is its last ms. An end beyond the retention is counted and goes to the changelog only,
    /// as in Kafka Streams.
    pub fn put(&mut self, session: &Windowed<K>, value: &R::Of<V>) -> Result<()> {
        self.with_key(&session.key, |view, key, bytes| {
            bytes.clear();
            let present = R::encode(view, value, bytes)?;
            let value = present.then_some(bytes.as_slice());
            view.put_bytes(key, value, session.start, session.end)
        })
    }

    /// Removes a session.
    pub fn remove(&mut self, session: &Windowed<K>) -> Result<()> {
        self.with_key(&session.key, |view, key, _| {
            view.put_bytes(key, None, session.start, session.end)
        })
    }

    fn put_bytes(
        &mut self,
        key: &mut Vec<u8>,
        value: Option<&[u8]>,
        start: i64,
        end: i64,
    ) -> Result<()> {
        key.extend_from_slice(&end.to_be_bytes());
        key.extend_from_slice(&start.to_be_bytes());
        // A removal is no news of time (`RocksDBSessionStore.remove`).
        let live = match value {
            Some(_) => self.observe(end),
            None => end > self.expired_ms(),
        };
        if live || self.expires_late() {
            return self.write(key, value);
        }
        let cause = self.cause;
        let timestamp = cause.timestamp;
        Ok((self.ctx).log_row(self.store, key, value, timestamp, &cause.headers)?)
    }

    /// The value of the session of `key` with this start and end (`fetchSession`).
    pub fn get(&mut self, key: &K, start: i64, end: i64) -> Result<Option<R::Of<V>>> {
        if end < self.visible_ms() {
            return Ok(None);
        }
        self.with_key(key, |view, key, value| {
            key.extend_from_slice(&end.to_be_bytes());
            key.extend_from_slice(&start.to_be_bytes());
            match view.ctx.get(view.store, key, value)? {
                true => R::decode(view, value).map(Some),
                false => Ok(None),
            }
        })
    }

    /// Visits the sessions of `key` that end at or after `earliest_end` and start at or before `latest_start`, by end.
    pub fn find_sessions(
        &mut self,
        key: &K,
        earliest_end: i64,
        latest_start: i64,
        visit: impl FnMut(Windowed<K>, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        let times = (earliest_end, latest_start);
        self.find_in(key, times, Direction::Forward, visit)
    }

    /// As [`StoreView::find_sessions`], in descending order.
    pub fn backward_find_sessions(
        &mut self,
        key: &K,
        earliest_end: i64,
        latest_start: i64,
        visit: impl FnMut(Windowed<K>, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        let times = (earliest_end, latest_start);
        self.find_in(key, times, Direction::Backward, visit)
    }

    /// Visits all sessions of `key`, by end (`fetch`).
    pub fn fetch(
        &mut self,
        key: &K,
        visit: impl FnMut(Windowed<K>, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.find_sessions(key, 0, i64::MAX, visit)
    }

    fn find_in(
        &mut self,
        key: &K,
        (earliest_end, latest_start): (i64, i64),
        direction: Direction,
        mut visit: impl FnMut(Windowed<K>, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        let earliest_end = earliest_end.max(self.visible_ms());
        self.with_key(key, |view, bytes, _| {
            let mut failing = Failing(None);
            let cached = view.cached();
            let mut each = |_: &[u8], start: i64, end: i64, value: &[u8]| {
                failing.step(R::decode(view, value).map(|value| {
                    let key = key.clone();
                    visit(Windowed { key, start, end }, value)
                }))
            };
            session::find_directed(
                &cached,
                bytes,
                earliest_end,
                latest_start,
                direction,
                &mut each,
            )?;
            failing.end()
        })
    }

    /// Visits the sessions of all keys that end at or after `earliest_end` and start at or before `latest_start`, by key and
    /// then by end.
    pub fn find_all(
        &mut self,
        earliest_end: i64,
        latest_start: i64,
        mut visit: impl FnMut(Windowed<K>, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        let earliest_end = earliest_end.max(self.visible_ms());
        let mut failing = Failing(None);
        let cached = self.cached();
        let mut each = |key: &[u8], start: i64, end: i64, value: &[u8]| {
            failing.step(self.decode_key(key).and_then(|key| {
                let value = R::decode(self, value)?;
                Ok(visit(Windowed { key, start, end }, value))
            }))
        };
        let forward = Direction::Forward;
        session::find_all(&cached, earliest_end, latest_start, forward, &mut each)?;
        failing.end()
    }
}
