//! The engine on disk: a log-structured merge tree of the `lsm-tree` crate, without a journal. Not shared between
//! processes: the task directory's lock is the runtime's.
//!
//! A checkpoint is one bulk ingestion: its entries become sorted tables that appear together with the metadata in one
//! new version of the tree. The key's first byte is [`META`] for the metadata and [`DATA`] for entries.
//!
//! Invariant: damage is an [`Error::Corrupt`], never a panic: each call into the tree is caught.

#![allow(
    clippy::disallowed_methods,
    reason = "the tree uses the file system directly; so does the look at what it left"
)]

use super::{Cursor, Engine, Entries};
use crate::{Budget, Direction, Error, KeyRange, Result, compactor::Compact};
use lsm_tree::{AbstractTree, AnyTree, Guard, SeqNo, SequenceNumberCounter, compaction::Leveled};
use std::{
    io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

const META: u8 = 0;
const DATA: u8 = 1;

/// Keys up to this length are looked up without an allocation.
const INLINE_KEY_BYTES: usize = 256;

/// Sorted runs at which a checkpoint compacts by itself, because the background falls behind: a read looks into each run.
const RUNS_MAX: usize = 12;

/// Bytes of one table; also the unit of background compaction.
const TABLE_BYTES: u64 = 32 << 20;

/// Runs that are merged at once.
const RUNS_TO_COMPACT: u8 = 4;

/// Compactions after one checkpoint: the tree asks for one at a time.
const ROUNDS_MAX: usize = 8;

/// The file that says which version of a tree counts, and the first of these.
const CURRENT: &str = "current";
const FIRST_VERSION: &str = "v0";
const TABLES: &str = "tables";

/// The files of a tree without entries, as the tree wrote them: the same bytes for every tree of a process.
pub(crate) struct Blank {
    current: Vec<u8>,
    first_version: Vec<u8>,
}

/// An engine on disk.
pub(crate) struct DiskEngine {
    tree: AnyTree,
    path: PathBuf,
    background: Arc<Background>,
    budget: Arc<Budget>,
    /// Created and not written yet.
    is_blank: AtomicBool,
}

/// What the background compaction needs.
struct Background {
    /// Locked while compacting. `close` takes the tree away: the last handle of a tree removes its obsolete files, and that
    /// must not happen on another thread after the directory was opened again.
    tree: Mutex<Option<AnyTree>>,
    seqno: SequenceNumberCounter,
    path: PathBuf,
    closed: AtomicBool,
    /// What the background found broken; the next checkpoint reports it.
    failure: Mutex<Option<Error>>,
}

impl DiskEngine {
    /// Opens the tree in `path`, creating it when absent.
    pub(crate) fn open(path: &Path, budget: &Arc<Budget>) -> Result<Self> {
        check_current(path)?;
        let seqno = SequenceNumberCounter::default();
        let config = lsm_tree::Config::new(path, seqno.clone(), SequenceNumberCounter::default())
            .use_cache(budget.block_cache())
            .use_descriptor_table(Some(budget.descriptors()));
        let tree = caught(path, || config.open())?;
        let next = caught(path, || {
            Ok(tree.get_highest_seqno().map_or(0, |highest| highest + 1))
        })?;
        seqno.fetch_max(next);
        let background = Background {
            tree: Mutex::new(Some(tree.clone())),
            seqno,
            path: path.to_owned(),
            closed: AtomicBool::new(false),
            failure: Mutex::new(None),
        };
        Ok(Self {
            tree,
            path: path.to_owned(),
            background: Arc::new(background),
            budget: budget.clone(),
            is_blank: AtomicBool::new(false),
        })
    }

    /// Opens a new tree in `path`, a directory that is there, empty and of no meaning before the first write has returned.
    ///
    /// A tree syncs each step of its making, and each step of its first write again. Those of the making are left out but for the
    /// first tree of the process: its files are copied, and a tree is opened that has no entries. The first write replaces
    /// them both and syncs the directories they are in, before it makes its own version count.
    pub(crate) fn create(path: &Path, budget: &Arc<Budget>) -> Result<Self> {
        let wrap = |source| translate(path, lsm_tree::Error::Io(source));
        if let Some(blank) = budget.blank().get() {
            blank.write(path).map_err(wrap)?;
        }
        let engine = Self::open(path, budget)?;
        if budget.blank().get().is_none() {
            let blank = Blank::read(path).map_err(wrap)?;
            budget.blank().get_or_init(|| blank);
        }
        engine.is_blank.store(true, Ordering::Relaxed);
        Ok(engine)
    }

    fn tree_get(&self, key: &[u8]) -> Result<Option<lsm_tree::Slice>> {
        caught(&self.path, || self.tree.get(key, SeqNo::MAX))
    }
}

impl Blank {
    fn read(path: &Path) -> io::Result<Self> {
        Ok(Self {
            current: std::fs::read(path.join(CURRENT))?,
            first_version: std::fs::read(path.join(FIRST_VERSION))?,
        })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path.join(TABLES))?;
        std::fs::write(path.join(FIRST_VERSION), &self.first_version)?;
        // Last, so that whoever kills the process leaves a tree or none.
        std::fs::write(path.join(CURRENT), &self.current)
    }
}

