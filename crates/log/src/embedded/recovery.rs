//! Opening a directory: the meta file, then the journal after it, applied as the first time. Not a repair tool: what was durable
//! once and is damaged is refused, with file and position.
//! Invariant: nothing is written before meta file, segments and journal are found sound; opening again after a crash ends the same.

use super::{
    core::{Core, Recovered, Warnings, Writer},
    entry::{self, Op},
    files::Files,
    journal::{self, Journal, Scanned},
    meta::Snapshot,
    options::EmbeddedOptions,
    partition::Partition,
    state::{Changes, State, Topic},
    stored::open_segments,
};
use crate::{Error, Result, TopicId, TopicPartition};
use headwater_world::{Disk, File, OpenMode, World};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

pub(super) const JOURNAL_DIR: &str = "journal";
pub(super) const TOPICS_DIR: &str = "topics";
const LOCK_FILE: &str = "lock";
const HINT_FILE: &str = "acknowledged";
const HINT_LEN: usize = 20;

/// Opens what is there, or founds a log in an empty directory. `read_only` takes no lock and expects a disk that keeps writes to itself.
/// The flag says whether anything was replayed, so that a checkpoint is due.
pub(super) fn recover(
    world: &World,
    dir: &Path,
    options: &EmbeddedOptions,
    read_only: bool,
) -> Result<(Recovered, bool)> {
    let disk = &world.disk;
    let lock = match read_only {
        true => None,
        false => Some(take_lock(&**disk, dir)?),
    };
    let snapshot = match Snapshot::load(&**disk, dir)? {
        Some(snapshot) => snapshot,
        None if read_only => {
            return Err(Error::Invalid(format!("{} holds no log", dir.display())));
        }
        None => found(world, dir)?,
    };
    if !read_only {
        // A killed process may have left the meta file's name in the page cache only; what follows builds on it.
        disk.sync_dir(dir)
            .map_err(|error| Error::io(dir, "sync the log directory", &error))?;
    }
    let warnings = Arc::new(Warnings::default());
    let scan = scan(&**disk, dir, &snapshot)?;
    check_hint(&**disk, dir, options, &snapshot, &scan, &warnings)?;
    let files = Files::new(Arc::clone(disk), options.open_files_max);
    let mut state = State::new(files, options.clone(), dir.join(TOPICS_DIR));
    state.dying.clone_from(&scan.dying);
    load(&state, &snapshot, &warnings)?;
    state.replaying = true;
    let replayed = replay(&**disk, &state, &snapshot, &scan)?;
    state.replaying = false;
    state.dying.clear();
    for topic in state.topics() {
        for partition in &topic.partitions {
            partition.plan_anew();
        }
    }
    let cut = cut_tail(&**disk, dir, &scan, &warnings)?;
    let writer = match read_only {
        true => None,
        false => Some(open_writer(&**disk, dir, &snapshot, &scan)?),
    };
    // Renamed or not: the meta file must say the final name before another compaction uses the other one.
    let mut topics = snapshot.topics.iter();
    let pending = topics.any(|topic| {
        let mut segments = topic.partitions.iter().flat_map(|it| &it.segments);
        segments.any(|segment| segment.cleaned)
    });
    Ok((
        Recovered {
            state,
            writer,
            log_id: snapshot.log_id,
            lock,
            warnings,
        },
        replayed || cut || pending,
    ))
}

fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn headwater_world::DiskLock>> {
    disk.create_dir_all(dir)
        .map_err(|error| Error::io(dir, "create the log directory", &error))?;
    let path = dir.join(LOCK_FILE);
    disk.lock(&path).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Error::Invalid(format!(
            "{} is open in another process: stop that one, give this one a directory of its own, or look at it with `open_read_only`",
            dir.display()
        )),
        _ => Error::io(&path, "lock the log directory", &error),
    })
}

