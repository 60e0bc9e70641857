//! `std::fs` behind [`Disk`]. Not portable to systems without positioned reads and directory syncs: Unix only.
//! Invariant: no call keeps state of its own; two `RealDisk`s over the same paths are one disk.

use crate::{Disk, DiskLock, File, OpenMode};
use std::{
    fs,
    io::{Error, ErrorKind, Result},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a lock that is held is waited for. A child that was just forked holds its parent's locks until it runs its own
/// program, and a process that is ending until the kernel has closed its files.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(1);
const LOCK_LOOK_INTERVAL: Duration = Duration::from_millis(10);

pub(crate) struct RealDisk;

struct RealFile(fs::File);

/// The open file is the lock: closing it releases.
struct RealLock {
    _file: fs::File,
}

impl DiskLock for RealLock {}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true).create(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        let file = options.open(path).map_err(|error| named(error, path))?;
        // Linux opens a directory for reading and fails at the first read, where nobody expects it.
        if mode == OpenMode::Read && file.metadata()?.is_dir() {
            return Err(named(ErrorKind::IsADirectory.into(), path));
        }
        Ok(Box::new(RealFile(file)))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let mut names = fs::read_dir(or_current(dir))
            .map_err(|error| named(error, dir))?
            .map(|entry| Ok(PathBuf::from(entry?.file_name())))
            .collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(|error| named(error, dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|error| {
            let message = format!("{} -> {}: {error}", from.display(), to.display());
            Error::new(error.kind(), message)
        })
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|error| named(error, path))
    }

    fn remove_dir_all(&self, dir: &Path) -> Result<()> {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(named(error, dir)),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let directory = fs::File::open(or_current(dir)).map_err(|error| named(error, dir))?;
        if !directory.metadata()?.is_dir() {
            return Err(named(ErrorKind::NotADirectory.into(), dir));
        }
        directory.sync_all().map_err(|error| named(error, dir))
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        match fs::exists(path) {
            // A file where the path names a directory: nothing can be below it.
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
            found => found.map_err(|error| named(error, path)),
        }
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| named(error, path))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Box::new(RealLock { _file: file })),
                Err(fs::TryLockError::WouldBlock) if begun.elapsed() < LOCK_WAIT_MAX => {
                    std::thread::park_timeout(LOCK_LOOK_INTERVAL);
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(named(ErrorKind::WouldBlock.into(), path));
                }
                Err(fs::TryLockError::Error(error)) => return Err(named(error, path)),
            }
        }
    }

    fn is_real(&self) -> bool {
        true
    }
}

impl File for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> Result<()> {
        self.0.read_exact_at(buffer, position)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        self.0.write_all_at(bytes, position)
    }

    /// `fdatasync` is enough: POSIX has it flush the length when reading the data back needs it; it skips only the times.
    fn sync(&self) -> Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.0.set_len(len)
    }
}

/// `std::fs` errors do not say which path; the kind is kept for branching.
fn named(error: Error, path: &Path) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The parent of a bare file name is the empty path, which means the current directory.
fn or_current(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    }
}
