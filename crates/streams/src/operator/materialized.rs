//! A table's rows in their store: read, updated, cached and sent on as changes.
//! Not one operator: aggregates and table sources share it. Invariant: an update reaches the store, its changelog and the
//! next operator in that order, at once without the record cache, at the flush with it.

use super::time_to_live::Sweep;
use crate::dsl::store_formats;
use crate::format::{Code, Codec, FormatOf};
use crate::task::{Context, Flush, Meta, Outputs, Row, Rows, Scratch, Step, Update, Wiring};
use crate::{Change, Error, Headers, Position, Record, Result, Semantics};
use headwater_log::HeadersRef;
use headwater_store::{Layout, versioned};
use std::{rc::Rc, sync::Arc};

/// The context of an update: when, and from which record.
pub(crate) struct Cause<'a> {
    /// The time of the row.
    pub(crate) timestamp: i64,
    /// The time of the record itself, under which a deletion is logged: there is no row to say when.
    pub(crate) record_timestamp: i64,
    pub(crate) headers: &'a Headers,
    pub(crate) position: Position,
}

impl<'a> Cause<'a> {
    /// The row is as old as the record.
    pub(crate) fn at(timestamp: i64, headers: &'a Headers, position: Position) -> Self {
        Self {
            timestamp,
            record_timestamp: timestamp,
            headers,
            position,
        }
    }
}

/// The rows that an operator keeps, with the format of their keys.
pub(crate) struct Kept<K, V> {
    pub(crate) key: FormatOf<K>,
    pub(crate) rows: Materialized<K, V>,
    pub(crate) key_bytes: Scratch,
}

impl<K: Clone + 'static, V: Clone + 'static> Kept<K, V> {
    /// The rows of node `node` in `store`, by the formats of the store.
    pub(crate) fn wire(wiring: &mut Wiring<'_>, node: usize, store: usize) -> Self {
        let (key, value) = store_formats::<K, V>(wiring, store);
        Self {
            rows: Materialized::wire(wiring, node, store, key.clone(), value),
            key,
            key_bytes: Scratch::default(),
        }
    }
}

pub(crate) struct Materialized<K, V> {
    node: usize,
    store: usize,
    topic: Arc<str>,
    cached: bool,
    /// Its store keeps versions.
    versioned: bool,
    /// Updates go to the next operators; not where results are sent only when windows close.
    forwards: bool,
    semantics: Semantics,
    sends_old: bool,
    /// Rows leave so long after their timestamps.
    time_to_live_ms: Option<i64>,
    value: Codec<V>,
    outputs: Outputs<K, Change<V>>,
    local: Scratch,
}

impl<K: Clone + 'static, V: Clone + 'static> Materialized<K, V> {
    /// The rows of node `node` in `store`. `key` is the format of the store's keys.
    pub(crate) fn wire(
        wiring: &mut Wiring<'_>,
        node: usize,
        store: usize,
        key: FormatOf<K>,
        value: FormatOf<V>,
    ) -> Self {
        Self::wire_as(wiring, node, store, (key, value), true)
    }

    /// As [`Materialized::wire`]; without `forwards` updates reach store and changelog only.
    pub(crate) fn wire_as(
        wiring: &mut Wiring<'_>,
        node: usize,
        store: usize,
        (key, value): (FormatOf<K>, FormatOf<V>),
        forwards: bool,
    ) -> Self {
        let outputs = wiring.outputs::<K, Change<V>>(node);
        let topic: Arc<str> = wiring.topology.changelog(store).into();
        let sends_old = wiring.topology.sends_old(node);
        let cached = wiring.topology.stores[store].cached;
        let (keys, value) = (key.clone(), Codec::from(value));
        if cached && forwards {
            let flusher = Flusher {
                store,
                topic: topic.clone(),
                sends_old,
                key: key.into(),
                value: value.clone(),
                outputs: outputs.clone(),
                before: Scratch::default(),
            };
            wiring.flushers[store] = Some(Rc::new(flusher));
        }
        let spec = &wiring.topology.stores[store];
        let rows = Self {
            node,
            store,
            topic,
            cached,
            versioned: matches!(spec.layout, Layout::Versioned { .. }),
            forwards,
            semantics: wiring.topology.settings.semantics,
            sends_old,
            time_to_live_ms: spec.time_to_live_ms,
            value,
            outputs,
            local: Scratch::default(),
        };
        if let Some(limit_ms) = spec.time_to_live_ms {
            let sweep = Sweep::new(rows.twin(), keys, limit_ms);
            wiring.sweeps.push(Rc::new(sweep));
        }
        rows
    }

