//! One partition of one store. Not thread-safe for writers. Invariant: readers see committed state only.

use crate::{
    Attach, Budget, ByteStore, CheckpointSource, Direction, KeyRange, ReadBytes, Result,
    StoreOptions, Visit, checkpoint, checkpoint::Checkpoint,
};
use headwater_world::World;
use std::{
    collections::BTreeMap,
    ops::Bound,
    path::Path,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

type Map = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What a checkpoint wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointStats {
    /// Entries written, deletions included.
    pub entries: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
}

/// Plain counters of a store since it was opened, and its sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Point reads.
    pub gets: u64,
    /// Point reads answered by an overlay.
    pub overlay_hits: u64,
    /// Point reads answered by the write-back cache.
    pub write_back_hits: u64,
    /// Point reads that reached the engine.
    pub engine_gets: u64,
    /// Puts and deletes.
    pub puts: u64,
    /// Range reads.
    pub scans: u64,
    /// Writes dropped because their segment or version was beyond retention.
    pub expired: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Bytes of uncommitted changes.
    pub overlay_bytes: usize,
    /// Bytes in the write-back cache that no checkpoint holds yet.
    pub dirty_bytes: usize,
    /// Bytes in the write-back cache that the engine holds as well.
    pub clean_bytes: usize,
    /// Bytes on disk, about.
    pub disk_bytes: u64,
}

struct State {
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    commit: u64,
    stream_time_ms: i64,
}

/// One partition of one store, owned by the task that writes it.
pub struct Store {
    options: StoreOptions,
    state: Arc<RwLock<State>>,
    open: Map,
    pending: Map,
    position: Option<i64>,
    stored: Option<Checkpoint>,
    stats: StoreStats,
    budget: Arc<Budget>,
}

/// Committed state of a store, from any thread.
#[derive(Clone)]
pub struct StoreReader {
    state: Arc<RwLock<State>>,
}

/// Committed state as of one commit number.
pub struct Snapshot {
    map: BTreeMap<Vec<u8>, Vec<u8>>,
    commit: u64,
}

fn read(state: &RwLock<State>) -> RwLockReadGuard<'_, State> {
    state
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn get_in(map: &BTreeMap<Vec<u8>, Vec<u8>>, key: &[u8], value: &mut Vec<u8>) -> bool {
    value.clear();
    if let Some(found) = map.get(key) {
        value.extend_from_slice(found);
        return true;
    }
    false
}

fn scan_in(
    map: &BTreeMap<Vec<u8>, Vec<u8>>,
    range: KeyRange<'_>,
    direction: Direction,
    visit: &mut Visit<'_>,
) {
    if let (
        Bound::Included(from) | Bound::Excluded(from),
        Bound::Included(to) | Bound::Excluded(to),
    ) = (range.from, range.to)
        && from >= to
        && !(from == to
            && matches!(
                (range.from, range.to),
                (Bound::Included(_), Bound::Included(_))
            ))
    {
        return;
    }
    let mut entries = map.range::<[u8], _>((range.from, range.to));
    while let Some((key, value)) = if direction == Direction::Forward {
        entries.next()
    } else {
        entries.next_back()
    } {
        if visit(key, value).is_break() {
            return;
        }
    }
}

