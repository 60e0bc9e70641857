//! The rows of sessions in their store: read, put, removed, cached and sent on as changes with the session's end as their time.
//! Not the merging of sessions. Invariant: an update reaches the store, its changelog and the next operator in that order, at
//! once without the record cache, at the flush with it.

use crate::format::FormatOf;
use crate::task::{Context, Flush, Outputs, Row, Rows, Scratch, StateStore, Update, Wiring};
use crate::window::Windowed;
use crate::{Change, Error, Headers, Record, Result};
use headwater_log::HeadersRef;
use std::{rc::Rc, sync::Arc};

/// A session's first and last ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Session {
    /// Puts the session behind the first `plain` bytes.
    pub(crate) fn write(self, key: &mut Vec<u8>, plain: usize) {
        key.truncate(plain);
        key.extend_from_slice(&self.end.to_be_bytes());
        key.extend_from_slice(&self.start.to_be_bytes());
    }
}

pub(crate) struct SessionRows<K, A> {
    node: usize,
    store: usize,
    topic: Arc<str>,
    cached: bool,
    /// Updates go to the next operators; not where results are sent only when windows close.
    forwards: bool,
    sends_old: bool,
    value: FormatOf<A>,
    outputs: Outputs<Windowed<K>, Change<A>>,
    local: Scratch,
}

impl<K: Clone + 'static, A: Clone + 'static> SessionRows<K, A> {
    /// The rows of node `node` in `store`. `key` is the format of the store's keys.
    pub(crate) fn wire(
        wiring: &mut Wiring<'_>,
        node: usize,
        store: usize,
        (key, value): (FormatOf<Windowed<K>>, FormatOf<A>),
        forwards: bool,
    ) -> Self {
        let outputs = wiring.outputs::<Windowed<K>, Change<A>>(node);
        let topic: Arc<str> = wiring.topology.changelog(store).into();
        let sends_old = wiring.topology.sends_old(node);
        let cached = wiring.topology.stores[store].cached;
        if cached && forwards {
            let flusher = Flusher {
                store,
                topic: topic.clone(),
                sends_old,
                key,
                value: value.clone(),
                outputs: outputs.clone(),
                before: Scratch::default(),
            };
            wiring.flushers[store] = Some(Rc::new(flusher));
        }
        Self {
            node,
            store,
            topic,
            cached,
            forwards,
            sends_old,
            value,
            outputs,
            local: Scratch::default(),
        }
    }

    pub(crate) fn store(&self) -> usize {
        self.store
    }

    /// The changelog's name, which formats see.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// The operator has seen a record of this time: sessions that end too long before it may expire.
    pub(crate) fn observe(&self, ctx: &mut Context<'_>, time: i64) {
        ctx.state.store(self.store).observe(self.node, time);
    }

    /// True when [`SessionRows::put`] uses the row before; with the record cache the flush reads it instead.
    pub(crate) fn needs_old(&self) -> bool {
        self.sends_old && self.forwards && !self.cached
    }

    /// A row as the store keeps it.
    pub(crate) fn decode(&self, local: &[u8]) -> Result<A> {
        decode_session(&self.value, &self.topic, local)
    }

    /// Sets or removes the row of a session of the record's key; answers whether it is there now.
    pub(crate) fn put<V>(
        &self,
        ctx: &mut Context<'_>,
        record: &Record<K, V>,
        key_bytes: &[u8],
        session: Session,
        new: Option<A>,
        old: Option<A>,
    ) -> Result<bool> {
        let mut local = self.local.take();
        let new = new.filter(|new| !self.value.is_null(new));
        if let Some(new) = &new {
            self.value
                .encode(&self.topic, &mut Headers::default(), new, &mut local)
                .map_err(|error| Error::format(&self.topic, &error))?;
        }
        let present = new.is_some();
        let bytes = present.then_some(local.as_slice());
        let slot = ctx.state.store(self.store).cache.filter(|_| self.cached);
        if let Some(slot) = slot {
            let (timestamp, position) = (record.timestamp, record.position);
            let entry = ctx.entry(self.store, timestamp, &record.headers, position);
            ctx.cache_put(self.store, slot, key_bytes, bytes, &entry)?;
            self.local.give(local);
            return Ok(present);
        }
        let headers = &record.headers;
        ctx.write_caused(self.store, key_bytes, bytes, record.timestamp, headers)?;
        self.local.give(local);
        if !self.forwards || self.outputs.is_empty() {
            return Ok(present);
        }
        let key = Windowed {
            key: record.key.clone(),
            start: session.start,
            end: session.end,
        };
        let old = old.filter(|_| self.sends_old);
        // Without headers, as in Kafka Streams.
        let mut update = Record::new(key, Some(Change::latest(new, old)), session.end);
        update.position = record.position;
        self.outputs.send(ctx, update)?;
        Ok(present)
    }
}

