//! The checkpoint: makes segments durable, records them in the meta file, and only then lets go of the journal before it.
//! Not part of a commit: it runs beside the turns, on the state of one sequence number.
//!
//! ```text
//!   turn:         new journal file -> snapshot of the state at S
//!   maintenance:  sync segments -> sync directories -> replace meta (S) -> remove journal up to S -> rename compacted, remove doomed files
//! ```
//!
//! Invariant: whatever the meta file or a journal entry after it needs is still on the disk.

use super::{
    core::{Core, lock},
    meta::{Snapshot, TopicRecord},
    partition::Partition,
    recovery::JOURNAL_DIR,
    segment::Segment,
};
use crate::{Error, Result};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

/// A checkpoint to be made.
#[derive(Clone)]
pub(super) struct Checkpoint {
    snapshot: Arc<Snapshot>,
    segments: Vec<(Arc<Partition>, Arc<Segment>)>,
    partitions: Vec<Arc<Partition>>,
}

impl Core {
    /// Takes the state as it is, with every entry up to `sequence` applied. Called by a turn, between two entries.
    pub(super) fn take_checkpoint(&self, sequence: u64) {
        let mut snapshot = Snapshot {
            log_id: self.log_id,
            sequence,
            topics: Vec::new(),
            groups: lock(&self.state.groups).clone(),
        };
        let (mut segments, mut partitions) = (Vec::new(), Vec::new());
        for topic in self.state.topics() {
            snapshot.topics.push(TopicRecord {
                id: topic.id,
                name: topic.name.clone(),
                config: topic.config.clone(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| partition.record())
                    .collect(),
            });
            for partition in &topic.partitions {
                partitions.push(Arc::clone(partition));
                for segment in partition.segments() {
                    if segment.dirty.load(Ordering::Acquire) {
                        segments.push((Arc::clone(partition), segment));
                    }
                }
            }
        }
        *lock(&self.checkpoint) = Some(Checkpoint {
            snapshot: Arc::new(snapshot),
            segments,
            partitions,
        });
        self.wake_maintenance();
    }

    /// Makes the checkpoint that a turn asked for; false when none was.
    pub(super) fn make_checkpoint(&self) -> bool {
        let Some(checkpoint) = lock(&self.checkpoint).clone() else {
            return false;
        };
        if self.check_poison().is_ok()
            && let Err(error) = self.store_checkpoint(&checkpoint)
        {
            self.poison(&error);
        }
        *lock(&self.checkpoint) = None;
        self.checkpoint_done.notify_all();
        true
    }

    fn store_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        let disk = &*self.world.disk;
        for (partition, segment) in &checkpoint.segments {
            match segment.sync(&self.state.files) {
                // Its directory was renamed; the deletion is in the journal, and recovery will not look for it.
                Err(_) if partition.deleted.load(Ordering::Acquire) => {}
                result => result?,
            }
        }
        for partition in &checkpoint.partitions {
            if partition.names_dirty.swap(false, Ordering::AcqRel) {
                match sync_dir(disk, &partition.dir) {
                    Err(_) if partition.deleted.load(Ordering::Acquire) => {}
                    result => result?,
                }
            }
        }
        if self.state.names_dirty.swap(false, Ordering::AcqRel) {
            sync_dir(disk, self.state.topics_dir())?;
        }
        let settled = std::mem::take(&mut *lock(&self.state.settled));
        checkpoint.snapshot.store(disk, &self.dir)?;
        for partition in settled {
            partition.compacting.fetch_sub(1, Ordering::AcqRel);
        }
        let sequence = checkpoint.snapshot.sequence;
        self.cut_journal(sequence);
        self.settle_cleaned(sequence)?;
        self.remove_doomed(sequence);
        Ok(())
    }

    /// Removes journal files whose entries the meta file contains. One that stays is removed by the next checkpoint, and ignored until then.
    fn cut_journal(&self, sequence: u64) {
        let dir = self.dir.join(JOURNAL_DIR);
        let Ok(files) = super::journal::files(&*self.world.disk, &dir) else {
            return;
        };
        for (first, path) in files {
            if first <= sequence
                && let Err(error) = self.world.disk.remove_file(&path)
            {
                self.warnings
                    .add(format!("{}: not removed: {error}", path.display()));
            }
        }
    }

    /// Gives compacted files that the meta file lists their final names, over the file they replace.
    fn settle_cleaned(&self, sequence: u64) -> Result<()> {
        let pending = std::mem::take(&mut *lock(&self.state.cleaned));
        let mut later = Vec::new();
        for (recorded, partition, segment) in pending {
            if recorded > sequence {
                later.push((recorded, partition, segment));
                continue;
            }
            // Deleted or expired meanwhile: its file is doomed under either name.
            if !segment.retired.load(Ordering::Acquire) {
                settle(&*self.world.disk, &segment)?;
                partition.names_dirty.store(true, Ordering::Release);
            }
            lock(&self.state.settled).push(partition);
        }
        lock(&self.state.cleaned).extend(later);
        Ok(())
    }

    fn remove_doomed(&self, sequence: u64) {
        let doomed = std::mem::take(&mut *lock(&self.state.doomed));
        let mut kept = Vec::new();
        for (recorded, path) in doomed {
            if recorded > sequence {
                kept.push((recorded, path));
            } else if let Err(error) = remove(&*self.world.disk, &path) {
                self.warnings
                    .add(format!("{}: not removed: {error}", path.display()));
            }
        }
        lock(&self.state.doomed).extend(kept);
    }
}

/// Renames a compacted file to the segment's own name.
fn settle(disk: &dyn headwater_world::Disk, segment: &Segment) -> Result<()> {
    let (from, to) = (segment.cleaned_path(), segment.settled_path());
    let io = |error| Error::io(&from, "give a compacted segment its name", &error);
    // The index first: with the old segment it is refused by its checks, and the file is what counts.
    let index = segment.index_path();
    let cleaned_index = super::compaction::cleaned_index_path(&index);
    if disk.exists(&cleaned_index).map_err(io)? {
        disk.rename(&cleaned_index, &index).map_err(io)?;
    }
    if disk.exists(&from).map_err(io)? {
        disk.rename(&from, &to).map_err(io)?;
    }
    segment.cleaned.store(false, Ordering::Release);
    Ok(())
}

/// Removes a file or a directory; an absent one is fine.
fn remove(disk: &dyn headwater_world::Disk, path: &Path) -> std::io::Result<()> {
    if !disk.exists(path)? {
        return Ok(());
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some(extension) if extension.ends_with("-delete") => disk.remove_dir_all(path),
        _ => disk.remove_file(path),
    }
}

fn sync_dir(disk: &dyn headwater_world::Disk, dir: &Path) -> Result<()> {
    disk.sync_dir(dir)
        .map_err(|error| Error::io(dir, "sync a directory", &error))
}
