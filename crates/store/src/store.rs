//! One partition of one store: overlays over the write-back cache over the engine. Not thread-safe: the task that owns it
//! writes; other threads use a [`StoreReader`].
//!
//! ```text
//!  put, delete ─► open overlay ─seal─► pending overlay ─commit─► write-back cache ─checkpoint─► engine
//!                      └──────── abort drops both ────┘               ▲
//!                                           restore ──────────────────┘
//! ```
//!
//! Invariant: nothing uncommitted is below the overlays, and nothing past the overlays is ever taken back.

mod attach;
mod read;

use crate::{
    Budget, ByteStore, CheckpointStats, Direction, Error, KEYS_AHEAD_MAX, KeyRange, ReadBytes,
    Result, StoreOptions, StoreReader, StoreStats, Visit,
    checkpoint::Checkpoint,
    committed::Shared,
    index::hash,
    lru::Lru,
    overlay::{Overlay, UNKNOWN},
    scan::Chunk,
};
use headwater_world::Clock;
use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

/// The longest key, so that the disk engine can put a byte before it.
pub const KEY_BYTES_MAX: usize = 65_534;

/// The longest value.
pub const VALUE_BYTES_MAX: usize = 1 << 31;

/// One partition of one store, owned by the task that writes it.
pub struct Store {
    options: StoreOptions,
    /// The layout has a retention.
    expires: bool,
    shared: Arc<Shared>,
    open: Overlay,
    pending: Overlay,
    sealed: bool,
    /// The largest time of the versions in either overlay, and of those in the pending one; -1 without any. It decides what has
    /// expired, as if it were committed, but an abort takes it back.
    open_time_ms: i64,
    pending_time_ms: i64,
    stored: Option<Checkpoint>,
    /// Where the changelog began when the store was attached without a checkpoint: what a restart finds without one, too.
    begun_at: Option<i64>,
    /// Why the state found at opening was thrown away; [`Self::attach`] reports it.
    wiped: Option<String>,
    topic_id: u128,
    /// Goes into the next checkpoint.
    note: Vec<u8>,
    clock: Arc<dyn Clock>,
    budget: Arc<Budget>,
    lru: Option<RefCell<Lru>>,
    counters: Counters,
    /// Reused by commits for old values.
    buffer: Vec<u8>,
    /// The hash of the key that was read last from the write-back cache, and its slot there: as a rule it is written next.
    below: Cell<(u32, u32)>,
    /// Reused by range reads.
    chunk: Cell<Chunk>,
}

/// Counted behind `&self`.
#[derive(Default)]
struct Counters {
    gets: Cell<u64>,
    overlay_hits: Cell<u64>,
    write_back_hits: Cell<u64>,
    scans: Cell<u64>,
    /// Values found in the engine.
    misses: Cell<u64>,
    rest: StoreStats,
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl Store {
    /// The store's name.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// What the store was opened with.
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// Reads a key: own uncommitted changes first.
    pub fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        ReadBytes::get(self, key, value)
    }

    /// Visits a range: own uncommitted changes first.
    pub fn scan(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        ReadBytes::scan(self, range, direction, visit)
    }

