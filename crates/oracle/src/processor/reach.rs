//! What processors reach of the world, alike for those that keep the key and those that do not: stores by reference, times.
//! Not forwarding. Invariant: null is `Val::Null` on this side and absent on the other.

use crate::store::StoreRef;
use crate::value::{Val, seen};
use headwater::streams::Error;
use headwater::{
    FixedKeyContext, KeyValues, Position, ProcessorContext, Sessions, StoreHandle, StoreView,
    TimestampedKeyValues, TimestampedWindows, VersionPut, VersionedRecord, Versions, Windowed,
    Windows,
};
use std::ops::ControlFlow;

type Result<T, E = Error> = std::result::Result<T, E>;

/// A context of either kind.
pub(crate) trait Reach {
    fn open<S>(&mut self, store: StoreHandle<Val, Val, S>) -> Result<StoreView<'_, Val, Val, S>>;
    fn named<S: 'static>(&mut self, store: &str) -> Result<StoreView<'_, Val, Val, S>>;
    fn source(&self, position: Position) -> Option<String>;
    fn times(&self) -> (i64, i64);
}

macro_rules! reach {
    ($context:ty, $($generic:tt)*) => {
        impl<$($generic)*> Reach for $context {
            fn open<S>(
                &mut self,
                store: StoreHandle<Val, Val, S>,
            ) -> Result<StoreView<'_, Val, Val, S>> {
                self.store(store)
            }

            fn named<S: 'static>(&mut self, store: &str) -> Result<StoreView<'_, Val, Val, S>> {
                self.store_named(store)
            }

            fn source(&self, position: Position) -> Option<String> {
                self.topic(position).map(str::to_owned)
            }

            fn times(&self) -> (i64, i64) {
                (self.stream_time(), self.now_ms())
            }
        }
    };
}

