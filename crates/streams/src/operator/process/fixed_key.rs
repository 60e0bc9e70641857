//! Processors that keep the key, so that nothing behind them is repartitioned (`FixedKeyProcessor`).
//! Not a filter of keys. Invariant: only a record it was given leads to one it forwards, under the same key.

use super::timers::Timer;
use super::{Processor, ProcessorContext, Scheduled, StoreView};
use crate::dsl::StoreHandle;
use crate::task::{Punctuation, PunctuationKind};
use crate::{Headers, Position, Record, Result};
use headwater_log::TaskId;
use std::time::Duration;

/// A processor that keeps the key of each record.
pub trait FixedKeyProcessor: 'static {
    /// Keys.
    type Key: Clone + 'static;
    /// Values it takes.
    type ValueIn: Clone + 'static;
    /// Values it forwards.
    type ValueOut: Clone + 'static;

    /// Called once, before the first record: the place for schedules.
    fn open(
        &mut self,
        _ctx: &mut FixedKeyContext<'_, '_, '_, Self::Key, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called for each record.
    fn process(
        &mut self,
        record: FixedKeyRecord<Self::Key, Self::ValueIn>,
        ctx: &mut FixedKeyContext<'_, '_, '_, Self::Key, Self::ValueOut>,
    ) -> Result<()>;

    /// Called when a schedule is due. There is no record to forward: stores can be read and changed.
    fn punctuate(
        &mut self,
        _punctuation: Punctuation,
        _ctx: &mut FixedKeyContext<'_, '_, '_, Self::Key, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }

    /// As [`Processor::timer`].
    fn timer(
        &mut self,
        _timer: Timer<Self::Key>,
        _ctx: &mut FixedKeyContext<'_, '_, '_, Self::Key, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called when the task ends cleanly.
    fn close(
        &mut self,
        _ctx: &mut FixedKeyContext<'_, '_, '_, Self::Key, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }
}

/// A record whose key cannot be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedKeyRecord<K, V> {
    key: K,
    /// The value; `None` is a tombstone.
    pub value: Option<V>,
    /// Event time, ms since the epoch.
    pub timestamp: i64,
    /// Headers.
    pub headers: Headers,
    position: Position,
}

impl<K, V> FixedKeyRecord<K, V> {
    fn of(record: Record<K, V>) -> Self {
        Self {
            key: record.key,
            value: record.value,
            timestamp: record.timestamp,
            headers: record.headers,
            position: record.position,
        }
    }

    /// The key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Where it was read.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The same record with another value.
    pub fn with_value<V2>(self, value: Option<V2>) -> FixedKeyRecord<K, V2> {
        FixedKeyRecord {
            key: self.key,
            value,
            timestamp: self.timestamp,
            headers: self.headers,
            position: self.position,
        }
    }
}

/// What a processor that keeps the key may do besides computing.
pub struct FixedKeyContext<'x, 'a, 'c, K, V>(&'x mut ProcessorContext<'a, 'c, K, V>);

impl<K: Clone, V: Clone> FixedKeyContext<'_, '_, '_, K, V> {
    /// Sends a record to the next operators; they have processed it when this returns.
    pub fn forward(&mut self, record: FixedKeyRecord<K, V>) -> Result<()> {
        self.0.forward(plain(record))
    }

    /// As [`ProcessorContext::forward_to`].
    pub fn forward_to(&mut self, child: &str, record: FixedKeyRecord<K, V>) -> Result<()> {
        self.0.forward_to(child, plain(record))
    }

    /// As [`ProcessorContext::store`].
    pub fn store<SK: 'static, SV: 'static, S>(
        &mut self,
        store: StoreHandle<SK, SV, S>,
    ) -> Result<StoreView<'_, SK, SV, S>> {
        self.0.store(store)
    }

    /// As [`ProcessorContext::store_named`].
    pub fn store_named<SK: 'static, SV: 'static, S: 'static>(
        &mut self,
        name: &str,
    ) -> Result<StoreView<'_, SK, SV, S>> {
        self.0.store_named(name)
    }

    /// As [`ProcessorContext::schedule`].
    pub fn schedule(&mut self, interval: Duration, kind: PunctuationKind) -> Scheduled {
        self.0.schedule(interval, kind)
    }

    /// As [`ProcessorContext::schedule_from`].
    pub fn schedule_from(
        &mut self,
        start: i64,
        interval: Duration,
        kind: PunctuationKind,
    ) -> Scheduled {
        self.0.schedule_from(start, interval, kind)
    }

    /// As [`ProcessorContext::request_commit`].
    pub fn request_commit(&mut self) {
        self.0.request_commit();
    }

    /// As [`ProcessorContext::stream_time`].
    pub fn stream_time(&self) -> i64 {
        self.0.stream_time()
    }

    /// As [`ProcessorContext::now_ms`].
    pub fn now_ms(&self) -> i64 {
        self.0.now_ms()
    }

    /// As [`ProcessorContext::task`].
    pub fn task(&self) -> TaskId {
        self.0.task()
    }

    /// As [`ProcessorContext::position`].
    pub fn position(&self) -> Position {
        self.0.position()
    }

    /// As [`ProcessorContext::topic`].
    pub fn topic(&self, position: Position) -> Option<&str> {
        self.0.topic(position)
    }
}

fn plain<K, V>(record: FixedKeyRecord<K, V>) -> Record<K, V> {
    Record {
        key: record.key,
        value: record.value,
        timestamp: record.timestamp,
        headers: record.headers,
        position: record.position,
    }
}

/// A processor that keeps the key, as any other.
pub(crate) struct FixedKey<P>(pub(crate) P);

impl<P: FixedKeyProcessor> Processor for FixedKey<P> {
    type KeyIn = P::Key;
    type ValueIn = P::ValueIn;
    type KeyOut = P::Key;
    type ValueOut = P::ValueOut;

    fn open(&mut self, ctx: &mut ProcessorContext<'_, '_, P::Key, P::ValueOut>) -> Result<()> {
        self.0.open(&mut FixedKeyContext(ctx))
    }

    fn process(
        &mut self,
        record: Record<P::Key, P::ValueIn>,
        ctx: &mut ProcessorContext<'_, '_, P::Key, P::ValueOut>,
    ) -> Result<()> {
        self.0
            .process(FixedKeyRecord::of(record), &mut FixedKeyContext(ctx))
    }

    fn punctuate(
        &mut self,
        punctuation: Punctuation,
        ctx: &mut ProcessorContext<'_, '_, P::Key, P::ValueOut>,
    ) -> Result<()> {
        self.0.punctuate(punctuation, &mut FixedKeyContext(ctx))
    }

    fn timer(
        &mut self,
        timer: Timer<P::Key>,
        ctx: &mut ProcessorContext<'_, '_, P::Key, P::ValueOut>,
    ) -> Result<()> {
        self.0.timer(timer, &mut FixedKeyContext(ctx))
    }

    fn close(&mut self, ctx: &mut ProcessorContext<'_, '_, P::Key, P::ValueOut>) -> Result<()> {
        self.0.close(&mut FixedKeyContext(ctx))
    }
}
