//! A store in a processor's hands: typed reads and writes. Here what all stores share; what each kind can do is below.
//! Not the store: a view lives for one call. Invariant: a write reaches store and changelog at once, or the record cache of a
//! store that has one.

mod key_value;
mod row;
mod session;
mod timers;
mod versioned;
mod window;

pub use row::{AggregationWithHeaders, RowKind, Timestamped, ValueTimestampHeaders};
pub use versioned::{VersionPut, VersionedRecord};

use super::context::Cause;
use crate::dsl::{
    KeyValues, KeyValuesWithHeaders, Sessions, SessionsWithHeaders, TimestampedKeyValues,
    TimestampedWindows, Versions, Windows, WindowsWithHeaders,
};
use crate::format::{FormatOf, appending};
use crate::operator::encode_key;
use crate::task::{CachedStore, Context};
use crate::topology::Kept;
use crate::{Error, Headers, Result, Semantics};
use headwater_log::HeadersRef;
use headwater_store::Layout;
use std::any::TypeId;
use std::ops::ControlFlow;
use std::{marker::PhantomData, sync::Arc};

/// A store in a processor's hands. `S` is what it keeps.
pub struct StoreView<'a, K, V, S = KeyValues> {
    pub(super) ctx: Context<'a>,
    pub(super) store: usize,
    pub(super) key: FormatOf<K>,
    pub(super) value: FormatOf<V>,
    /// The topic that formats are told.
    pub(super) topic: Arc<str>,
    pub(super) cause: &'a Cause,
    pub(super) types: PhantomData<fn() -> S>,
}

/// True when a store keeps what `S` says.
pub(super) fn keeps<S: 'static>(layout: &Layout, timestamped: bool, kept: Kept) -> bool {
    let with_headers = kept == Kept::OwnHeaders;
    let kind = match layout {
        Layout::KeyValue | Layout::Lru { .. } => match (with_headers, timestamped) {
            (true, _) => TypeId::of::<KeyValuesWithHeaders>(),
            (false, true) => TypeId::of::<TimestampedKeyValues>(),
            (false, false) => TypeId::of::<KeyValues>(),
        },
        Layout::Window { .. } => match (with_headers, timestamped) {
            (true, _) => TypeId::of::<WindowsWithHeaders>(),
            (false, true) => TypeId::of::<TimestampedWindows>(),
            (false, false) => TypeId::of::<Windows>(),
        },
        Layout::Session { .. } if with_headers => TypeId::of::<SessionsWithHeaders>(),
        Layout::Session { .. } => TypeId::of::<Sessions>(),
        Layout::Versioned { .. } => TypeId::of::<Versions>(),
    };
    kind == TypeId::of::<S>()
}

