//! The real disk with its reads counted, for a progress bar. Not a cache. Invariant: every call is the disk's own.

use headwater::world::{Disk, DiskLock, File, OpenMode, World};
use indicatif::ProgressBar;
use std::{
    io::Result,
    path::{Path, PathBuf},
    sync::Arc,
};

struct CountingDisk {
    disk: Arc<dyn Disk>,
    bar: ProgressBar,
}

struct CountingFile {
    file: Box<dyn File>,
    bar: ProgressBar,
}

/// The real world, whose disk moves `bar` by the bytes read.
pub(crate) fn counting_world(bar: &ProgressBar) -> World {
    let world = World::real();
    World {
        disk: Arc::new(CountingDisk {
            disk: world.disk.clone(),
            bar: bar.clone(),
        }),
        ..world
    }
}

impl File for CountingFile {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> Result<()> {
        self.bar.inc(buffer.len() as u64);
        self.file.read_exact_at(buffer, position)
    }
    fn write_all_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.file.write_all_at(bytes, position)
    }
    fn sync(&self) -> Result<()> {
        self.file.sync()
    }
    fn len(&self) -> Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len)
    }
}

impl Disk for CountingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>> {
        Ok(Box::new(CountingFile {
            file: self.disk.open(path, mode)?,
            bar: self.bar.clone(),
        }))
    }
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.disk.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> Result<()> {
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> Result<()> {
        self.disk.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.disk.sync_dir(dir)
    }
    fn exists(&self, path: &Path) -> Result<bool> {
        self.disk.exists(path)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>> {
        self.disk.lock(path)
    }
    fn is_real(&self) -> bool {
        self.disk.is_real()
    }
}
