//! The engines of one store: a single one, or one per segment of time, each in its own directory and dropped as a whole.
//! Not a cache. A segmented store keeps its metadata in the file `checkpoint` beside its segments, written after them; a
//! single one in the engine, or in the file `empty` while it has no engine because it never had a row.
//! Invariant: the segments a checkpoint lists hold everything before its position that is not beyond retention.

use super::{
    Change, Cursor, Engine, Entries, disk::DiskEngine, file, memory::MemoryEngine, merged::Merged,
};
use crate::{
    Budget, Direction, EngineKind, Error, KeyRange, Layout, Result, StoreOptions,
    checkpoint::Checkpoint,
    routing::{Routing, TIMELESS},
};
use headwater_world::{Disk, World};
use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

const PLAIN: &str = "tree";
const SEGMENT_PREFIX: &str = "seg-";
const CHECKPOINT: &str = "checkpoint";
/// The metadata of a single engine that is not founded. Of no meaning beside [`PLAIN`].
const EMPTY: &str = "empty";
/// A single engine before its first checkpoint is complete; then it is renamed to [`PLAIN`].
const FOUNDING: &str = "tree.new";

type SegmentMap = BTreeMap<i64, Segment>;

/// One segment of a store.
struct Segment {
    /// Opened when it is first asked for.
    engine: Option<Arc<dyn Engine>>,
    /// No entry is newer; not known of a segment that was there at opening.
    newest_ms: i64,
}

/// The engines of one store.
pub(crate) struct Segments {
    name: String,
    kind: EngineKind,
    dir: Option<PathBuf>,
    disk: Arc<dyn Disk>,
    budget: Arc<Budget>,
    routing: Routing,
    /// The engine of an unsegmented store; one with a directory is founded by the first checkpoint that has a row.
    plain: OnceLock<Arc<dyn Engine>>,
    segments: Mutex<SegmentMap>,
    first_live: AtomicI64,
    closed: bool,
}

impl Segments {
    /// Opens what is there, and answers with its checkpoint. [`Error::Corrupt`] and [`Error::Format`] ask for a wipe.
    pub(crate) fn open(
        options: &StoreOptions,
        dir: Option<&Path>,
        budget: &Arc<Budget>,
        world: &World,
    ) -> Result<(Self, Option<Checkpoint>)> {
        let mut segments = Self {
            name: options.name.clone(),
            kind: options.engine,
            dir: dir.map(Path::to_owned),
            disk: world.disk.clone(),
            budget: budget.clone(),
            routing: Routing::new(&options.layout),
            plain: OnceLock::new(),
            segments: Mutex::new(SegmentMap::new()),
            first_live: AtomicI64::new(TIMELESS),
            closed: false,
        };
        let stored = segments.find()?;
        if let Some(stored) = &stored {
            segments.check(stored, options)?;
        }
        Ok((segments, stored))
    }

    fn check(&self, stored: &Checkpoint, options: &StoreOptions) -> Result<()> {
        if stored.layout == options.layout.tag() && stored.format_version == options.format_version
        {
            return Ok(());
        }
        let message = format!(
            "its directory holds a {} store of format {}, not a {} store of format {}",
            Layout::name(stored.layout),
            stored.format_version,
            Layout::name(options.layout.tag()),
            options.format_version
        );
        Err(Error::Format {
            store: self.name.clone(),
            message,
        })
    }

    fn find(&mut self) -> Result<Option<Checkpoint>> {
        let Some(dir) = self.dir.clone() else {
            if !self.routing.is_segmented() {
                self.plain = OnceLock::from(self.open_engine(PLAIN)?);
            }
            return Ok(None);
        };
        // Nothing is created here: a store that is never written to leaves no directory behind.
        let names = match self.disk.exists(&dir).map_err(file::io_error(&dir))? {
            true => self.disk.list(&dir).map_err(file::io_error(&dir))?,
            false => Vec::new(),
        };
        let names: Vec<String> = names
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let holds = |wanted: &str| names.iter().any(|name| name == wanted);
        let segmented =
            holds(CHECKPOINT) || names.iter().any(|name| name.starts_with(SEGMENT_PREFIX));
        if segmented != self.routing.is_segmented() && (segmented || holds(PLAIN) || holds(EMPTY)) {
            let message = "its directory holds a store of another layout".to_owned();
            return Err(Error::Format {
                store: self.name.clone(),
                message,
            });
        }
        match self.routing.is_segmented() {
            true => self.find_segments(&dir, &names),
            false => self.find_plain(&dir, holds(PLAIN), holds(EMPTY)),
        }
    }