impl<K, V, S> StoreView<'_, K, V, S> {
    /// Lends the task's buffers to `work`: for the key, which is encoded into the first, and for a value.
    fn with_key<R>(
        &mut self,
        key: &K,
        work: impl FnOnce(&mut Self, &mut Vec<u8>, &mut Vec<u8>) -> Result<R>,
    ) -> Result<R> {
        let (mut bytes, mut value) = std::mem::take(&mut self.ctx.state.buffers);
        let outcome = match encode_key(&self.key, &self.topic, key, &mut bytes) {
            Ok(true) => work(self, &mut bytes, &mut value),
            Ok(false) => Err(self.refused("its keys cannot be null")),
            Err(error) => Err(error.into()),
        };
        self.ctx.state.buffers = (bytes, value);
        outcome
    }

    fn refused(&self, why: &str) -> Error {
        let state = &self.ctx.state;
        let name = match &state.stores[self.store] {
            Some(store) => store.name.clone(),
            None => {
                (state.globals.store(self.store)).map_or_else(|| "?".into(), |it| it.name.clone())
            }
        };
        Error::failed(format!("store '{name}': {why}"))
    }

    /// An error for a global store: only what fills it may write it.
    fn check_writable(&self) -> Result<()> {
        match self.ctx.state.stores[self.store] {
            Some(_) => Ok(()),
            None => Err(self.refused(
                "it is global, and only the processor that fills it may write it; write to its topic instead",
            )),
        }
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<K> {
        self.key
            .decode(&self.topic, HeadersRef::NONE, bytes)
            .map_err(|error| Error::format(&self.topic, &error))
    }

    fn decode_value(&self, bytes: &[u8]) -> Result<V> {
        self.value
            .decode(&self.topic, HeadersRef::NONE, bytes)
            .map_err(|error| Error::format(&self.topic, &error))
    }

    /// Appends the bytes of a value; false when it stands for null, which deletes.
    fn encode_value(&self, value: &V, bytes: &mut Vec<u8>) -> Result<bool> {
        if self.value.is_null(value) {
            return Ok(false);
        }
        self.value
            .encode(&self.topic, &mut Headers::default(), value, bytes)
            .map_err(|error| Error::format(&self.topic, &error))?;
        Ok(true)
    }

    /// As [`StoreView::encode_value`], where something stands in front of the value.
    fn encode_behind(&self, value: &V, bytes: &mut Vec<u8>) -> Result<bool> {
        if self.value.is_null(value) {
            return Ok(false);
        }
        let (topic, mut headers) = (&*self.topic, Headers::default());
        appending(bytes, |bytes| {
            self.value.encode(topic, &mut headers, value, bytes)
        })
        .map_err(|error| Error::format(topic, &error))?;
        Ok(true)
    }

    /// Writes through the record cache where there is one.
    fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.check_writable()?;
        let (store, cause) = (self.store, self.cause);
        match self.ctx.state.store(store).cache {
            Some(slot) => {
                let (timestamp, position) = (cause.timestamp, cause.position);
                let entry = self.ctx.entry(store, timestamp, &cause.headers, position);
                self.ctx.cache_put(store, slot, key, value, &entry)
            }
            None => {
                let (timestamp, headers) = (cause.timestamp, &cause.headers);
                Ok((self.ctx).write_caused(store, key, value, timestamp, headers)?)
            }
        }
    }

    /// Deletes a row. Kafka Streams reads it to tell what it was, which may change what the record cache holds.
    fn delete_bytes(&mut self, key: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
        self.check_writable()?;
        if self.ctx.state.semantics == Semantics::Java {
            self.ctx.get(self.store, key, buffer)?;
        }
        self.write(key, None)
    }

    /// Times at or before this have expired in a store with `retention_ms`.
    fn expired_ms(&mut self) -> i64 {
        let state = self.ctx.state.store(self.store);
        match state.bytes.options().layout {
            Layout::Window { retention_ms, .. } | Layout::Session { retention_ms, .. }
                if state.observed_time >= 0 =>
            {
                state.observed_time.saturating_sub(retention_ms)
            }
            _ => i64::MIN,
        }
    }

    /// Reads see nothing earlier.
    fn visible_ms(&mut self) -> i64 {
        match self.expires_late() {
            true => i64::MIN,
            false => self.expired_ms().saturating_add(1),
        }
    }

    /// The store with its record cache.
    fn cached(&self) -> CachedStore<'_> {
        let mut cached = self.ctx.cached(self.store);
        cached.hides = true;
        cached
    }

    /// Kafka Streams' record cache takes what has expired too: the store below says no once it is flushed. And a table's store goes
    /// by the rows written to it, of which its operator's time, which is the observed one, says nothing.
    fn expires_late(&mut self) -> bool {
        let state = self.ctx.state.store(self.store);
        state.java.is_some() && (state.cache.is_some() || state.observed)
    }

    /// The store has seen a window or session of this time; false when it has expired.
    fn observe(&mut self, time: i64) -> bool {
        let state = self.ctx.state.store(self.store);
        // What a table's store has seen is its operator's to say.
        if !state.observed {
            state.observed_time = state.observed_time.max(time);
        }
        if time > self.expired_ms() {
            return true;
        }
        self.ctx.drop_record();
        false
    }
}

/// Runs a visitor that may fail inside one that may not, and keeps its failure.
struct Failing(Option<Error>);

impl Failing {
    fn step(&mut self, step: Result<ControlFlow<()>>) -> ControlFlow<()> {
        step.unwrap_or_else(|error| {
            self.0 = Some(error);
            ControlFlow::Break(())
        })
    }

    fn end(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