    /// Sets the value of `key` in the open overlay. A key whose segment is beyond retention is counted and left out.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.change(key, Some(value))
    }

    /// Removes `key` in the open overlay; an absent one is fine.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.change(key, None)
    }

    #[inline]
    fn change(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.check_sizes(key, value)?;
        self.counters.rest.puts += 1;
        if self.expires && !self.is_live(key)? {
            self.count_expired();
            return Ok(());
        }
        let hash = hash(key);
        let (read, slot) = self.below.get();
        let below = if read == hash { slot } else { UNKNOWN };
        self.open.set(hash, key, value, below);
        if self.lru.is_some() {
            self.change_recency(hash, key, value);
        }
        Ok(())
    }

    #[inline(never)]
    fn change_recency(&mut self, hash: u32, key: &[u8], value: Option<&[u8]>) {
        let Some(lru) = &mut self.lru else {
            return;
        };
        let lru = lru.get_mut();
        match value {
            Some(_) => {
                if let Some(evicted) = lru.insert(hash, key) {
                    let hash = crate::index::hash(&evicted);
                    self.open.set(hash, &evicted, None, UNKNOWN);
                    lru.note_evicted(evicted);
                    self.counters.rest.evicted += 1;
                }
            }
            None => lru.remove(hash, key),
        }
    }

    /// False when the key's segment is beyond retention; an error when the key does not have the layout.
    fn is_live(&self, key: &[u8]) -> Result<bool> {
        let committed = self.shared.read();
        committed.engine.check_key(key)?;
        Ok(committed.engine.is_live(key))
    }

    #[inline]
    fn check_sizes(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let value_len = value.map_or(0, <[u8]>::len);
        if key.len() <= KEY_BYTES_MAX && value_len <= VALUE_BYTES_MAX {
            return Ok(());
        }
        Err(self.too_large(key.len(), value_len))
    }

    #[cold]
    fn too_large(&self, key_len: usize, value_len: usize) -> Error {
        Error::Refused {
            store: self.options.name.clone(),
            message: format!(
                "a key of {key_len} bytes with a value of {value_len} bytes is too long; keys may have {KEY_BYTES_MAX} bytes and values {VALUE_BYTES_MAX}"
            ),
        }
    }

    /// A version of this time is about to be written into the open overlay. What expires by it is hidden from the owner at once
    /// and dropped by the commit.
    pub(crate) fn observe(&mut self, time_ms: i64) {
        self.open_time_ms = self.open_time_ms.max(time_ms);
    }

    pub(crate) fn count_expired(&mut self) {
        self.counters.rest.expired += 1;
    }

    /// A commit was submitted: the open overlay becomes the pending one, and an empty one opens.
    ///
    /// # Panics
    /// When a sealed overlay still waits for its outcome: a third overlay is never filled.
    pub fn seal(&mut self) {
        assert!(
            !self.sealed,
            "store {}: sealed twice without commit or abort",
            self.options.name
        );
        debug_assert!(
            self.pending.is_empty(),
            "the pending overlay is empty unless sealed"
        );
        self.sealed = true;
        std::mem::swap(&mut self.open, &mut self.pending);
        self.pending_time_ms = self.open_time_ms;
    }

    /// Visits the keys that the next commit changes, in no order.
    pub fn pending_keys(&self, visit: &mut dyn FnMut(&[u8])) {
        self.pending.changes().for_each(|change| visit(change.key));
    }

    /// The pending overlay becomes committed, and the changelog position advances. An empty one is a commit as well.
    pub fn commit(&mut self, changelog_position: Option<i64>) -> Result<()> {
        let mut committed = self.shared.write();
        let number = committed.commit + 1;
        let saving = committed.undo.prepare(self.shared.live.oldest());
        for (at, change) in self.pending.changes().enumerate() {
            if at.is_multiple_of(KEYS_AHEAD_MAX) {
                let next = self.pending.changes_from(at).take(KEYS_AHEAD_MAX);
                committed.write_back.warm(next);
            }
            let (hash, key) = (change.hash, change.key);
            if !committed.engine.is_live(key) {
                continue; // expired since it was put
            }
            if saving {
                committed.save_old(number, hash, key, &mut self.buffer)?;
            }
            (committed.write_back).set(hash, key, change.value, change.below);
        }
        committed.commit = number;
        committed.position = changelog_position.or(committed.position);
        self.shared.settle(&mut committed);
        drop(committed);
        self.pending.clear();
        if self.open.is_empty() {
            // Its memory serves the next changes: where these come in one go, right before a commit, one overlay is enough.
            std::mem::swap(&mut self.open, &mut self.pending);
        }
        self.sealed = false;
        if self.pending_time_ms >= 0 {
            self.advance(self.pending_time_ms)?;
        }
        Ok(())
    }

    /// Drops the pending and the open overlay.
    pub fn abort(&mut self) {
        self.pending.clear();
        self.open.clear();
        self.sealed = false;
        (self.open_time_ms, self.pending_time_ms) = (-1, -1);
        self.reconcile_lru();
    }

    /// Applies a committed changelog record below the overlays. Versioned stores restore through [`crate::versioned::put`].
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.check_sizes(key, value)?;
        self.counters.rest.restored += 1;
        let hash = hash(key);
        if self.expires && !self.is_live(key)? {
            self.count_expired();
            return Ok(());
        }
        let mut committed = self.shared.write();
        let oldest = self.shared.live.oldest();
        if oldest.is_some() {
            let number = committed.commit + 1;
            committed.save_old(number, hash, key, &mut self.buffer)?;
        }
        committed.write_back.set(hash, key, value, UNKNOWN);
        self.shared.settle_if_due(&mut committed);
        if let Some(lru) = &mut self.lru {
            match value {
                Some(_) => drop(lru.get_mut().insert(hash, key)),
                None => lru.get_mut().remove(hash, key),
            }
        }
        Ok(())
    }

    /// What was restored so far reaches up to `position`; readers see a commit.
    pub fn set_position(&mut self, position: i64) {
        let mut committed = self.shared.write();
        committed.undo.prepare(self.shared.live.oldest());
        committed.commit += 1;
        committed.position = Some(position);
        self.shared.settle(&mut committed);
    }

    /// The changelog position of the committed state in memory: the next offset to read.
    pub fn position(&self) -> Option<i64> {
        self.shared.read().position
    }

    /// The id of the changelog's topic, as of the last [`Self::attach`] or checkpoint; 0 when unknown.
    pub fn topic_id(&self) -> u128 {
        self.topic_id
    }

    /// True when dirty bytes are beyond the store's share of the budget.
    pub fn needs_checkpoint(&self) -> bool {
        self.budget
            .wants_checkpoint(self.shared.read().write_back.dirty_bytes())
    }

    /// Writes committed entries, the changelog position and the metadata to the engine; durable when it returns. Writes nothing
    /// when a restart would go on from here without it.
    pub fn checkpoint(&mut self) -> Result<CheckpointStats> {
        let committed = self.shared.read();
        let position = committed.position;
        if committed.write_back.dirty_len() == 0
            && self
                .stored
                .as_ref()
                .is_some_and(|stored| stored.position == position && stored.note == self.note)
        {
            return Ok(CheckpointStats::default());
        }
        let mut checkpoint = self.describe(position);
        if self.stored.is_none()
            && committed.write_back.dirty_len() == 0
            && position == self.begun_at
            && self.note.is_empty()
        {
            // A restart that finds nothing begins just here.
            drop(committed);
            self.stored = Some(checkpoint);
            return Ok(CheckpointStats::default());
        }
        let mut stats = CheckpointStats::default();
        let sorted = committed.write_back.dirty_sorted();
        let mut entries = sorted.iter().enumerate().map(|(at, &slot)| {
            if at.is_multiple_of(KEYS_AHEAD_MAX) {
                let next = (at + KEYS_AHEAD_MAX).min(sorted.len());
                committed.write_back.warm_slots(&sorted[at..next]);
            }
            let (key, value) = (
                committed.write_back.key(slot),
                committed.write_back.value(slot),
            );
            stats.entries += 1;
            stats.bytes += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
            (key, value)
        });
        // Readers go on meanwhile: until the entries are marked clean they hide the engine's.
        committed.engine.write(&mut entries, &mut checkpoint)?;
        drop(committed);
        let mut committed = self.shared.write();
        committed.write_back.mark_clean();
        committed.generation += 1;
        self.shared.settle(&mut committed);
        self.stored = Some(checkpoint);
        self.counters.rest.checkpoints += 1;
        self.counters.rest.checkpoint_entries += stats.entries;
        self.counters.rest.checkpoint_bytes += stats.bytes;
        Ok(stats)
    }

    fn describe(&self, position: Option<i64>) -> Checkpoint {
        Checkpoint {
            layout: self.options.layout.tag(),
            format_version: self.options.format_version,
            position,
            time_ms: self.clock.now_ms(),
            topic_id: self.topic_id,
            topic: self.options.changelog.clone().unwrap_or_default(),
            segments: Vec::new(),
            note: self.note.clone(),
        }
    }

    /// The changelog position a restart would find.
    pub fn checkpoint_position(&self) -> Option<i64> {
        self.stored.as_ref().and_then(|stored| stored.position)
    }

    /// The owner's note as of the last checkpoint or [`Store::set_note`]; empty without one.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// Has the next checkpoint carry `note` beside the changelog position: for stores that follow more than one partition. In
    /// plain stores it becomes durable in one step with the data.
    pub fn set_note(&mut self, note: Vec<u8>) {
        self.note = note;
    }

    /// When the last checkpoint was written, ms since the epoch.
    pub fn checkpoint_time_ms(&self) -> Option<i64> {
        self.stored.as_ref().map(|stored| stored.time_ms)
    }

    /// Why the state found at opening was thrown away, if it was; told once, here or by [`Self::attach`].
    pub fn take_wiped(&mut self) -> Option<String> {
        self.wiped.take()
    }

    /// Tells the store the stream time. Drops the segments that lie before it by more than the retention, with everything
    /// in them, and answers how many.
    pub fn advance(&mut self, stream_time_ms: i64) -> Result<u64> {
        let mut committed = self.shared.write();
        if self.options.layout.retention_ms().is_none()
            || stream_time_ms <= committed.stream_time_ms
        {
            return Ok(0);
        }
        committed.stream_time_ms = stream_time_ms;
        let first_live = committed.engine.first_live(stream_time_ms);
        if !committed.engine.expires(first_live) {
            return Ok(0);
        }
        let dropped = committed.engine.expire(first_live, self.stored.as_mut())?;
        let state = &mut *committed;
        state.generation += 1;
        let engine = &state.engine;
        state.write_back.retain(|key| engine.is_live(key));
        self.pending.retain(|key| engine.is_live(key));
        self.open.retain(|key| engine.is_live(key));
        self.shared.settle(&mut committed);
        self.counters.rest.segments_dropped += dropped;
        Ok(dropped)
    }

    /// Removes everything, uncommitted changes, position and checkpoint included.
    pub fn wipe(&mut self) -> Result<()> {
        self.pending.clear();
        self.open.clear();
        self.sealed = false;
        (self.open_time_ms, self.pending_time_ms) = (-1, -1);
        self.stored = None;
        self.begun_at = None;
        self.note.clear();
        let mut committed = self.shared.write();
        committed.write_back.retain(|_| false);
        let number = committed.commit + 1;
        committed.commit = number;
        committed.undo.give_up(number);
        committed.position = None;
        committed.engine.wipe()?;
        committed.write_back.engine_wiped();
        committed.generation += 1;
        self.shared.settle(&mut committed);
        drop(committed);
        self.reconcile_lru();
        Ok(())
    }

    /// The keys an LRU store evicted since the last call: each needs a deletion in the changelog.
    pub fn take_evicted(&mut self) -> Vec<Vec<u8>> {
        self.lru
            .as_mut()
            .map(|lru| lru.get_mut().take_evicted())
            .unwrap_or_default()
    }

    /// Committed state for other threads.
    pub fn reader(&self) -> StoreReader {
        StoreReader::new(self.shared.clone())
    }

    /// Counters since the store was opened, and sizes as they are.
    pub fn stats(&self) -> StoreStats {
        let (counters, committed) = (&self.counters, self.shared.read());
        let (gets, overlay_hits) = (counters.gets.get(), counters.overlay_hits.get());
        let write_back_hits = counters.write_back_hits.get();
        StoreStats {
            gets,
            overlay_hits,
            write_back_hits,
            engine_gets: gets - overlay_hits - write_back_hits,
            scans: counters.scans.get(),
            overlay_bytes: self.open.bytes() + self.pending.bytes(),
            dirty_entries: committed.write_back.dirty_len(),
            dirty_bytes: committed.write_back.dirty_bytes(),
            clean_bytes: committed.write_back.clean_bytes(),
            disk_bytes: committed.engine.size_bytes(),
            segments: committed.engine.len(),
            ..counters.rest
        }
    }
}

impl ByteStore for Store {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.change(key, Some(value))
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.change(key, None)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Readers may outlive the owner, but the directory may be opened again as soon as it is gone.
        self.shared.write().engine.close();
    }
}

#[cfg(test)]
mod tests;