    fn find_plain(&mut self, dir: &Path, founded: bool, empty: bool) -> Result<Option<Checkpoint>> {
        if !founded {
            let meta = file::read(&*self.disk, dir, EMPTY)?;
            let path = dir.join(EMPTY);
            return meta
                .map(|meta| Checkpoint::decode(&meta, &path))
                .transpose();
        }
        let plain = self.open_engine(PLAIN)?;
        let meta = plain.meta()?;
        self.plain = OnceLock::from(plain);
        if empty {
            // A crash came between the founding and this removal. It must not stay: were the tree lost, it would be believed.
            self.remove_empty(dir)?;
        }
        meta.map(|meta| Checkpoint::decode(&meta, dir)).transpose()
    }

    fn remove_empty(&self, dir: &Path) -> Result<()> {
        let path = dir.join(EMPTY);
        self.disk.remove_file(&path).map_err(file::io_error(&path))
    }

    fn find_segments(&mut self, dir: &Path, names: &[String]) -> Result<Option<Checkpoint>> {
        let stored = file::read(&*self.disk, dir, CHECKPOINT)?;
        let stored = stored
            .map(|bytes| Checkpoint::decode(&bytes, &dir.join(CHECKPOINT)))
            .transpose()?;
        let listed = stored.as_ref().map_or(&[][..], |stored| &stored.segments);
        for name in names.iter().filter(|name| name.starts_with(SEGMENT_PREFIX)) {
            if !listed.iter().any(|&id| segment_name(id) == **name) {
                // Begun after the checkpoint, so replay brings all of it back, or expired before it: either way of no use.
                let path = dir.join(name);
                self.disk
                    .remove_dir_all(&path)
                    .map_err(file::io_error(&path))?;
            }
        }
        for &id in listed {
            if !names.contains(&segment_name(id)) {
                let path = dir.join(segment_name(id));
                return Err(Error::Corrupt {
                    path,
                    message: "a segment of the checkpoint is missing".to_owned(),
                });
            }
            let found = Segment {
                engine: None,
                newest_ms: i64::MAX,
            };
            self.lock().insert(id, found);
        }
        Ok(stored)
    }

    /// As [`Self::open_engine`], in a directory that is there, empty and of no meaning before the engine's first write has returned.
    fn new_engine(&self, name: &str) -> Result<Arc<dyn Engine>> {
        match (self.kind, &self.dir) {
            (EngineKind::Disk, Some(dir)) if self.disk.is_real() => {
                Ok(Arc::new(DiskEngine::create(&dir.join(name), &self.budget)?))
            }
            _ => self.open_engine(name),
        }
    }