    /// Another writer of the same rows.
    fn twin(&self) -> Self {
        Self {
            topic: self.topic.clone(),
            value: self.value.clone(),
            outputs: self.outputs.clone(),
            local: Scratch::default(),
            ..*self
        }
    }

    /// False for a row of time `timestamp` that has outlived its time: it counts as deleted, and is, once somebody comes by.
    #[inline]
    pub(crate) fn is_live(&self, ctx: &Context<'_>, timestamp: i64) -> bool {
        is_live(ctx, timestamp, self.time_to_live_ms)
    }

    /// Deletes a row that has outlived its time, as of the ms in which it did; `row` is what it was.
    #[inline(never)]
    pub(crate) fn expire(
        &self,
        ctx: &mut Context<'_>,
        key_bytes: &[u8],
        key: K,
        (row, timestamp): (V, i64),
    ) -> Result<()> {
        let none = Headers::default();
        let ended = timestamp.saturating_add(self.time_to_live_ms.unwrap_or(0));
        let old = self.needs_old().then_some(row);
        let cause = Cause::at(ended, &none, Position::NONE);
        self.put(ctx, key_bytes, || key, None, old, cause)?;
        Ok(())
    }

    pub(crate) fn store(&self) -> usize {
        self.store
    }

    /// A row as the store keeps it, and its timestamp.
    pub(crate) fn decode(&self, local: &[u8]) -> Step<(V, i64)> {
        decode_row(&self.value, &self.topic, local)
    }

    /// The changelog's name, which formats see.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// The operator has seen a record of this time: windows that end too long before it may expire.
    pub(crate) fn observe(&self, ctx: &mut Context<'_>, time: i64) {
        ctx.state.store(self.store).observe(self.node, time);
    }

    /// True when [`Materialized::put`] uses the row before; with the record cache the flush reads it instead.
    pub(crate) fn needs_old(&self) -> bool {
        self.sends_old && self.forwards && !self.cached
    }

    /// `old` for [`Materialized::put`] of a row that was not there. Kafka Streams tells the row it began with.
    pub(crate) fn kept_initial(&self, initial: &Option<V>) -> Option<V> {
        match self.semantics {
            Semantics::Java => self.kept(initial),
            Semantics::Headwater => None,
        }
    }

    /// True when an operator that only wants to send the row before should read it: reads that nobody needs but that change
    /// what the record cache holds are made too, where Kafka Streams makes them.
    pub(crate) fn reads_old(&self) -> bool {
        self.needs_old() || (self.cached && self.semantics == Semantics::Java)
    }

    /// `old` for [`Materialized::put`]: copied only where it is used.
    #[inline]
    pub(crate) fn kept(&self, old: &Option<V>) -> Option<V> {
        if self.needs_old() { old.clone() } else { None }
    }

    /// The row under `key` and its timestamp.
    #[inline]
    pub(crate) fn get(&self, ctx: &mut Context<'_>, key: &[u8]) -> Step<Option<(V, i64)>> {
        if self.versioned {
            return self.get_version(ctx, key);
        }
        let mut local = self.local.take();
        let mut row = None;
        if ctx.get(self.store, key, &mut local)? {
            row = Some(decode_row(&self.value, &self.topic, &local)?);
        }
        self.local.give(local);
        Ok(row)
    }

    #[inline(never)]
    fn get_version(&self, ctx: &mut Context<'_>, key: &[u8]) -> Step<Option<(V, i64)>> {
        let version = versioned::get(&ctx.state.store(self.store).bytes, key)?;
        let row = version.map(|version| decode_version(&self.value, &self.topic, &version));
        Ok(row.transpose()?)
    }