/// Makes an empty log. The journal file comes before the meta file that asks for it.
fn found(world: &World, dir: &Path) -> Result<Snapshot> {
    let disk = &*world.disk;
    let (journal_dir, topics_dir) = (dir.join(JOURNAL_DIR), dir.join(TOPICS_DIR));
    for sub in [&journal_dir, &topics_dir] {
        disk.create_dir_all(sub)
            .map_err(|error| Error::io(sub, "create a directory", &error))?;
    }
    refuse_orphans(disk, dir, &journal_dir, &topics_dir)?;
    let snapshot = Snapshot {
        log_id: world.random.next_u64(),
        ..Snapshot::default()
    };
    Journal::create(disk, &journal_dir, snapshot.log_id, 1)?;
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    for above in [dir, parent] {
        disk.sync_dir(above)
            .map_err(|error| Error::io(above, "sync a directory", &error))?;
    }
    snapshot.store(disk, dir)?;
    Ok(snapshot)
}

/// Without a meta file only what founding itself leaves may be there.
fn refuse_orphans(
    disk: &dyn Disk,
    dir: &Path,
    journal_dir: &Path,
    topics_dir: &Path,
) -> Result<()> {
    let list = |dir: &Path| {
        disk.list(dir)
            .map_err(|error| Error::io(dir, "list", &error))
    };
    let topics = list(topics_dir)?;
    let mut orphan = topics.first().map(|name| topics_dir.join(name));
    for (first, path) in journal::files(disk, journal_dir)? {
        let len = disk.open(&path, OpenMode::Read).and_then(|file| file.len());
        let len = len.map_err(|error| Error::io(&path, "measure the journal", &error))?;
        if first != 1 || len > journal::FILE_HEADER_LEN as u64 {
            orphan = Some(path);
        }
    }
    match orphan {
        None => Ok(()),
        Some(orphan) => Err(Error::Corrupt {
            path: dir.join(super::meta::FILE),
            position: 0,
            message: format!(
                "the meta file is missing, though {} is there: restore the directory from a backup",
                orphan.display()
            ),
        }),
    }
}

/// The journal after the meta file.
struct Scan {
    files: Vec<Scanned>,
    /// Files that a crash left before they were used.
    leftovers: Vec<PathBuf>,
    /// Topics that some entry deletes.
    dying: FxHashSet<TopicId>,
    /// The sequence number of the last sound entry.
    last: u64,
}

fn scan(disk: &dyn Disk, dir: &Path, snapshot: &Snapshot) -> Result<Scan> {
    let journal_dir = dir.join(JOURNAL_DIR);
    let mut scan = Scan {
        files: Vec::new(),
        leftovers: Vec::new(),
        dying: FxHashSet::default(),
        last: snapshot.sequence,
    };
    let mut rotated = true;
    let mut paths = journal::files(disk, &journal_dir)?;
    // Older ones are contained in the meta file; a crash came between its replacement and their removal.
    paths.retain(|(first, _)| *first > snapshot.sequence);
    let count = paths.len();
    for (number, (first, path)) in paths.into_iter().enumerate() {
        let (mut now_rotated, last) = (false, number + 1 == count);
        let dying = &mut scan.dying;
        let scanned = journal::scan_file(
            disk,
            &path,
            first,
            snapshot.log_id,
            &mut |sequence, payload| {
                now_rotated = inspect(&path, sequence, payload, dying)?;
                Ok(())
            },
        )?;
        let due = scan.last + 1;
        let empty = scanned.next == scanned.first;
        if empty && last && !rotated && (first != due || !scanned.header) {
            scan.leftovers.push(path);
            break;
        }
        if first != due {
            return Err(missing(&journal_dir, due, &path));
        }
        if !scanned.header {
            return Err(damaged(&path, 0, "the file header is not this log's"));
        }
        if let Some(before) = scan.files.last()
            && let Some((_, why)) = &before.tail
            && !empty
        {
            let message = format!(
                "{why}; {} follows, so this is no torn write",
                path.display()
            );
            return Err(damaged(&before.path, before.end, &message));
        }
        rotated = now_rotated;
        scan.last = scanned.next - 1;
        scan.files.push(scanned);
    }
    if rotated {
        return Err(missing(
            &journal_dir,
            scan.last + 1,
            &dir.join(super::meta::FILE),
        ));
    }
    Ok(scan)
}

