//! What a task lends to an operator while one record passes through: stores, record cache, outputs.
//! Not for applications: `ProcessorContext` is. Invariant: every write to a logged store goes to its changelog too.

use super::{CachedStore, Dirty, Output, Step, TaskState};
use crate::topology::{Kept, split_headers};
use crate::{Headers, Position, Result, Semantics};
use headwater_log::{AppendRecord, HeadersRef};
use headwater_store::{
    Direction, Entry, KEYS_AHEAD_MAX, KeyRange, ReadBytes, RecordCache, Visit, versioned,
};

pub(crate) struct Context<'a> {
    pub(crate) state: &'a mut TaskState,
    pub(crate) cache: &'a mut RecordCache,
    pub(crate) output: &'a mut dyn Output,
}

impl Context<'_> {
    /// Reads a store through its record cache into `value`, and keeps there what was read from the store where Kafka Streams
    /// does (`CachingKeyValueStore.getInternal`): what is cached decides what is evicted, and so what is sent on.
    #[inline(always)]
    pub(crate) fn get(&mut self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Step<bool> {
        match &self.state.stores[store] {
            Some(state) if state.cache.is_none() && state.is_plain() => {
                Ok(state.bytes.get(key, value)?)
            }
            _ => self.get_unplain(store, key, value),
        }
    }

    #[inline(never)]
    fn get_unplain(&mut self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Step<bool> {
        let TaskState {
            stores, globals, ..
        } = &mut *self.state;
        let Some(state) = &mut stores[store] else {
            // Not of this task: global, which its process keeps.
            return match globals.cache_slot(store) {
                None => Ok(globals.get(store, key, value)?),
                Some(slot) => Ok(self.get_global_cached(store, slot, key, value)?),
            };
        };
        let Some(slot) = state.cache else {
            return Ok(state.get(key, value)?);
        };
        if let Some(entry) = self.cache.get(slot, key) {
            value.clear();
            return Ok(match &entry.value {
                Some(bytes) => {
                    value.extend_from_slice(bytes);
                    true
                }
                None => false,
            });
        }
        if !state.get(key, value)? {
            return Ok(false);
        }
        if state.caches_reads {
            let overhead = state.read_overhead(key, value)? as u32;
            self.cache.put_clean_slice(slot, key, value, overhead);
            self.evict(store, slot)?;
        }
        Ok(true)
    }

    /// A row of a global store that shares the tasks' record cache, as in `TopologyTestDriver`.
    #[cold]
    fn get_global_cached(
        &mut self,
        store: usize,
        slot: usize,
        key: &[u8],
        value: &mut Vec<u8>,
    ) -> Result<bool> {
        if let Some(entry) = self.cache.get(slot, key) {
            value.clear();
            value.extend_from_slice(entry.value.as_deref().unwrap_or_default());
            return Ok(entry.value.is_some());
        }
        if !self.state.globals.get(store, key, value)? {
            return Ok(false);
        }
        self.cache.put_clean_slice(slot, key, value, 0);
        self.evict(store, slot)?;
        Ok(true)
    }

    /// True when a store without a record cache has `key`.
    pub(crate) fn holds(&mut self, store: usize, key: &[u8]) -> Result<bool> {
        let mut value = std::mem::take(&mut self.state.value);
        let found = self.state.store(store).bytes.get(key, &mut value);
        self.state.value = value;
        Ok(found?)
    }

    /// Visits the entries of a store, its record cache included, or of a global one.
    pub(crate) fn scan(
        &self,
        store: usize,
        range: KeyRange<'_>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        match self.state.stores[store] {
            Some(_) => Ok(self.cached(store).scan(range, direction, visit)?),
            None => self.state.globals.scan(store, range, direction, visit),
        }
    }

    /// A store with what the record cache holds over it, for ranges.
    pub(crate) fn cached(&self, store: usize) -> CachedStore<'_> {
        CachedStore {
            store: self.state.stores[store]
                .as_ref()
                .expect("operators name only stores of their sub-topology"),
            cache: self.cache,
            hides: false,
            uses: self.state.semantics == Semantics::Java,
        }
    }

    /// Writes the store and its changelog, past the record cache. A timestamped value is written under its own timestamp,
    /// all else under `timestamp`.
    #[inline]
    pub(crate) fn write(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: i64,
    ) -> Step {
        let none = Headers::default();
        self.write_with_headers(store, key, value, timestamp, (&none, HeadersRef::NONE))
    }

    /// As [`Context::write`]. `cause` are the headers of the record that is processed: a deletion takes them to the changelog of
    /// a store that keeps headers (`ChangeLoggingTimestampedKeyValueBytesStoreWithHeaders`).
    #[inline(always)]
    pub(crate) fn write_caused(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: i64,
        cause: &Headers,
    ) -> Step {
        let state = self.state.store(store);
        if !state.is_plain() {
            return self.write_unplain(store, key, value, timestamp, cause);
        }
        match value {
            Some(value) => state.bytes.put(key, value)?,
            None => state.bytes.delete(key)?,
        }
        self.log_written(store, key, value, timestamp, HeadersRef::NONE)
    }

    #[inline(never)]
    fn write_unplain(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: i64,
        cause: &Headers,
    ) -> Step {
        self.state
            .store(store)
            .set(key, value, &Headers::default())?;
        self.log_row(store, key, value, timestamp, cause)
    }

    /// Tells the changelog of a row as a processor's store keeps it, headers and timestamp beside the value where it has them;
    /// a row without a timestamp, or a deletion, has `timestamp`.
    pub(crate) fn log_row(
        &mut self,
        store: usize,
        key: &[u8],
        row: Option<&[u8]>,
        timestamp: i64,
        cause: &Headers,
    ) -> Step {
        let state = self.state.store(store);
        let (headers, row) = match row {
            Some(row) if state.kept == Kept::OwnHeaders => {
                let (headers, row) = split_headers(&state.name, row)?;
                (headers, Some(row))
            }
            None if state.kept.tells_deletions() => (cause.as_ref(), None),
            row => (HeadersRef::NONE, row),
        };
        self.log_written(store, key, row, timestamp, headers)
    }

    /// As [`Context::write`], with headers beside the value, in a store that keeps them, and on the changelog's record.
    #[inline]
    pub(crate) fn write_with_headers(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: i64,
        (kept, headers): (&Headers, HeadersRef<'_>),
    ) -> Step {
        self.state.store(store).set(key, value, kept)?;
        self.log_written(store, key, value, timestamp, headers)
    }

    /// What was written to a store goes to its changelog, where it has one.
    #[inline(always)]
    fn log_written(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: i64,
        headers: HeadersRef<'_>,
    ) -> Step {
        let state = self.state.store(store);
        if !state.logged {
            return Ok(());
        }
        let timed = value.filter(|_| state.timestamped);
        let timed = timed.and_then(|value| value.split_first_chunk::<8>());
        let (timestamp, plain) = match timed {
            Some((timestamp, plain)) => (i64::from_be_bytes(*timestamp), Some(plain)),
            None => (timestamp, value),
        };
        if state.logs_evicted {
            self.log_evicted(store, timestamp)?;
        }
        self.log_change(store, key, plain, timestamp, headers)
    }

    /// Deletes in the changelog what a write has evicted from the store.
    #[inline(never)]
    fn log_evicted(&mut self, store: usize, timestamp: i64) -> Step {
        for key in self.state.store(store).bytes.take_evicted() {
            self.log_change(store, &key, None, timestamp, HeadersRef::NONE)?;
        }
        Ok(())
    }

    /// A record for a store's changelog.
    #[inline(always)]
    pub(crate) fn log_change(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: i64,
        headers: HeadersRef<'_>,
    ) -> Step {
        let record = AppendRecord {
            timestamp,
            key: Some(key),
            value,
            headers,
        };
        let partition = self.state.id.partition;
        Ok(self.output.changelog(store, partition, &record)?)
    }

    /// As [`Context::write`], for a store of versions: `value` is valid from `timestamp` on. The changelog gets it even where the
    /// store does not, as in Java (`ChangeLoggingVersionedKeyValueBytesStore`).
    pub(crate) fn write_version(
        &mut self,
        store: usize,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp: i64,
    ) -> Result<versioned::Put> {
        let java = self.state.semantics == Semantics::Java;
        let state = self.state.store(store);
        let put = match java {
            true => versioned::put_forgetful(&mut state.bytes, key, value, timestamp)?,
            false => versioned::put(&mut state.bytes, key, value, timestamp)?,
        };
        if state.logged {
            self.log_change(store, key, value, timestamp, HeadersRef::NONE)?;
        }
        Ok(put)
    }

    /// Puts an update into the record cache; evicts, which flushes, while the cache is over its budget.
    pub(crate) fn cache_put(
        &mut self,
        store: usize,
        slot: usize,
        key: &[u8],
        value: Option<&[u8]>,
        cause: &Entry,
    ) -> Result<()> {
        self.cache.put_slice(slot, key, value, cause);
        self.evict(store, slot)?;
        match self.state.semantics {
            Semantics::Headwater => Ok(()),
            Semantics::Java => self.cache_index(store, slot, key, cause),
        }
    }

    /// Drops the eldest entries, and flushes with them, while the record cache is over its budget.
    #[inline]
    pub(super) fn evict(&mut self, store: usize, slot: usize) -> Result<()> {
        while self.cache.over_budget(slot) && !self.is_flushing(store) {
            self.evict_eldest(store, slot)?;
        }
        Ok(())
    }

    /// True while updates of `store` are handed out one by one. Those that still wait are neither dirty nor below the cache yet: who
    /// reads such a row finds it in the cache or finds the row before it, so nothing of this store may be dropped meanwhile. What is
    /// read meanwhile makes the cache larger than its budget, by one row for each update at most. Kafka Streams drops all the same.
    #[cold]
    fn is_flushing(&self, store: usize) -> bool {
        self.state.semantics == Semantics::Headwater
            && (self.state.stores[store].as_ref()).is_some_and(|state| state.is_flushing)
    }

    fn set_flushing(&mut self, store: usize, is_flushing: bool) {
        if let Some(state) = &mut self.state.stores[store] {
            state.is_flushing = is_flushing;
        }
    }

    fn evict_eldest(&mut self, store: usize, slot: usize) -> Result<()> {
        let java = self.state.semantics == Semantics::Java;
        let mut dirty = Dirty::new(self.cache.lend());
        let before = self.cache.bytes_of(slot);
        self.cache
            .evict(slot, &mut |key, entry| dirty.push(key, entry));
        // Kafka Streams counts what is dropped only when it has been sent on.
        let dropped = (before - self.cache.bytes_of(slot)).cast_signed();
        if java {
            self.cache.count_wrongly(dropped);
        }
        let flushed = self.flush_entries(store, slot, dirty);
        if java {
            self.cache.count_wrongly(-dropped);
        }
        flushed
    }

    /// Sends a store's cached updates downstream; answers whether there were any.
    pub(crate) fn flush_store(&mut self, store: usize, slot: usize) -> Result<bool> {
        let mut dirty = Dirty::new(self.cache.lend());
        self.cache
            .take_dirty(slot, &mut |key, entry| dirty.push(key, entry));
        let any = !dirty.is_empty();
        self.flush_entries(store, slot, dirty)?;
        Ok(any)
    }

    fn flush_entries(&mut self, store: usize, slot: usize, dirty: Dirty) -> Result<()> {
        if !dirty.is_empty() {
            let before = self.cache.bytes_of(slot);
            let rows = self.without_index(store, slot, &dirty);
            // Back to the record at hand once these are through.
            let at_hand = (self.state.source.as_deref_mut()).map(std::mem::take);
            self.set_flushing(store, true);
            let sent = self.send_updates(store, rows.as_ref().unwrap_or(&dirty));
            self.set_flushing(store, false);
            if let (Some(source), Some(at_hand)) = (self.state.source.as_deref_mut(), at_hand) {
                *source = at_hand;
            }
            sent?;
            if self.state.semantics == Semantics::Java {
                let after = self.cache.bytes_of(slot).cast_signed();
                self.cache.count_wrongly(after - before.cast_signed());
            }
            self.drop_deleted(slot, &dirty);
        }
        // A flush inside this one has given back a buffer of its own; this one is larger.
        self.cache.give_back(dirty.into_buffer());
        Ok(())
    }

    fn send_updates(&mut self, store: usize, dirty: &Dirty) -> Result<()> {
        let flusher = self.state.flushers[store].clone();
        let mut updates = dirty.updates();
        loop {
            let ahead = updates.clone().take(KEYS_AHEAD_MAX);
            self.warm_changes(store, ahead.map(|update| update.key));
            for _ in 0..KEYS_AHEAD_MAX {
                let Some(mut update) = updates.next() else {
                    return Ok(());
                };
                if let Some(source) = &mut self.state.source {
                    update.headers = source.unpack(update.headers);
                }
                let Some(flusher) = &flusher else {
                    let cause = Headers::unpack(update.headers);
                    let (key, value) = (update.key, update.value);
                    self.write_caused(store, key, value, update.timestamp, &cause)?;
                    continue;
                };
                self.state.flushing = update.position;
                flusher.flush(self, update)?;
            }
        }
    }

    /// Fetches ahead what these changes will ask `store` for.
    fn warm_changes<'k>(&mut self, store: usize, keys: impl Iterator<Item = &'k [u8]>) {
        let bytes = &self.state.store(store).bytes;
        if bytes.wants_warming() {
            bytes.warm_changes(keys);
        }
    }

    /// Takes the deletions among flushed updates out of the record cache.
    fn drop_deleted(&mut self, slot: usize, dirty: &Dirty) {
        let deleted = dirty.updates().filter(|update| update.value.is_none());
        let mut keys = deleted.map(|update| update.key).peekable();
        while keys.peek().is_some() {
            self.cache
                .warm_dropped(slot, keys.clone().take(KEYS_AHEAD_MAX));
            for key in keys.by_ref().take(KEYS_AHEAD_MAX) {
                self.cache.drop_deleted(slot, key);
            }
        }
    }

    /// What the record cache remembers of the record that caused an update of `store`.
    pub(crate) fn entry(
        &self,
        store: usize,
        timestamp: i64,
        headers: &Headers,
        position: Position,
    ) -> Entry {
        let topic = self.state.topics.get(position.topic as usize);
        let mut packed = headers.pack();
        // Java counts the characters of headers, not their encoding, and keys of windows with what is in front of them.
        let prefix_len = self.state.stores[store].as_ref().map_or(0, |state| {
            let java = state.java.as_ref();
            match state.caches_reads {
                true => 0,
                false => java.map_or(8, |java| java.cached_prefix_len()),
            }
        });
        let mut counted = topic.map_or(0, |topic| topic.len()) + prefix_len + headers.counted_len();
        if let Some(source) = &self.state.source {
            let raw_len = source.pack(position, &mut packed);
            // Kafka Streams' entries hold the raw record too, and it does not count them.
            if self.state.semantics == Semantics::Headwater {
                counted += raw_len;
            }
        }
        let kept = (self.state.stores[store].as_ref()).map_or(Kept::Whole, |state| state.kept);
        Entry {
            value: None,
            value_overhead: kept.cached_overhead(),
            timestamp,
            headers: packed.into(),
            topic: position.topic,
            context_len: counted as u32,
            partition: position.partition as i32,
            offset: position.offset,
            dirty: true,
        }
    }

    /// Moves stream time on to `timestamp`, before the operators, which may ask for it. `None` for negative times, which are none.
    #[inline]
    pub(crate) fn observe(&mut self, timestamp: i64) -> Option<i64> {
        if timestamp < 0 {
            return None;
        }
        self.state.stream_time = self.state.stream_time.max(timestamp);
        Some(timestamp)
    }

    pub(crate) fn drop_record(&mut self) {
        self.state.counters.dropped += 1;
    }
}