/// A session's row from the bytes a store keeps.
pub(crate) fn decode_session<A>(format: &FormatOf<A>, topic: &str, local: &[u8]) -> Result<A> {
    format
        .decode(topic, HeadersRef::NONE, local)
        .map_err(|error| Error::BadData {
            topic: topic.into(),
            partition: 0,
            offset: 0,
            reason: error.to_string(),
        })
}

struct Flusher<K, A> {
    store: usize,
    topic: Arc<str>,
    sends_old: bool,
    key: FormatOf<Windowed<K>>,
    value: FormatOf<A>,
    outputs: Outputs<Windowed<K>, Change<A>>,
    before: Scratch,
}

impl<K: Clone, A: Clone> Flush for Flusher<K, A> {
    fn flush(&self, ctx: &mut Context<'_>, update: Update<'_>) -> Result<()> {
        let mut old = None;
        if self.sends_old || update.value.is_none() {
            let mut before = self.before.take();
            // Below the record cache: the row as it was last sent on.
            let state: &mut StateStore = ctx.state.store(self.store);
            if state.get(update.key, &mut before)? {
                old = Some(decode_session(&self.value, &self.topic, &before)?);
            }
            self.before.give(before);
            if old.is_none() && update.value.is_none() {
                return Ok(()); // Created and removed between two flushes: nobody saw it.
            }
        }
        let headers = Headers::unpack(update.headers);
        let (key, timestamp) = (update.key, update.timestamp);
        ctx.write_caused(self.store, key, update.value, timestamp, &headers)?;
        if self.outputs.is_empty() {
            return Ok(());
        }
        let key = self
            .key
            .decode(&self.topic, HeadersRef::NONE, update.key)
            .map_err(|error| Error::format(&self.topic, &error))?;
        let new = match update.value {
            Some(local) => Some(decode_session(&self.value, &self.topic, local)?),
            None => None,
        };
        let old = old.filter(|_| self.sends_old);
        let timestamp = key.end;
        let mut record = Record::new(key, Some(Change::latest(new, old)), timestamp);
        // A store that keeps headers tells those of the row, and a session's row has none.
        if ctx.state.store(self.store).kept != crate::topology::Kept::WithHeaders {
            record.headers = headers;
        }
        record.position = update.position;
        self.outputs.send(ctx, record)
    }
}

/// Reads the rows of a table of sessions from its store.
pub(crate) struct StoredSessions<K, A> {
    pub(crate) store: usize,
    pub(crate) topic: Arc<str>,
    pub(crate) key: FormatOf<Windowed<K>>,
    pub(crate) value: FormatOf<A>,
    pub(crate) key_bytes: Scratch,
    pub(crate) local: Scratch,
}

impl<K, A> Rows<Windowed<K>, A> for StoredSessions<K, A> {
    fn get(&self, ctx: &mut Context<'_>, key: &Windowed<K>) -> Result<Option<Row<A>>> {
        let mut key_bytes = self.key_bytes.take();
        let mut row = None;
        if super::encode_key(&self.key, &self.topic, key, &mut key_bytes)? {
            let mut local = self.local.take();
            if ctx.get(self.store, &key_bytes, &mut local)? {
                let value = decode_session(&self.value, &self.topic, &local)?;
                let timestamp = key.end;
                row = Some(Row { value, timestamp });
            }
            self.local.give(local);
        }
        self.key_bytes.give(key_bytes);
        Ok(row)
    }
}
