//! A file system in memory that can lose power, fill up, turn read-only and rot. Not fast: one lock for all of it.
//! Invariant: what a call changes is in the page cache at once, and on the medium only after `sync` or `sync_dir`;
//! no call but those two makes anything durable, which is stricter than any common file system.

mod crash;
mod damage;
mod fault;
mod medium;
#[cfg(test)]
mod tests;

pub use crash::CrashMode;

use crate::{Disk, DiskLock, File, OpenMode};
use fault::Faults;
use medium::{FILE_BYTES_MAX, FileNode, Medium, Node, NodeId, Operation, Place};
use std::{
    io::{Error, ErrorKind, Result},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// A simulated file system; relative paths start at its root, so `data` and `/data` are one directory.
///
/// `sync` of a file does not make its name durable, and `sync_dir` does not make the data of its files durable.
/// A directory that [`Disk::create_dir_all`] creates needs a `sync_dir` of its parent, as on a real disk.
pub struct SimulatedDisk {
    drive: Arc<Mutex<Drive>>,
}

/// The medium with its page cache, and the faults in front of it.
struct Drive {
    medium: Medium,
    faults: Faults,
}

struct SimulatedFile {
    drive: Arc<Mutex<Drive>>,
    node: NodeId,
    writable: bool,
}

struct SimulatedLock {
    drive: Arc<Mutex<Drive>>,
    node: NodeId,
}

impl SimulatedDisk {
    /// An empty disk: a root directory, no faults, no limit.
    pub fn new() -> Self {
        Self::over(Medium::new())
    }

    /// What a crash at this moment may leave, as a disk of its own without faults, locks or open files.
    ///
    /// This disk and its open files stay as they are: several crashes can be tried from one moment.
    pub fn crash(&self, mode: CrashMode) -> SimulatedDisk {
        Self::over(self.lock_drive().medium.crashed(mode))
    }

    fn over(medium: Medium) -> Self {
        let faults = Faults::default();
        Self {
            drive: Arc::new(Mutex::new(Drive { medium, faults })),
        }
    }

    fn lock_drive(&self) -> MutexGuard<'_, Drive> {
        lock(&self.drive)
    }
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self::new()
    }
}