impl Engine for DiskEngine {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let found = if key.len() < INLINE_KEY_BYTES {
            let mut inline = [DATA; INLINE_KEY_BYTES];
            inline[1..=key.len()].copy_from_slice(key);
            self.tree_get(&inline[..=key.len()])?
        } else {
            self.tree_get(&prefixed(key))?
        };
        value.extend_from_slice(found.as_deref().unwrap_or_default());
        Ok(found.is_some())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        let from = match range.from {
            Bound::Unbounded => Bound::Included(vec![DATA]),
            bound => bound.map(prefixed),
        };
        let to = match range.to {
            Bound::Unbounded => Bound::Excluded(vec![DATA + 1]),
            bound => bound.map(prefixed),
        };
        let entries = caught(&self.path, || {
            Ok(self.tree.range((from, to), SeqNo::MAX, None))
        })?;
        Ok(Box::new(DiskCursor {
            entries,
            direction,
            path: self.path.clone(),
            entry: None,
        }))
    }

    fn write(&self, entries: &mut Entries<'_>, meta: Option<&[u8]>) -> Result<()> {
        if let Some(failure) = self
            .background
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            return Err(failure);
        }
        caught(&self.path, || {
            let mut ingestion = self.tree.ingestion()?;
            if let Some(meta) = meta {
                ingestion.write([META], meta)?;
            }
            let mut buffer = Vec::new();
            for (key, value) in entries {
                buffer.clear();
                buffer.push(DATA);
                buffer.extend_from_slice(key);
                match value {
                    Some(value) => ingestion.write(&buffer[..], value)?,
                    None => ingestion.write_tombstone(&buffer[..])?,
                }
            }
            ingestion.finish()
        })?;
        if self.is_blank.swap(false, Ordering::Relaxed) {
            return Ok(()); // its only run would be moved to another level, which costs a version with its five syncs
        }
        if caught(&self.path, || Ok(self.tree.l0_run_count()))? >= RUNS_MAX {
            return self.background.compact();
        }
        let work: Arc<dyn Compact> = self.background.clone();
        self.budget.compactor().submit(&work);
        Ok(())
    }

    fn meta(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.tree_get(&[META])?.map(|meta| meta.to_vec()))
    }

    fn size_bytes(&self) -> u64 {
        caught(&self.path, || Ok(self.tree.disk_space())).unwrap_or(0)
    }

    fn close(&self) {
        self.background.closed.store(true, Ordering::Release);
        let mut tree = self
            .background
            .tree
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *tree = None;
    }
}

impl Drop for DiskEngine {
    fn drop(&mut self) {
        // A compaction that outlives the engine would fight with the next one to open this directory.
        self.close();
    }
}

