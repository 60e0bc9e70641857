//! What a crash leaves of a medium. Not a fault switch: the crashed disk goes on, the image is another disk.
//! Invariant: what `sync` and `sync_dir` have confirmed is in every image.

use super::medium::{Change, FileNode, Medium, Node, Operation, Side, write};
use crate::{Random, SeededRandom};
use std::collections::BTreeMap;

/// Devices write sectors whole.
const SECTOR_BYTES: usize = 512;

/// How much of the unsynced changes survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// The process was killed: the page cache survives. It is still unsynced, so a second crash may lose it.
    KeepAll,
    /// Power was cut before anything left the page cache: only synced data survives.
    LoseUnsynced,
    /// Power was cut while the page cache was written back, in whatever order the kernel and the device chose.
    ///
    /// Unsynced writes are kept, lost, cut at a byte or a sector, or kept in scattered sectors; a lost part that extends the
    /// file may read as zeroes. Of the unsynced changes of names each directory keeps a prefix, in order.
    Torn {
        /// Chooses the outcome; the same seed on the same disk gives the same image.
        seed: u64,
    },
}

impl Medium {
    pub(super) fn crashed(&self, mode: CrashMode) -> Medium {
        let mut image = self.clone();
        match mode {
            CrashMode::KeepAll => {}
            CrashMode::LoseUnsynced => image.lose_power(|_| {}, |_| Vec::new()),
            CrashMode::Torn { seed } => {
                let random = SeededRandom::new(seed);
                image.lose_power(
                    |file| tear_file(file, &random),
                    |unsynced| kept_operations(unsynced, &random),
                );
            }
        }
        for node in image.nodes.values_mut() {
            if let Node::File(file) = node {
                file.handles = 0;
                file.locked = false;
            }
        }
        image.collect();
        image
    }

    /// Brings the durable side up to what the crash kept, then forgets the page cache.
    fn lose_power(
        &mut self,
        mut write_back: impl FnMut(&mut FileNode),
        keep: impl FnOnce(Vec<Operation>) -> Vec<Operation>,
    ) {
        for operation in keep(std::mem::take(&mut self.unsynced)) {
            self.apply(&operation, Side::Durable);
        }
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => {
                    write_back(file);
                    file.unsynced.clear();
                    file.cached = file.durable.clone();
                }
                Node::Directory(directory) => directory.cached = directory.durable.clone(),
            }
        }
    }
}

/// For each directory a prefix of its operations. A rename between two directories is kept or lost in both:
/// losing it ends the prefix of both.
fn kept_operations(unsynced: Vec<Operation>, random: &SeededRandom) -> Vec<Operation> {
    let mut left_of_directory = BTreeMap::new();
    for dir in unsynced.iter().flat_map(Operation::directories) {
        *left_of_directory.entry(dir).or_insert(0_u64) += 1;
    }
    for left in left_of_directory.values_mut() {
        *left = random.below(*left + 1);
    }
    let keeps = |operation: &Operation| {
        let directories = operation.directories();
        let kept = directories.iter().all(|dir| left_of_directory[dir] > 0);
        for dir in directories {
            if let Some(left) = left_of_directory.get_mut(&dir) {
                *left = if kept { *left - 1 } else { 0 };
            }
        }
        kept
    };
    unsynced.into_iter().filter(keeps).collect()
}

/// Three files in four lose each write independently of the others; one in four was written back in order up to some point.
fn tear_file(file: &mut FileNode, random: &SeededRandom) {
    let unsynced = std::mem::take(&mut file.unsynced);
    if random.below(4) > 0 {
        for change in &unsynced {
            tear_change(&mut file.durable, change, Outcome::any(random), random);
        }
        return;
    }
    let reached = random.below(unsynced.len() as u64 + 1) as usize;
    for (index, change) in unsynced.iter().take(reached).enumerate() {
        let outcome = if index + 1 < reached {
            Outcome::Kept
        } else {
            Outcome::any(random)
        };
        tear_change(&mut file.durable, change, outcome, random);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Kept,
    Lost,
    CutAtByte,
    CutAtSector,
    ScatteredSectors,
}

impl Outcome {
    fn any(random: &SeededRandom) -> Outcome {
        match random.below(5) {
            0 => Outcome::Kept,
            1 => Outcome::Lost,
            2 => Outcome::CutAtByte,
            3 => Outcome::CutAtSector,
            _ => Outcome::ScatteredSectors,
        }
    }
}

fn tear_change(content: &mut Vec<u8>, change: &Change, outcome: Outcome, random: &SeededRandom) {
    let (position, bytes) = match change {
        // A length is one field of one inode: there or not.
        Change::SetLen(len) => {
            if outcome == Outcome::Kept || outcome != Outcome::Lost && random.below(2) == 0 {
                content.resize(*len as usize, 0);
            }
            return;
        }
        Change::Write { position, bytes } => (*position, bytes),
    };
    let cut = random.below(bytes.len() as u64 + 1) as usize;
    match outcome {
        Outcome::Kept => return write(content, bytes, position),
        Outcome::Lost => {}
        Outcome::CutAtByte => write_part(content, &bytes[..cut], position),
        Outcome::CutAtSector => {
            // Sectors are counted from the start of the file, not of the write.
            let end = (position as usize + cut) / SECTOR_BYTES * SECTOR_BYTES;
            let kept = end.saturating_sub(position as usize);
            write_part(content, &bytes[..kept], position);
        }
        Outcome::ScatteredSectors => {
            let mut start = 0;
            while start < bytes.len() {
                let in_sector = (position as usize + start) % SECTOR_BYTES;
                let end = bytes.len().min(start + SECTOR_BYTES - in_sector);
                if random.below(2) == 0 {
                    write_part(content, &bytes[start..end], position + start as u64);
                }
                start = end;
            }
        }
    }
    // The new length may reach the medium before the data does.
    let end = position as usize + bytes.len();
    if content.len() < end && random.below(2) == 0 {
        content.resize(end, 0);
    }
}

/// An empty part does not extend the file.
fn write_part(content: &mut Vec<u8>, bytes: &[u8], position: u64) {
    if !bytes.is_empty() {
        write(content, bytes, position);
    }
}