fn lock(drive: &Mutex<Drive>) -> MutexGuard<'_, Drive> {
    drive
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Drive {
    /// One change of names. The faults come first: a call that fails changes nothing.
    fn change(&mut self, operation: Operation) -> Result<()> {
        self.faults.mutation()?;
        self.medium.perform(operation);
        Ok(())
    }

    fn create_file(&mut self, place: Place) -> Result<NodeId> {
        self.faults.mutation()?;
        Ok(self.medium.create(place, Node::File(FileNode::default())))
    }

    /// Entries go one by one, children before parents, so that a crash may fall between any two.
    fn remove_tree(&mut self, place: Place, node: NodeId) -> Result<()> {
        if let Node::Directory(_) = self.medium.node(node) {
            for (name, child) in self.medium.directory(node)?.cached.clone() {
                self.remove_tree(Place { dir: node, name }, child)?;
            }
        }
        self.change(Operation::Unlink(place))
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>> {
        let mut drive = self.lock_drive();
        drive.faults.alive()?;
        let node = match (drive.medium.find(path)?, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(named(ErrorKind::AlreadyExists, path)),
            (Some(node), OpenMode::Read) => node,
            (Some(node), OpenMode::ReadWrite) => {
                drive.faults.writable()?;
                node
            }
            (None, OpenMode::Read) => return Err(named(ErrorKind::NotFound, path)),
            (None, _) => {
                let place = drive.medium.place(path)?;
                drive.create_file(place)?
            }
        };
        drive.medium.file_mut(node, path)?.handles += 1;
        Ok(Box::new(SimulatedFile {
            drive: Arc::clone(&self.drive),
            node,
            writable: mode != OpenMode::Read,
        }))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let drive = self.lock_drive();
        drive.faults.alive()?;
        let node = drive.medium.require(dir)?;
        let directory = drive.medium.directory(node)?;
        Ok(directory.cached.keys().map(PathBuf::from).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        let mut drive = self.lock_drive();
        drive.faults.alive()?;
        let mut parent = medium::ROOT;
        for name in medium::components(dir) {
            let known = drive.medium.directory(parent)?.cached.get(&name).copied();
            parent = match known {
                Some(node) => node,
                None => {
                    drive.faults.mutation()?;
                    let place = Place { dir: parent, name };
                    let empty = Node::Directory(Default::default());
                    drive.medium.create(place, empty)
                }
            };
        }
        // The last component may be a file.
        match drive.medium.directory(parent) {
            Ok(_) => Ok(()),
            Err(_) => Err(named(ErrorKind::AlreadyExists, dir)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut drive = self.lock_drive();
        drive.faults.alive()?;
        // Both directories first, as the kernel does: it decides which of two errors is seen.
        let (source, target) = (drive.medium.place(from)?, drive.medium.place(to)?);
        let node = drive.medium.require(from)?;
        if source == target {
            return Ok(());
        }
        drive.medium.check_replace(node, &source, &target, to)?;
        drive.change(Operation::Rename {
            from: source,
            to: target,
            node,
        })
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let mut drive = self.lock_drive();
        drive.faults.alive()?;
        let node = drive.medium.require(path)?;
        drive.medium.file_mut(node, path)?;
        let place = drive.medium.place(path)?;
        drive.change(Operation::Unlink(place))
    }

    fn remove_dir_all(&self, dir: &Path) -> Result<()> {
        let mut drive = self.lock_drive();
        drive.faults.alive()?;
        let Some(node) = drive.medium.find(dir)? else {
            return Ok(());
        };
        drive.medium.directory(node)?;
        let place = drive.medium.place(dir)?;
        drive.remove_tree(place, node)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let mut drive = self.lock_drive();
        drive.faults.alive()?;
        let node = drive.medium.require(dir)?;
        drive.medium.directory(node)?;
        drive.faults.mutation()?;
        drive.faults.sync()?;
        drive.medium.sync_directory(node);
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        let drive = self.lock_drive();
        drive.faults.alive()?;
        match drive.medium.find(path) {
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
            found => Ok(found?.is_some()),
        }
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>> {
        let mut drive = self.lock_drive();
        drive.faults.alive()?;
        let node = match drive.medium.find(path)? {
            Some(node) => node,
            None => {
                let place = drive.medium.place(path)?;
                drive.create_file(place)?
            }
        };
        drive.faults.writable()?;
        let file = drive.medium.file_mut(node, path)?;
        if file.locked {
            return Err(named(ErrorKind::WouldBlock, path));
        }
        file.locked = true;
        file.handles += 1;
        Ok(Box::new(SimulatedLock {
            drive: Arc::clone(&self.drive),
            node,
        }))
    }

    fn is_real(&self) -> bool {
        false
    }
}

impl DiskLock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut drive = lock(&self.drive);
        drive.medium.open_file_mut(self.node).locked = false;
        drive.medium.close(self.node);
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        lock(&self.drive).medium.close(self.node);
    }
}

impl SimulatedFile {
    fn writable(&self) -> Result<()> {
        if self.writable {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::PermissionDenied,
            "the file is open for reading only",
        ))
    }
}

impl File for SimulatedFile {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> Result<()> {
        let drive = lock(&self.drive);
        drive.faults.alive()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let bytes = &drive.medium.open_file(self.node).cached;
        let found = usize::try_from(position)
            .ok()
            .and_then(|start| bytes.get(start..start.checked_add(buffer.len())?));
        match found {
            Some(found) => buffer.copy_from_slice(found),
            None => return Err(ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    /// A full disk keeps the part that fits, as `write` does.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        let mut drive = lock(&self.drive);
        drive.faults.alive()?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.writable()?;
        let end = position.saturating_add(bytes.len() as u64);
        if end > FILE_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        drive.faults.mutation()?;
        let end_max = drive.end_max(self.node);
        let fitting = end_max.saturating_sub(position).min(bytes.len() as u64) as usize;
        if fitting > 0 {
            let file = drive.medium.open_file_mut(self.node);
            file.write(&bytes[..fitting], position);
        }
        if fitting < bytes.len() {
            return Err(storage_full());
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let mut drive = lock(&self.drive);
        drive.faults.mutation()?;
        if let Err(error) = drive.faults.sync() {
            // The kernel marks the pages clean though they never reached the medium: a retry succeeds and saves nothing.
            drive.medium.open_file_mut(self.node).unsynced.clear();
            return Err(error);
        }
        drive.medium.open_file_mut(self.node).sync();
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        let drive = lock(&self.drive);
        drive.faults.alive()?;
        Ok(drive.medium.open_file(self.node).cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut drive = lock(&self.drive);
        drive.faults.alive()?;
        self.writable()?;
        if len > FILE_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        drive.faults.mutation()?;
        if len > drive.end_max(self.node) {
            return Err(storage_full());
        }
        drive.medium.open_file_mut(self.node).set_len(len);
        Ok(())
    }
}

impl Drive {
    /// How long the file may become before the disk is full; never less than it is.
    fn end_max(&self, node: NodeId) -> u64 {
        let len = self.medium.open_file(node).cached.len() as u64;
        match self.faults.capacity_bytes {
            None => FILE_BYTES_MAX,
            Some(capacity) => len + capacity.saturating_sub(self.medium.used_bytes()),
        }
    }
}

fn storage_full() -> Error {
    Error::new(ErrorKind::StorageFull, "the simulated disk is full")
}

fn named(kind: ErrorKind, path: &Path) -> Error {
    Error::new(kind, format!("{}: {kind}", path.display()))
}
