//! Open segment files, a bounded number of them. Not a content cache: that is the operating system's.
//! Invariant: at most `max` files are kept here; one in use outlives its place until its user is done.

use super::{core::lock, segment::Segment};
use crate::{Error, Result};
use headwater_world::{Disk, File, OpenMode};
use rustc_hash::FxHashMap;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

/// The open files by segment number.
pub(super) struct Files {
    pub(super) disk: Arc<dyn Disk>,
    max: usize,
    ids: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    files: FxHashMap<u64, (Arc<dyn File>, u64)>,
    uses: u64,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, max: usize) -> Self {
        Self {
            disk,
            max: max.max(8),
            ids: AtomicU64::new(0),
            open: Mutex::default(),
        }
    }

    /// A number for a segment object, never given twice.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The file of `segment`, opened where it is not open yet.
    pub(super) fn get(&self, segment: &Segment) -> Result<Arc<dyn File>> {
        {
            let mut open = lock(&self.open);
            open.uses += 1;
            let uses = open.uses;
            if let Some((file, used)) = open.files.get_mut(&segment.id) {
                *used = uses;
                return Ok(Arc::clone(file));
            }
        }
        let path = segment.path();
        // Opened without the lock: a slow medium delays only those who need this file.
        let file = match self.disk.open(&path, OpenMode::Read) {
            // A checkpoint gave a compacted file its final name in between.
            Err(_) if segment.path() != path => self.disk.open(&segment.path(), OpenMode::Read),
            opened if segment.is_closed() => opened,
            _ => self.disk.open(&path, OpenMode::ReadWrite),
        };
        let file = file.map_err(|error| Error::io(&path, "open a segment", &error))?;
        Ok(self.keep(segment.id, Arc::from(file)))
    }

    /// Takes a file that was just created.
    pub(super) fn keep(&self, id: u64, file: Arc<dyn File>) -> Arc<dyn File> {
        let mut open = lock(&self.open);
        open.uses += 1;
        let uses = open.uses;
        if open.files.len() >= self.max {
            // The older half of the range goes at once, so that the sweep is paid once for many opens.
            let mut ages: Vec<u64> = open.files.values().map(|(_, used)| *used).collect();
            let middle = ages.len() / 4;
            let (_, limit, _) = ages.select_nth_unstable(middle);
            let limit = *limit;
            open.files.retain(|_, (_, used)| *used > limit);
        }
        open.files.insert(id, (Arc::clone(&file), uses));
        file
    }

    /// Closes the file of a segment that is gone.
    pub(super) fn close(&self, id: u64) {
        lock(&self.open).files.remove(&id);
    }
}