    fn open_engine(&self, name: &str) -> Result<Arc<dyn Engine>> {
        match (self.kind, &self.dir) {
            (EngineKind::Memory, None) => Ok(Arc::new(MemoryEngine::open(None)?)),
            (EngineKind::Memory, Some(dir)) => Ok(Arc::new(MemoryEngine::open(Some((
                &self.disk,
                &dir.join(name),
            )))?)),
            (EngineKind::Disk, Some(dir)) if self.disk.is_real() => {
                file::create_dir(&*self.disk, &dir.join(name))?;
                Ok(Arc::new(DiskEngine::open(&dir.join(name), &self.budget)?))
            }
            (EngineKind::Disk, _) => Err(Error::Refused {
                store: self.name.clone(),
                message:
                    "the disk engine needs a directory on a real disk; use the memory engine here"
                        .to_owned(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SegmentMap> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine_of(&self, id: i64, segment: &mut Segment) -> Result<Arc<dyn Engine>> {
        if let Some(engine) = &segment.engine {
            return Ok(engine.clone());
        }
        let engine = self.open_engine(&segment_name(id))?;
        segment.engine = Some(engine.clone());
        Ok(engine)
    }

    /// True unless the key's segment is beyond retention.
    #[inline(always)]
    pub(crate) fn is_live(&self, key: &[u8]) -> bool {
        !self.routing.is_segmented() || self.is_live_segment(key)
    }

    #[inline]
    fn is_live_segment(&self, key: &[u8]) -> bool {
        match self.routing.segment_of(key, "") {
            Ok(segment) => {
                segment == TIMELESS || segment >= self.first_live.load(Ordering::Relaxed)
            }
            Err(_) => true,
        }
    }

    /// An error when the key does not have the store's layout.
    pub(crate) fn check_key(&self, key: &[u8]) -> Result<()> {
        self.routing.segment_of(key, &self.name).map(|_| ())
    }

    /// The first time of which no segment has an entry.
    pub(crate) fn newer_from_ms(&self) -> i64 {
        let last = self.lock().last_key_value().map(|(&id, _)| id);
        last.map_or(i64::MIN, |id| self.routing.end_of(id))
    }

    /// Copies the value into `value` (cleared first) and answers whether there is one.
    pub(crate) fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        if let Some(plain) = self.plain.get() {
            return plain.get(key, value);
        }
        value.clear();
        if !self.routing.is_segmented() {
            return Ok(false);
        }
        let id = self.routing.segment_of(key, &self.name)?;
        let engine = match self.lock().get_mut(&id) {
            Some(segment) => self.engine_of(id, segment)?,
            None => return Ok(false),
        };
        engine.get(key, value)
    }

    /// Walks a range; entries outside of `times` may be left out. `None` when nothing can be in it.
    pub(crate) fn cursor(
        &self,
        range: KeyRange<'_>,
        times: &RangeInclusive<i64>,
        direction: Direction,
    ) -> Result<Option<Box<dyn Cursor>>> {
        if !self.routing.is_segmented() {
            let plain = self.plain.get();
            return plain
                .map(|plain| plain.cursor(range, direction))
                .transpose();
        }
        let wanted = self.routing.segments_of(times);
        let mut cursors = Vec::new();
        for (&id, segment) in self.lock().iter_mut() {
            // Most range reads of joins and sessions ask for times newer than the last checkpoint.
            let wanted =
                id == TIMELESS || (wanted.contains(&id) && segment.newest_ms >= *times.start());
            if wanted {
                cursors.push(self.engine_of(id, segment)?.cursor(range, direction)?);
            }
        }
        Ok(match cursors.len() {
            0 | 1 => cursors.pop(),
            _ => Some(Box::new(Merged::new(cursors, direction))),
        })
    }

    /// Writes a checkpoint: segments first, then the metadata that says they are complete up to its position.
    pub(crate) fn write(
        &self,
        entries: &mut Entries<'_>,
        checkpoint: &mut Checkpoint,
    ) -> Result<()> {
        if !self.routing.is_segmented() {
            return self.write_plain(entries, &checkpoint.encode());
        }
        let mut by_segment: BTreeMap<i64, (i64, Vec<Change<'_>>)> = BTreeMap::new();
        for (key, value) in entries {
            let (id, time_ms) = self.routing.place_of(key, &self.name)?;
            let (newest_ms, entries) = by_segment.entry(id).or_insert((i64::MIN, Vec::new()));
            *newest_ms = time_ms.max(*newest_ms);
            entries.push((key, value));
        }
        for (id, (newest_ms, entries)) in by_segment {
            if let Some(engine) = self.engine_for(id, newest_ms, &entries)? {
                engine.write(&mut entries.into_iter(), None)?;
            }
        }
        self.write_checkpoint(checkpoint)
    }

    /// The segment that `entries` go to, begun if need be; `None` if it is not there and they only delete.
    fn engine_for(
        &self,
        id: i64,
        newest_ms: i64,
        entries: &[Change<'_>],
    ) -> Result<Option<Arc<dyn Engine>>> {
        let mut segments = self.lock();
        if let Some(segment) = segments.get_mut(&id) {
            segment.newest_ms = segment.newest_ms.max(newest_ms);
            return self.engine_of(id, segment).map(Some);
        }
        if entries.iter().all(|(_, value)| value.is_none()) {
            return Ok(None);
        }
        if let Some(dir) = &self.dir {
            file::create_dir(&*self.disk, dir)?;
            self.clear_dir(&dir.join(segment_name(id)))?;
            self.disk.sync_dir(dir).map_err(file::io_error(dir))?;
        }
        let engine = self.new_engine(&segment_name(id))?;
        let begun = Segment {
            engine: Some(engine.clone()),
            newest_ms,
        };
        segments.insert(id, begun);
        Ok(Some(engine))
    }

    fn write_plain(&self, entries: &mut Entries<'_>, meta: &[u8]) -> Result<()> {
        if let Some(plain) = self.plain.get() {
            return plain.write(entries, Some(meta));
        }
        let Some(dir) = &self.dir else {
            return Ok(()); // wiped and not opened again: an engine in memory is there from the beginning
        };
        // There is nothing yet that a deletion could hide.
        let rows: Vec<Change<'_>> = entries.filter(|(_, value)| value.is_some()).collect();
        if !rows.is_empty() {
            return self.found(dir, rows, meta);
        }
        file::create_dir(&*self.disk, dir)?;
        file::replace(&*self.disk, dir, EMPTY, meta.to_vec())
    }

    /// Leaves an empty directory, whatever a crash or a full disk left there of an attempt. Its name is not synced.
    fn clear_dir(&self, dir: &Path) -> Result<()> {
        let cleared = self.disk.remove_dir_all(dir);
        let cleared = cleared.and_then(|()| self.disk.create_dir_all(dir));
        cleared.map_err(file::io_error(dir))
    }

    /// Founds the engine of a single one with its first rows. Until the rename nothing of it counts; from there on all of it does.
    fn found(&self, dir: &Path, rows: Vec<Change<'_>>, meta: &[u8]) -> Result<()> {
        let (founding, founded) = (dir.join(FOUNDING), dir.join(PLAIN));
        file::create_dir(&*self.disk, dir)?;
        self.clear_dir(&founding)?;
        let engine = self.new_engine(FOUNDING)?;
        engine.write(&mut rows.into_iter(), Some(meta))?;
        engine.close();
        drop(engine);
        self.disk
            .rename(&founding, &founded)
            .map_err(file::io_error(&founded))?;
        self.disk.sync_dir(dir).map_err(file::io_error(dir))?;
        // After the sync: without either of them the position would be lost.
        let empty = dir.join(EMPTY);
        if self.disk.exists(&empty).map_err(file::io_error(&empty))? {
            self.remove_empty(dir)?;
        }
        // The engine knows its files by their paths, so it is opened again under its name.
        let engine = self.open_engine(PLAIN)?;
        self.plain.get_or_init(|| engine);
        Ok(())
    }

    fn write_checkpoint(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        checkpoint.segments = self.lock().keys().copied().collect();
        match &self.dir {
            Some(dir) => {
                file::create_dir(&*self.disk, dir)?;
                file::replace(&*self.disk, dir, CHECKPOINT, checkpoint.encode())
            }
            None => Ok(()),
        }
    }

    /// The first segment at this stream time that is not beyond retention; never goes back.
    pub(crate) fn first_live(&self, stream_time_ms: i64) -> i64 {
        self.routing
            .first_live(stream_time_ms)
            .max(self.first_live.load(Ordering::Relaxed))
    }

    /// True when [`Self::expire`] would do something.
    pub(crate) fn expires(&self, first_live: i64) -> bool {
        first_live > self.first_live.load(Ordering::Relaxed)
    }

    /// Drops the segments before `first_live`, and answers how many.
    pub(crate) fn expire(&self, first_live: i64, stored: Option<&mut Checkpoint>) -> Result<u64> {
        self.first_live.fetch_max(first_live, Ordering::Relaxed);
        let mut expired = Vec::new();
        self.lock().retain(|&id, segment| {
            let keep = id == TIMELESS || id >= first_live;
            if !keep {
                expired.push((id, segment.engine.take()));
            }
            keep
        });
        if let Some(stored) = stored
            && !expired.is_empty()
        {
            // The metadata forgets the segments before they go: a crash in between leaves unlisted directories.
            self.write_checkpoint(stored)?;
        }
        let dropped = expired.len() as u64;
        for (id, engine) in expired {
            if let Some(engine) = engine {
                engine.close();
            }
            if let Some(dir) = &self.dir {
                let path = dir.join(segment_name(id));
                self.disk
                    .remove_dir_all(&path)
                    .map_err(file::io_error(&path))?;
            }
        }
        Ok(dropped)
    }

    /// Removes every entry and the metadata.
    pub(crate) fn wipe(&mut self) -> Result<()> {
        self.close_engines();
        if let Some(dir) = &self.dir {
            file::remove_dir(&*self.disk, dir)?;
        }
        self.find().map(|_| ())
    }

    fn close_engines(&mut self) {
        let segments = std::mem::take(&mut *self.lock());
        let engines = segments.into_values().filter_map(|segment| segment.engine);
        for engine in engines.chain(self.plain.take()) {
            engine.close();
        }
    }

    /// Closes the engines for good; their directory may be opened again.
    pub(crate) fn close(&mut self) {
        self.close_engines();
        self.closed = true;
    }

    /// True once closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The space of the engines in use, about.
    pub(crate) fn size_bytes(&self) -> u64 {
        let segments = self.lock();
        let engines = segments
            .values()
            .filter_map(|segment| segment.engine.as_ref());
        let segments: u64 = engines.map(|engine| engine.size_bytes()).sum();
        segments + self.plain.get().map_or(0, |plain| plain.size_bytes())
    }

    /// The number of segments.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

fn segment_name(id: i64) -> String {
    match id {
        TIMELESS => format!("{SEGMENT_PREFIX}latest"),
        id => format!("{SEGMENT_PREFIX}{id}"),
    }
}