    /// Writes `local`, the row valid from `timestamp` on, past the record cache; its changelog record is of `written`. Answers
    /// whether it is the latest of its key; `None` when the store no longer takes it, which is nothing that happened.
    #[inline]
    fn write(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        local: Option<&[u8]>,
        timestamp: i64,
        (written, headers): (i64, &Headers),
    ) -> Step<Option<bool>> {
        if !self.versioned {
            ctx.write_caused(self.store, key, local, written, headers)?;
            return Ok(Some(true));
        }
        self.write_version(ctx, key, local, timestamp)
    }

    #[inline(never)]
    fn write_version(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        local: Option<&[u8]>,
        timestamp: i64,
    ) -> Step<Option<bool>> {
        let plain = local.map(|local| &local[8..]);
        Ok(
            match ctx.write_version(self.store, key, plain, timestamp)? {
                versioned::Put::Latest => Some(true),
                versioned::Put::Until(_) => Some(false),
                versioned::Put::Expired => None,
            },
        )
    }

    /// Sets or deletes the row; answers whether it is there now. `old` is the row before, where [`Materialized::needs_old`].
    #[inline]
    pub(crate) fn put(
        &self,
        ctx: &mut Context<'_>,
        key_bytes: &[u8],
        key: impl FnOnce() -> K,
        new: Option<V>,
        old: Option<V>,
        cause: Cause<'_>,
    ) -> Step<bool> {
        let mut local = self.local.take();
        let timestamp = cause.timestamp;
        let present = encode_row(
            &self.value,
            &self.topic,
            new.as_ref(),
            timestamp,
            &mut local,
        )?;
        let bytes = present.then_some(local.as_slice());
        let written = if present {
            timestamp
        } else {
            cause.record_timestamp
        };
        let slot = ctx.state.store(self.store).cache.filter(|_| self.cached);
        if let Some(slot) = slot {
            self.put_cached(ctx, slot, key_bytes, bytes, (written, &cause))?;
            self.local.give(local);
            return Ok(present);
        }
        let is_latest = self.write(ctx, key_bytes, bytes, timestamp, (written, cause.headers));
        self.local.give(local);
        let Some(is_latest) = is_latest? else {
            return Ok(false);
        };
        if !self.forwards || self.outputs.is_empty() {
            return Ok(present);
        }
        let change = Change {
            new: new.filter(|_| present),
            old: old.filter(|_| self.sends_old),
            is_latest,
        };
        let mut meta = Meta {
            timestamp,
            headers: cause.headers.clone(),
            position: cause.position,
        };
        self.outputs.pass(ctx, key(), Some(change), &mut meta)?;
        Ok(present)
    }