/// Reads the operations of one entry; true when it ends its file.
fn inspect(
    path: &Path,
    sequence: u64,
    payload: &[u8],
    dying: &mut FxHashSet<TopicId>,
) -> Result<bool> {
    let mut rotated = false;
    for op in entry::ops(payload) {
        match op {
            None => {
                let message = format!("entry {sequence} has a sound CRC over wrong fields");
                return Err(damaged(path, 0, &message));
            }
            Some(Op::DeleteTopic { topic }) => {
                dying.insert(topic);
            }
            Some(op) => rotated = op == Op::Rotate,
        }
    }
    Ok(rotated)
}

fn missing(dir: &Path, first: u64, asked_by: &Path) -> Error {
    let message = format!(
        "the file is missing, though {} asks for it: restore the directory from a backup",
        asked_by.display()
    );
    damaged(&dir.join(journal::file_name(first)), 0, &message)
}

fn damaged(path: &Path, position: u64, message: &str) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        position,
        message: message.to_owned(),
    }
}

/// Builds the state that the meta file describes.
fn load(state: &State, snapshot: &Snapshot, warnings: &Warnings) -> Result<()> {
    for record in &snapshot.topics {
        let mut partitions = Vec::with_capacity(record.partitions.len());
        for (number, partition_record) in record.partitions.iter().enumerate() {
            let name = TopicPartition::new(Arc::clone(&record.name), number as u32);
            let dir = state.topics_dir().join(name.to_string());
            let segments = match state.dying.contains(&record.id) {
                true => Vec::new(),
                false => open_segments(state, &dir, partition_record, warnings)?,
            };
            let pending: Vec<_> = segments
                .iter()
                .filter(|segment| segment.cleaned.load(Ordering::Acquire))
                .cloned()
                .collect();
            let topics_dir = state.topics_dir();
            let partition = Partition::new(record.id, name, topics_dir, partition_record, segments);
            let partition = Arc::new(partition);
            if partition_record
                .segments
                .iter()
                .any(|segment| segment.cleaned)
            {
                // The new name may be in the page cache only.
                partition.names_dirty.store(true, Ordering::Release);
            }
            for segment in pending {
                partition.compacting.fetch_add(1, Ordering::AcqRel);
                let mut cleaned = super::core::lock(&state.cleaned);
                cleaned.push((snapshot.sequence, Arc::clone(&partition), segment));
            }
            partitions.push(partition);
        }
        state.put_topic(Topic {
            id: record.id,
            name: Arc::clone(&record.name),
            config: record.config.clone(),
            policy: super::policy::Policy::parse(&record.name, &record.config, &state.options)?,
            partitions,
        });
    }
    super::core::lock(&state.groups).clone_from(&snapshot.groups);
    Ok(())
}

/// Applies every entry after the meta file; true when there was one.
fn replay(disk: &dyn Disk, state: &State, snapshot: &Snapshot, scan: &Scan) -> Result<bool> {
    let mut replayed = false;
    for file in &scan.files {
        let mut apply = |sequence: u64, payload: &[u8]| {
            replayed = true;
            let mut changes = Changes::default();
            for op in entry::ops(payload).flatten() {
                state
                    .apply(sequence, &op, &mut changes)
                    .map_err(|error| match error {
                        Error::Corrupt { path, message, .. } if path.as_os_str().is_empty() => {
                            damaged(&file.path, 0, &format!("entry {sequence}: {message}"))
                        }
                        error => error,
                    })?;
            }
            state.publish(&changes, entry::ops(payload).flatten());
            Ok(())
        };
        journal::scan_file(disk, &file.path, file.first, snapshot.log_id, &mut apply)?;
    }
    Ok(replayed)
}

/// Cuts a torn last entry off, durably, and removes files that were created and never used.
fn cut_tail(disk: &dyn Disk, dir: &Path, scan: &Scan, warnings: &Warnings) -> Result<bool> {
    let mut cut = false;
    for file in &scan.files {
        let Some((bytes, why)) = &file.tail else {
            continue;
        };
        cut = true;
        let next = file.next;
        warnings.add(format!(
            "{}: cut {bytes} bytes at byte {}: {why}: the torn write of entry {next}, which was never acknowledged",
            file.path.display(),
            file.end,
        ));
        disk.open(&file.path, OpenMode::ReadWrite)
            .and_then(|open| open.set_len(file.end).and_then(|()| open.sync()))
            .map_err(|error| Error::io(&file.path, "cut a torn entry", &error))?;
    }
    for path in &scan.leftovers {
        disk.remove_file(path)
            .and_then(|()| disk.sync_dir(&dir.join(JOURNAL_DIR)))
            .map_err(|error| Error::io(path, "remove an unused journal file", &error))?;
    }
    Ok(cut)
}

