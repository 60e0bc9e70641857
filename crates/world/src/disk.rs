//! Files and directories behind a small trait. Not a cache: each call reaches the medium or its model.
//! Invariant: what `sync` (for a file) and `sync_dir` (for its name) confirmed survives a crash; nothing else is promised.

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;

use std::{
    io::Result,
    path::{Path, PathBuf},
};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Must exist; never written.
    Read,
    /// Created when absent; read and written.
    ReadWrite,
    /// Must not exist yet; read and written.
    CreateNew,
}

/// An open file. Positions are bytes from the start; there is no cursor.
pub trait File: Send + Sync {
    /// Fills `buffer` from `position`; fewer bytes than asked is `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> Result<()>;
    /// Writes all of `bytes` at `position`, growing the file where needed.
    fn write_all_at(&self, bytes: &[u8], position: u64) -> Result<()>;
    /// Makes the file's data and length durable.
    fn sync(&self) -> Result<()>;
    /// The length in bytes.
    fn len(&self) -> Result<u64>;
    /// Cuts or extends (with zeroes) to `len` bytes.
    fn set_len(&self, len: u64) -> Result<()>;
    /// True when the file has no bytes.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// An exclusive lock on a path, held until dropped.
pub trait DiskLock: Send + Sync {}

/// A file system.
pub trait Disk: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>>;
    /// Names (not paths) in a directory, sorted.
    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>>;
    /// Creates a directory and its parents; existing ones are fine.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;
    /// Renames a file or directory, replacing a file at `to`.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> Result<()>;
    /// Removes a directory and all below it; an absent one is fine.
    fn remove_dir_all(&self, dir: &Path) -> Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;
    /// True when a file or directory is there.
    fn exists(&self, path: &Path) -> Result<bool>;
    /// Takes an exclusive lock on the file `path` (created when absent); `WouldBlock` when another holds it. A real disk waits a
    /// second for the other first.
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>>;
    /// True when reads may bypass this trait and use `std::fs` on the same paths (a real disk).
    fn is_real(&self) -> bool;
}