reach!(ProcessorContext<'_, '_, K, V>, K: Clone, V: Clone);
reach!(FixedKeyContext<'_, '_, '_, K, Val>, K: Clone);

/// `ValueAndTimestamp`'s value, or null.
fn wrong(store: &StoreRef, wanted: &str) -> Error {
    Error::failed(format!("{store:?} is no {wanted}"))
}

impl StoreRef {
    /// An error when the store is not connected to the processor.
    pub(crate) fn check(&self, ctx: &mut impl Reach) -> Result<()> {
        match self.clone() {
            Self::KeyValue(store) => ctx.open::<KeyValues>(store).map(drop),
            Self::Timestamped(store) => ctx.open::<TimestampedKeyValues>(store).map(drop),
            Self::Window(store) => ctx.open::<Windows>(store).map(drop),
            Self::Session(store) => ctx.open::<Sessions>(store).map(drop),
            Self::Versioned(store) => ctx.open::<Versions>(store).map(drop),
            Self::Table(name) => ctx.named::<TimestampedKeyValues>(&name).map(drop),
            Self::VersionedTable(name) => ctx.named::<Versions>(&name).map(drop),
            Self::WindowTable(name) => ctx.named::<TimestampedWindows>(&name).map(drop),
            Self::SessionTable(name) => ctx.named::<Sessions>(&name).map(drop),
        }
    }

    /// The value under a text.
    pub(crate) fn get(&self, ctx: &mut impl Reach, key: &Val) -> Result<Val> {
        Ok(seen(match self.clone() {
            Self::KeyValue(store) => ctx.open(store)?.get(key)?,
            Self::Timestamped(store) => ctx.open(store)?.get(key)?.map(|found| found.value),
            Self::Versioned(store) => ctx.open(store)?.get(key)?.map(|found| found.value),
            Self::Table(name) => {
                let mut store = ctx.named::<TimestampedKeyValues>(&name)?;
                store.get(key)?.map(|found| found.value)
            }
            Self::VersionedTable(name) => {
                let mut store = ctx.named::<Versions>(&name)?;
                store.get(key)?.map(|found| found.value)
            }
            _ => return Err(wrong(self, "store of values by key")),
        }))
    }

    /// Sets the value under a text; null deletes it.
    pub(crate) fn put(
        &self,
        ctx: &mut impl Reach,
        key: &Val,
        value: &Val,
        timestamp: i64,
    ) -> Result<()> {
        match self.clone() {
            Self::KeyValue(store) => ctx.open(store)?.put(key, value),
            Self::Timestamped(store) => ctx.open(store)?.put(key, value, timestamp),
            Self::Table(name) => {
                let mut store = ctx.named::<TimestampedKeyValues>(&name)?;
                store.put(key, value, timestamp)
            }
            _ => Err(wrong(self, "store of values by key")),
        }
    }

    /// Deletes what is under a text.
    pub(crate) fn delete(&self, ctx: &mut impl Reach, key: &Val) -> Result<()> {
        match self.clone() {
            Self::KeyValue(store) => ctx.open(store)?.delete(key),
            Self::Timestamped(store) => ctx.open(store)?.delete(key),
            _ => Err(wrong(self, "store of values by key")),
        }
    }

    /// All rows, in the order of the store.
    pub(crate) fn all(&self, ctx: &mut impl Reach) -> Result<Vec<(Val, Val)>> {
        let mut rows = Vec::new();
        match self.clone() {
            Self::KeyValue(store) => ctx.open(store)?.all(|key, value| {
                rows.push((key, value));
                ControlFlow::Continue(())
            })?,
            _ => return Err(wrong(self, "store of values by key")),
        }
        Ok(rows)
    }

    /// True when there is a value of `key` in these times; otherwise `value` is put at `time`.
    pub(crate) fn seen_before(
        &self,
        ctx: &mut impl Reach,
        (key, value): (&Val, &Val),
        window_ms: i64,
        time: i64,
    ) -> Result<bool> {
        let mut found = false;
        let times = (time - window_ms).max(0)..=time + window_ms;
        let mut stop = || {
            found = true;
            ControlFlow::Break(())
        };
        match self.clone() {
            Self::Window(store) => {
                let mut store = ctx.open(store)?;
                store.fetch(key, times, |_, _| stop())?;
                if !found {
                    store.put(key, value, time)?;
                }
            }
            Self::WindowTable(name) => {
                let mut store = ctx.named::<TimestampedWindows>(&name)?;
                store.fetch(key, times, |_, _| stop())?;
                if !found {
                    return Err(wrong(self, "store of texts without timestamps"));
                }
            }
            _ => return Err(wrong(self, "window store")),
        }
        Ok(found)
    }

    /// Merges a record into the sessions of `key` around `time`: count, start, end.
    pub(crate) fn merge_session(
        &self,
        ctx: &mut impl Reach,
        key: &Val,
        gap_ms: i64,
        time: i64,
    ) -> Result<(i64, i64, i64)> {
        let mut store = match self.clone() {
            Self::Session(store) => ctx.open(store)?,
            Self::SessionTable(name) => ctx.named::<Sessions>(&name)?,
            _ => return Err(wrong(self, "session store")),
        };
        let mut near: Vec<(Windowed<Val>, Val)> = Vec::new();
        store.find_sessions(key, time - gap_ms, time + gap_ms, |session, value| {
            near.push((session, value));
            ControlFlow::Continue(())
        })?;
        let (mut count, mut start, mut end) = (1_i64, time, time);
        for (session, value) in near {
            start = start.min(session.start);
            end = end.max(session.end);
            count = count.wrapping_add(value.number());
            store.remove(&session)?;
        }
        let key = key.clone();
        store.put(&Windowed { key, start, end }, &Val::Long(count))?;
        Ok((count, start, end))
    }

    /// Puts a version: Java's answer, the time until which it is valid.
    pub(crate) fn put_version(
        &self,
        ctx: &mut impl Reach,
        key: &Val,
        value: Option<&Val>,
        time: i64,
    ) -> Result<i64> {
        let Self::Versioned(store) = self.clone() else {
            return Err(wrong(self, "versioned store"));
        };
        Ok(match ctx.open(store)?.put(key, value, time)? {
            VersionPut::Expired => i64::MIN,
            VersionPut::Latest => -1,
            VersionPut::Until(time) => time,
        })
    }

    /// The version of `key` that held at `time`.
    pub(crate) fn version(
        &self,
        ctx: &mut impl Reach,
        key: &Val,
        time: i64,
    ) -> Result<Option<VersionedRecord<Val>>> {
        match self.clone() {
            Self::Versioned(store) => ctx.open(store)?.get_as_of(key, time),
            _ => Err(wrong(self, "versioned store")),
        }
    }
}