fn open_writer(disk: &dyn Disk, dir: &Path, snapshot: &Snapshot, scan: &Scan) -> Result<Writer> {
    let journal_dir = dir.join(JOURNAL_DIR);
    let Some(last) = scan.files.last() else {
        return Err(missing(
            &journal_dir,
            snapshot.sequence + 1,
            &dir.join(super::meta::FILE),
        ));
    };
    let path = dir.join(HINT_FILE);
    let acknowledged = disk
        .open(&path, OpenMode::ReadWrite)
        .map_err(|error| Error::io(&path, "open the acknowledged sequence number", &error))?;
    Ok(Writer {
        journal: Journal::reopen(disk, &journal_dir, snapshot.log_id, last)?,
        acknowledged,
    })
}

/// Notes that `sequence` was durable before anyone was told so. Never synced: it only ever lags behind the truth,
/// and still shows a journal that lost its end after a crash of the process.
pub(super) fn write_hint(file: &dyn File, log_id: u64, sequence: u64) -> std::io::Result<()> {
    file.write_all_at(&hint(log_id, sequence), 0)
}

fn hint(log_id: u64, sequence: u64) -> [u8; HINT_LEN] {
    let mut bytes = [0; HINT_LEN];
    bytes[..8].copy_from_slice(&log_id.to_be_bytes());
    bytes[8..16].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Refuses a journal that ends before an entry that was acknowledged.
fn check_hint(
    disk: &dyn Disk,
    dir: &Path,
    options: &EmbeddedOptions,
    snapshot: &Snapshot,
    scan: &Scan,
    warnings: &Warnings,
) -> Result<()> {
    let mut bytes = [0; HINT_LEN];
    let read = disk
        .open(&dir.join(HINT_FILE), OpenMode::Read)
        .and_then(|file| file.read_exact_at(&mut bytes, 0));
    let sequence = u64::from_be_bytes(bytes[8..16].try_into().unwrap_or_default());
    // A missing or torn hint says nothing: it is never synced.
    if read.is_err() || bytes != hint(snapshot.log_id, sequence) || sequence <= scan.last {
        return Ok(());
    }
    let (path, position) = match scan.files.last() {
        Some(file) => (file.path.clone(), file.end),
        None => (dir.join(JOURNAL_DIR), 0),
    };
    let message = format!(
        "the journal ends with entry {}, but entry {sequence} was acknowledged: restore the directory from a backup, or open it with `accept_lost_commits`",
        scan.last
    );
    if !options.accept_lost_commits {
        return Err(Error::Corrupt {
            path,
            position,
            message,
        });
    }
    warnings.add(format!(
        "{}: {message}: opened without them",
        path.display()
    ));
    Ok(())
}

/// Removes what no meta file and no journal entry names: files of segments that were replaced or expired, and of deleted topics.
/// Only after recovery, when all that is named is known.
pub(super) fn sweep(core: &Core) -> Result<()> {
    let disk = &*core.world.disk;
    let topics_dir = core.state.topics_dir();
    let list = |dir: &Path| {
        disk.list(dir)
            .map_err(|error| Error::io(dir, "list", &error))
    };
    let mut known: FxHashMap<PathBuf, FxHashSet<PathBuf>> = FxHashMap::default();
    for topic in core.state.topics() {
        for partition in &topic.partitions {
            let names = known.entry(partition.dir.clone()).or_default();
            for segment in partition.segments() {
                names.insert(segment.path());
                names.insert(segment.index_path());
            }
        }
    }
    for name in list(topics_dir)? {
        let dir = topics_dir.join(name);
        let io = |error| Error::io(&dir, "remove what nothing names", &error);
        let Some(names) = known.get(&dir) else {
            disk.remove_dir_all(&dir).map_err(io)?;
            continue;
        };
        for name in list(&dir)? {
            let path = dir.join(name);
            if !names.contains(&path) {
                disk.remove_file(&path).map_err(io)?;
            }
        }
    }
    Ok(())
}