    #[inline(never)]
    fn put_cached(
        &self,
        ctx: &mut Context<'_>,
        slot: usize,
        key: &[u8],
        local: Option<&[u8]>,
        (written, cause): (i64, &Cause<'_>),
    ) -> Result<()> {
        let entry = ctx.entry(self.store, written, cause.headers, cause.position);
        ctx.cache_put(self.store, slot, key, local, &entry)
    }
}

/// True while stream time has not passed `timestamp` by the time to live, where there is one.
#[inline]
fn is_live(ctx: &Context<'_>, timestamp: i64, time_to_live_ms: Option<i64>) -> bool {
    time_to_live_ms.is_none_or(|limit| ctx.state.stream_time.saturating_sub(limit) <= timestamp)
}

/// `timestamp (8) | value` in `local`; false, and a bare timestamp, when the row is deleted.
#[inline(always)]
fn encode_row<V>(
    format: &impl Code<V>,
    topic: &str,
    row: Option<&V>,
    timestamp: i64,
    local: &mut Vec<u8>,
) -> Step<bool> {
    local.clear();
    local.extend_from_slice(&timestamp.to_be_bytes());
    let Some(row) = row else {
        return Ok(false);
    };
    match format.encode_present(topic, &mut Headers::default(), row, local) {
        Ok(present) => Ok(present),
        Err(error) => Err(Error::format(topic, &error).into()),
    }
}

/// A row and its timestamp from the bytes a store keeps.
#[inline(always)]
pub(crate) fn decode_row<V>(format: &impl Code<V>, topic: &str, local: &[u8]) -> Step<(V, i64)> {
    let Some((timestamp, plain)) = local.split_first_chunk::<8>() else {
        let reason = "a stored row is shorter than its timestamp";
        return Err(damaged(topic, &reason));
    };
    match format.decode(topic, HeadersRef::NONE, plain) {
        Ok(row) => Ok((row, i64::from_be_bytes(*timestamp))),
        Err(error) => Err(damaged(topic, &error)),
    }
}

#[cold]
fn damaged(topic: &str, reason: &dyn std::fmt::Display) -> Box<Error> {
    Box::new(Error::BadData {
        topic: topic.into(),
        partition: 0,
        offset: 0,
        reason: reason.to_string(),
    })
}

/// A row and its timestamp from one of its versions.
pub(crate) fn decode_version<V>(
    format: &impl Code<V>,
    topic: &str,
    version: &versioned::Version,
) -> Result<(V, i64)> {
    let row = format.decode(topic, HeadersRef::NONE, &version.value);
    let row = row.map_err(|error| Error::format(topic, &error))?;
    Ok((row, version.valid_from_ms))
}

struct Flusher<K, V> {
    store: usize,
    topic: Arc<str>,
    sends_old: bool,
    key: Codec<K>,
    value: Codec<V>,
    outputs: Outputs<K, Change<V>>,
    before: Scratch,
}

impl<K: Clone + 'static, V: Clone + 'static> Flush for Flusher<K, V> {
    fn flush(&self, ctx: &mut Context<'_>, update: Update<'_>) -> Result<()> {
        let Update {
            key,
            value: local,
            timestamp,
            headers,
            position,
        } = update;
        let mut old = None;
        if self.sends_old || local.is_none() {
            let mut before = self.before.take();
            // Below the record cache: the row as it was last sent on.
            if ctx.state.store(self.store).get(key, &mut before)? {
                old = Some(decode_row(&self.value, &self.topic, &before)?.0);
            }
            self.before.give(before);
            if old.is_none() && local.is_none() {
                return Ok(()); // Created and deleted between two flushes: nobody saw it.
            }
        }
        let headers = Headers::unpack(headers);
        ctx.write_caused(self.store, key, local, timestamp, &headers)?;
        if self.outputs.is_empty() {
            return Ok(());
        }
        let key = self
            .key
            .decode(&self.topic, HeadersRef::NONE, key)
            .map_err(|error| Error::format(&self.topic, &error))?;
        let new = match local {
            Some(local) => Some(decode_row(&self.value, &self.topic, local)?.0),
            None => None,
        };
        let value = Some(Change::latest(new, old.filter(|_| self.sends_old)));
        self.outputs.send(
            ctx,
            Record {
                key,
                value,
                timestamp,
                headers,
                position,
            },
        )
    }
}

/// Reads the rows of a table from its store.
pub(crate) struct StoredRows<K, V> {
    store: usize,
    time_to_live_ms: Option<i64>,
    topic: Arc<str>,
    key: Codec<K>,
    value: Codec<V>,
    key_bytes: Scratch,
    local: Scratch,
}

impl<K, V> StoredRows<K, V> {
    /// The rows in `store`, whose formats these are.
    pub(crate) fn new(
        wiring: &Wiring<'_>,
        store: usize,
        key: FormatOf<K>,
        value: FormatOf<V>,
    ) -> Self {
        Self {
            store,
            time_to_live_ms: wiring.topology.stores[store].time_to_live_ms,
            topic: wiring.topology.changelog(store).into(),
            key: key.into(),
            value: value.into(),
            key_bytes: Scratch::default(),
            local: Scratch::default(),
        }
    }
}

impl<K: 'static, V: 'static> Rows<K, V> for StoredRows<K, V> {
    fn get(&self, ctx: &mut Context<'_>, key: &K) -> Result<Option<Row<V>>> {
        let mut key_bytes = self.key_bytes.take();
        let mut row = None;
        if super::encode_key(&self.key, &self.topic, key, &mut key_bytes)? {
            let mut local = self.local.take();
            if ctx.get(self.store, &key_bytes, &mut local)? {
                let (value, timestamp) = decode_row(&self.value, &self.topic, &local)?;
                if is_live(ctx, timestamp, self.time_to_live_ms) {
                    row = Some(Row { value, timestamp });
                }
            }
            self.local.give(local);
        }
        self.key_bytes.give(key_bytes);
        Ok(row)
    }
}