impl Store {
    /// Opens a store.
    pub fn open(
        options: StoreOptions,
        dir: Option<&Path>,
        budget: &Arc<Budget>,
        world: &World,
    ) -> Result<Self> {
        let _ = (dir, world);
        options.check()?;
        let state = State {
            map: BTreeMap::new(),
            commit: 0,
            stream_time_ms: -1,
        };
        Ok(Self {
            options,
            state: Arc::new(RwLock::new(state)),
            open: Map::new(),
            pending: Map::new(),
            position: None,
            stored: None,
            stats: StoreStats::default(),
            budget: budget.clone(),
        })
    }
    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
    /// Reads a key, own uncommitted writes first.
    pub fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        ReadBytes::get(self, key, value)
    }
    /// Visits a range, own uncommitted writes included.
    pub fn scan(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        ReadBytes::scan(self, range, direction, visit)
    }
    /// Sets a key in the open overlay.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        ByteStore::put(self, key, value)
    }
    /// Removes a key in the open overlay.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        ByteStore::delete(self, key)
    }
    /// The store's name.
    pub fn name(&self) -> &str {
        &self.options.name
    }
    pub(crate) fn count_expired(&mut self) {
        self.stats.expired += 1;
    }
    /// The open overlay becomes the pending one.
    pub fn seal(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.pending.extend(open);
    }
    /// The pending overlay becomes committed.
    pub fn commit(&mut self, changelog_position: Option<i64>) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let mut state = self.write();
        for (key, value) in pending {
            match value {
                Some(value) => state.map.insert(key, value),
                None => state.map.remove(&key),
            };
        }
        state.commit += 1;
        drop(state);
        self.position = changelog_position.or(self.position);
        Ok(())
    }
    /// Drops uncommitted changes.
    pub fn abort(&mut self) {
        self.open.clear();
        self.pending.clear();
    }
    /// Applies a committed changelog record.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let mut state = self.write();
        match value {
            Some(value) => state.map.insert(key.to_vec(), value.to_vec()),
            None => state.map.remove(key),
        };
        Ok(())
    }
    /// Sets the changelog position.
    pub fn set_position(&mut self, position: i64) {
        self.position = Some(position);
        self.write().commit += 1;
    }
    /// The changelog position of the committed state in memory.
    pub fn position(&self) -> Option<i64> {
        self.position
    }
    /// True when a checkpoint should be taken soon.
    pub fn needs_checkpoint(&self) -> bool {
        self.stats.dirty_bytes > self.budget.write_back_bytes_max()
    }
    /// Writes committed state.
    pub fn checkpoint(&mut self) -> Result<CheckpointStats> {
        self.stats.checkpoints += 1;
        Ok(CheckpointStats::default())
    }
    /// The position a restart would find.
    pub fn checkpoint_position(&self) -> Option<i64> {
        self.stored.as_ref().and_then(|stored| stored.position)
    }
    /// Compares the stored checkpoint with the changelog.
    pub fn attach(&mut self, source: &CheckpointSource) -> Attach {
        let refusal = self
            .stored
            .as_ref()
            .and_then(|s| checkpoint::refusal(s, source, self.options.delete_retention_ms));
        let position = self.checkpoint_position().unwrap_or(source.log_start);
        self.position = Some(position);
        refusal.map_or(Attach::Resume { position }, |reason| Attach::Wiped {
            reason,
        })
    }
    /// Drops expired segments.
    pub fn advance(&mut self, stream_time_ms: i64) -> Result<u64> {
        let mut state = self.write();
        state.stream_time_ms = state.stream_time_ms.max(stream_time_ms);
        Ok(0)
    }
    /// Removes everything.
    pub fn wipe(&mut self) -> Result<()> {
        self.abort();
        self.position = None;
        self.write().map.clear();
        Ok(())
    }
    /// Keys an LRU store evicted since the last call.
    pub fn take_evicted(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }
    /// Committed state for other threads.
    pub fn reader(&self) -> StoreReader {
        StoreReader {
            state: self.state.clone(),
        }
    }
    /// Counters.
    pub fn stats(&self) -> StoreStats {
        self.stats
    }
}

impl ReadBytes for Store {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        for overlay in [&self.open, &self.pending] {
            if let Some(found) = overlay.get(key) {
                value.clear();
                value.extend_from_slice(found.as_deref().unwrap_or_default());
                return Ok(found.is_some());
            }
        }
        Ok(get_in(&read(&self.state).map, key, value))
    }
    fn scan(&self, range: KeyRange<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        let mut all = read(&self.state).map.clone();
        for (key, value) in self.pending.iter().chain(&self.open) {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        scan_in(&all, range, direction, visit);
        Ok(())
    }
    fn name(&self) -> &str {
        &self.options.name
    }
    fn horizon_ms(&self) -> i64 {
        let stream_time_ms = read(&self.state).stream_time_ms;
        self.options
            .layout
            .retention_ms()
            .map_or(i64::MIN, |retention_ms| {
                stream_time_ms.saturating_sub(retention_ms)
            })
    }
}

impl ByteStore for Store {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.open.insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }
    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.open.insert(key.to_vec(), None);
        Ok(())
    }
}

impl StoreReader {
    /// The number of commits so far.
    pub fn commit_number(&self) -> u64 {
        read(&self.state).commit
    }
    /// Committed state as it is.
    pub fn snapshot(&self) -> Snapshot {
        let state = read(&self.state);
        Snapshot {
            map: state.map.clone(),
            commit: state.commit,
        }
    }
}

impl ReadBytes for StoreReader {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        Ok(get_in(&read(&self.state).map, key, value))
    }
    fn scan(&self, range: KeyRange<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        self.snapshot().scan(range, direction, visit)
    }
}

impl Snapshot {
    /// The commit this is a snapshot of.
    pub fn commit_number(&self) -> u64 {
        self.commit
    }
}

impl ReadBytes for Snapshot {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        Ok(get_in(&self.map, key, value))
    }
    fn scan(&self, range: KeyRange<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        scan_in(&self.map, range, direction, visit);
        Ok(())
    }
}
