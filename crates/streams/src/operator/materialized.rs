//! A table's rows in their store: read, updated, cached and sent on as changes.
//! Not one operator: aggregates and table sources share it. Invariant: an update reaches the store, its changelog and the
//! next operator in that order, at once without the record cache, at the flush with it.

use crate::format::FormatOf;
use crate::task::{Context, Flush, Outputs, StateStore, Update, Wiring};
use crate::{Change, Error, Headers, Position, Record, Result};
use headwater_log::HeadersRef;
use std::{cell::RefCell, rc::Rc, sync::Arc};

/// The context of an update: when, and from which record.
pub(crate) struct Cause<'a> {
    pub(crate) timestamp: i64,
    pub(crate) headers: &'a Headers,
    pub(crate) position: Position,
}

pub(crate) struct Materialized<K, V> {
    store: usize,
    topic: Arc<str>,
    cached: bool,
    sends_old: bool,
    value: FormatOf<V>,
    outputs: Outputs<K, Change<V>>,
    local: Vec<u8>,
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
        let outputs = wiring.outputs::<K, Change<V>>(node);
        let topic: Arc<str> = wiring.topology.changelog(store).into();
        let sends_old = wiring.topology.nodes[node].sends_old;
        let cached = wiring.topology.stores[store].cached;
        if cached {
            let flusher = Flusher {
                store,
                topic: topic.clone(),
                sends_old,
                key,
                value: value.clone(),
                outputs: outputs.clone(),
            };
            wiring.flushers[store] = Some(Rc::new(RefCell::new(flusher)));
        }
        Self {
            store,
            topic,
            cached,
            sends_old,
            value,
            outputs,
            local: Vec::new(),
        }
    }

    /// The changelog's name, which formats see.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// The operator has seen a record of this time: windows that end too long before it may expire.
    pub(crate) fn observe(&self, ctx: &mut Context<'_>, time: i64) {
        ctx.state.store(self.store).observed_time = time;
    }

    /// True when [`Materialized::put`] uses the row before; with the record cache the flush reads it instead.
    pub(crate) fn needs_old(&self) -> bool {
        self.sends_old && !self.cached
    }

    /// `old` for [`Materialized::put`]: copied only where it is used.
    #[inline]
    pub(crate) fn kept(&self, old: &Option<V>) -> Option<V> {
        if self.needs_old() { old.clone() } else { None }
    }

    /// The row under `key` and its timestamp.
    #[inline]
    pub(crate) fn get(&mut self, ctx: &mut Context<'_>, key: &[u8]) -> Result<Option<(V, i64)>> {
        if !ctx.get_cached(self.store, key, &mut self.local)? {
            return Ok(None);
        }
        decode_row(&self.value, &self.topic, &self.local).map(Some)
    }

    /// Sets or deletes the row. `old` is the row before, where [`Materialized::needs_old`].
    pub(crate) fn put(
        &mut self,
        ctx: &mut Context<'_>,
        key_bytes: &[u8],
        key: impl FnOnce() -> K,
        new: Option<V>,
        old: Option<V>,
        cause: Cause<'_>,
    ) -> Result<()> {
        let present = encode_row(
            &self.value,
            &self.topic,
            new.as_ref(),
            cause.timestamp,
            &mut self.local,
        )?;
        let local = present.then_some(self.local.as_slice());
        let slot = ctx.state.store(self.store).cache.filter(|_| self.cached);
        if let Some(slot) = slot {
            let entry = ctx.entry(self.store, cause.timestamp, cause.headers, cause.position);
            return ctx.cache_put(self.store, slot, key_bytes, local, &entry);
        }
        ctx.write(self.store, key_bytes, local, cause.timestamp)?;
        if self.outputs.is_empty() {
            return Ok(());
        }
        let change = Change {
            new: new.filter(|_| present),
            old: old.filter(|_| self.sends_old),
        };
        let (timestamp, position) = (cause.timestamp, cause.position);
        self.outputs.send(
            ctx,
            Record {
                key: key(),
                value: Some(change),
                timestamp,
                headers: cause.headers.clone(),
                position,
            },
        )
    }
}

/// `timestamp (8) | value` in `local`; false, and a bare timestamp, when the row is deleted.
fn encode_row<V>(
    format: &FormatOf<V>,
    topic: &str,
    row: Option<&V>,
    timestamp: i64,
    local: &mut Vec<u8>,
) -> Result<bool> {
    local.clear();
    local.extend_from_slice(&timestamp.to_be_bytes());
    match row {
        Some(row) if !format.is_null(row) => {
            format
                .encode(topic, &mut Headers::default(), row, local)
                .map_err(|error| Error::format(topic, &error))?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// A row and its timestamp from the bytes a store keeps.
pub(crate) fn decode_row<V>(format: &FormatOf<V>, topic: &str, local: &[u8]) -> Result<(V, i64)> {
    let damaged = |reason: String| Error::BadData {
        topic: topic.into(),
        partition: 0,
        offset: 0,
        reason,
    };
    let Some((timestamp, plain)) = local.split_first_chunk::<8>() else {
        return Err(damaged("a stored row is shorter than its timestamp".into()));
    };
    let row = format
        .decode(topic, HeadersRef::NONE, plain)
        .map_err(|error| damaged(error.to_string()))?;
    Ok((row, i64::from_be_bytes(*timestamp)))
}

struct Flusher<K, V> {
    store: usize,
    topic: Arc<str>,
    sends_old: bool,
    key: FormatOf<K>,
    value: FormatOf<V>,
    outputs: Outputs<K, Change<V>>,
}

impl<K: Clone, V: Clone> Flush for Flusher<K, V> {
    fn flush(&mut self, ctx: &mut Context<'_>, update: Update<'_>) -> Result<()> {
        let Update {
            key,
            value: local,
            timestamp,
            headers,
            position,
        } = update;
        let mut old = None;
        if self.sends_old || local.is_none() {
            let mut before = std::mem::take(&mut ctx.state.scratch);
            // Below the record cache: the row as it was last sent on.
            let StateStore { bytes, .. } = ctx.state.store(self.store);
            if bytes.get(key, &mut before)? {
                old = Some(decode_row(&self.value, &self.topic, &before)?.0);
            }
            ctx.state.scratch = before;
            if old.is_none() && local.is_none() {
                return Ok(()); // Created and deleted between two flushes: nobody saw it.
            }
        }
        ctx.write(self.store, key, local, timestamp)?;
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
        let value = Some(Change {
            new,
            old: old.filter(|_| self.sends_old),
        });
        let headers = Headers::unpack(headers);
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