impl Background {
    fn compact(&self) -> Result<()> {
        let tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tree) = &*tree else {
            return Ok(());
        };
        let strategy = Leveled::default()
            .with_l0_threshold(RUNS_TO_COMPACT)
            .with_table_target_size(TABLE_BYTES);
        let strategy = Arc::new(strategy);
        for _ in 0..ROUNDS_MAX {
            if self.closed.load(Ordering::Acquire) {
                break;
            }
            let before = tree.next_table_id();
            // Nothing reads at an older sequence number, so only the newest version of each key is kept.
            caught(&self.path, || {
                tree.compact(strategy.clone(), self.seqno.get())
            })?;
            if tree.next_table_id() == before {
                break;
            }
        }
        Ok(())
    }
}

impl Compact for Background {
    fn run(&self) {
        if let Err(error) = self.compact()
            && !self.closed.load(Ordering::Acquire)
        {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}

/// The tree takes a directory without its file `current` for a new one, and would forget the tables in it; and it writes the
/// checksum of the version that counts but does not read it, so that a flipped bit may lead to a former version.
fn check_current(path: &Path) -> Result<()> {
    let current = match std::fs::read(path.join(CURRENT)) {
        Ok(current) => current,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let tables = std::fs::read_dir(path.join(TABLES));
            if tables.is_ok_and(|mut tables| tables.next().is_some()) {
                return Err(corrupt(path, "the file `current` is missing".to_owned()));
            }
            return Ok(());
        }
        Err(error) => return Err(translate(path, error.into())),
    };
    let (id, sum) = parse_current(&current)
        .ok_or_else(|| corrupt(path, "the file `current` is cut".to_owned()))?;
    let version = std::fs::read(path.join(format!("v{id}")));
    let version = version.map_err(|error| translate(path, error.into()))?;
    if xxhash_rust::xxh3::xxh3_128(&version) != sum {
        return Err(corrupt(
            path,
            format!("the file `current` does not fit version {id}"),
        ));
    }
    Ok(())
}

/// The number of the version and the checksum of its file, little endian.
fn parse_current(bytes: &[u8]) -> Option<(u64, u128)> {
    let (id, rest) = bytes.split_first_chunk::<8>()?;
    let sum = rest.first_chunk::<16>()?;
    Some((u64::from_le_bytes(*id), u128::from_le_bytes(*sum)))
}

fn prefixed(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + key.len());
    bytes.push(DATA);
    bytes.extend_from_slice(key);
    bytes
}

/// Runs a call into the tree; its errors and its panics become ours.
fn caught<T>(path: &Path, call: impl FnOnce() -> lsm_tree::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(translate(path, error)),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message
                .or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(corrupt(
                path,
                format!("the tree cannot read it ({message})"),
            ))
        }
    }
}

fn corrupt(path: &Path, message: String) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        message,
    }
}

fn translate(path: &Path, error: lsm_tree::Error) -> Error {
    match error {
        lsm_tree::Error::Io(source) => match source.kind() {
            // The tree's files are there, complete and in its own format unless someone damaged them.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotFound => corrupt(path, source.to_string()),
            _ => Error::Io {
                path: path.to_owned(),
                source,
            },
        },
        other => corrupt(path, format!("{other:?}")),
    }
}

type TreeEntries = Box<dyn DoubleEndedIterator<Item = lsm_tree::IterGuardImpl> + Send>;

struct DiskCursor {
    entries: TreeEntries,
    direction: Direction,
    path: PathBuf,
    entry: Option<(lsm_tree::Slice, lsm_tree::Slice)>,
}

impl Cursor for DiskCursor {
    fn advance(&mut self) -> Result<bool> {
        let (entries, direction) = (&mut self.entries, self.direction);
        self.entry = caught(&self.path, || {
            let next = match direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.next_back(),
            };
            next.map(Guard::into_inner).transpose()
        })?;
        Ok(self.entry.is_some())
    }

    fn key(&self) -> &[u8] {
        self.entry.as_ref().map_or(&[], |(key, _)| &key[1..])
    }

    fn value(&self) -> &[u8] {
        self.entry.as_ref().map_or(&[], |(_, value)| value)
    }
}
