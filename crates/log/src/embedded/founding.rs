//! The two ends of a directory's bookkeeping: founding a log in an empty one, and sweeping out what nothing names any more.
//! Not recovery, which comes between. Invariant: nothing that a meta file or a journal entry names is removed.

use super::{
    core::Core,
    journal::{self, Journal},
    meta::Snapshot,
    recovery::{JOURNAL_DIR, TOPICS_DIR},
};
use crate::{Error, Result};
use headwater_world::{Disk, OpenMode, World};
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::{Path, PathBuf};

/// Makes an empty log. The journal file comes before the meta file that asks for it.
pub(super) fn found(world: &World, dir: &Path) -> Result<Snapshot> {
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
