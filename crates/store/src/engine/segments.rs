//! The engines of one store: a single one, or one per segment of time, each in its own directory and dropped as a whole.
//! Not a cache. A segmented store keeps its metadata in the file `checkpoint` beside its segments, written after them.
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
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

const PLAIN: &str = "tree";
const SEGMENT_PREFIX: &str = "seg-";
const CHECKPOINT: &str = "checkpoint";

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
    /// The engine of an unsegmented store.
    plain: Option<Arc<dyn Engine>>,
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
            plain: None,
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
        let names = match &self.dir {
            Some(dir) => {
                file::create_dir(&*self.disk, dir)?;
                self.disk.list(dir).map_err(file::io_error(dir))?
            }
            None => Vec::new(),
        };
        let names: Vec<String> = names
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let segmented = names
            .iter()
            .any(|name| name == CHECKPOINT || name.starts_with(SEGMENT_PREFIX));
        if segmented != self.routing.is_segmented()
            && (segmented || names.iter().any(|name| name == PLAIN))
        {
            let message = "its directory holds a store of another layout".to_owned();
            return Err(Error::Format {
                store: self.name.clone(),
                message,
            });
        }
        if !self.routing.is_segmented() {
            let plain = self.open_engine(PLAIN)?;
            let meta = plain.meta()?;
            let path = self.dir.clone().unwrap_or_default();
            self.plain = Some(plain);
            return meta
                .map(|meta| Checkpoint::decode(&meta, &path))
                .transpose();
        }
        self.find_segments(&names)
    }

    fn find_segments(&mut self, names: &[String]) -> Result<Option<Checkpoint>> {
        let Some(dir) = self.dir.clone() else {
            return Ok(None);
        };
        let stored = file::read(&*self.disk, &dir, CHECKPOINT)?;
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
        if let Some(plain) = &self.plain {
            return plain.get(key, value);
        }
        value.clear();
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
        if let Some(plain) = &self.plain {
            return plain.cursor(range, direction).map(Some);
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
        if let Some(plain) = &self.plain {
            return plain.write(entries, Some(&checkpoint.encode()));
        }
        let mut by_segment: BTreeMap<i64, (i64, Vec<Change<'_>>)> = BTreeMap::new();
        for (key, value) in entries {
            let (id, time_ms) = self.routing.place_of(key, &self.name)?;
            let (newest_ms, entries) = by_segment.entry(id).or_insert((i64::MIN, Vec::new()));
            *newest_ms = time_ms.max(*newest_ms);
            entries.push((key, value));
        }
        for (id, (newest_ms, entries)) in by_segment {
            let engine = {
                let mut segments = self.lock();
                let segment = segments.entry(id).or_insert(Segment {
                    engine: None,
                    newest_ms,
                });
                segment.newest_ms = segment.newest_ms.max(newest_ms);
                self.engine_of(id, segment)?
            };
            engine.write(&mut entries.into_iter(), None)?;
        }
        self.write_checkpoint(checkpoint)
    }

    fn write_checkpoint(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        checkpoint.segments = self.lock().keys().copied().collect();
        match &self.dir {
            Some(dir) => file::replace(&*self.disk, dir, CHECKPOINT, checkpoint.encode()),
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
            self.disk.remove_dir_all(dir).map_err(file::io_error(dir))?;
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
        segments + self.plain.as_ref().map_or(0, |plain| plain.size_bytes())
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
