//! Opening a directory: the meta file, then the journal after it, applied as the first time. Not a repair tool: what was durable
//! once and is damaged is refused, with file and position.
//! Invariant: nothing is written before meta file, segments and journal are found sound; opening again after a crash ends the same.

use super::{
    core::{Recovered, Writer},
    entry::{self, Op},
    files::Files,
    hint,
    journal::{self, Journal, Scanned},
    meta::Snapshot,
    options::EmbeddedOptions,
    partition::Partition,
    state::{Changes, State, Topic},
    stored::open_segments,
    warnings::Warnings,
};
use crate::{Error, Result, TopicId, TopicPartition};
use headwater_world::{Disk, OpenMode, World};
use rustc_hash::FxHashSet;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

pub(super) const JOURNAL_DIR: &str = "journal";
pub(super) const TOPICS_DIR: &str = "topics";
const LOCK_FILE: &str = "lock";

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
        None => super::founding::found(world, dir)?,
    };
    if !read_only {
        // A killed process may have left the meta file's name in the page cache only; what follows builds on it.
        disk.sync_dir(dir)
            .map_err(|error| Error::io(dir, "sync the log directory", &error))?;
    }
    let warnings = Arc::new(Warnings::new(read_only));
    // Before the journal: beside the owner, a hint read after it may name entries that came since.
    let acknowledged = hint::read(&**disk, dir, snapshot.log_id);
    let scan = scan(&**disk, dir, &snapshot)?;
    let end = match scan.files.last() {
        Some(file) => (file.path.clone(), file.end),
        None => (dir.join(JOURNAL_DIR), 0),
    };
    hint::check(acknowledged, options, scan.last, end, &warnings)?;
    let files = Files::new(Arc::clone(disk), options.open_files_max);
    let mut state = State::new(files, options.clone(), dir.join(TOPICS_DIR));
    state.dying.clone_from(&scan.dying);
    load(&state, &snapshot, &warnings)?;
    state.replaying = true;
    let replayed = replay(&**disk, &state, &snapshot, &scan)?;
    state.replaying = false;
    state.dying.clear();
    plan_anew(&state);
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

/// The next commit is placed behind what was replayed.
fn plan_anew(state: &State) {
    for topic in state.topics() {
        for partition in &topic.partitions {
            partition.plan_anew();
        }
    }
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
    let path = dir.join(hint::FILE);
    let acknowledged = disk
        .open(&path, OpenMode::ReadWrite)
        .map_err(|error| Error::io(&path, "open the acknowledged sequence number", &error))?;
    Ok(Writer {
        journal: Journal::reopen(disk, &journal_dir, snapshot.log_id, last)?,
        acknowledged,
    })
}
