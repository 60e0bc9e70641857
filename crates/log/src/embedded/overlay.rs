//! A disk over another one that keeps every change to itself: what a log opened for reading only recovers on.
//! Not a copy: what is not changed is read from the disk below when it is asked for.
//! Invariant: nothing below is ever written, locked or removed.

use super::core::lock;
use headwater_world::{Disk, DiskLock, File, OpenMode};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Error, ErrorKind, Result},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// The disk below, and the changes.
pub(super) struct OverlayDisk {
    below: Arc<dyn Disk>,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    /// Files that were opened for writing.
    files: BTreeMap<PathBuf, Arc<OverlayFile>>,
    /// Files and directories of the disk below that are no more.
    gone: BTreeSet<PathBuf>,
    created: BTreeSet<PathBuf>,
}

/// The first `kept` bytes are those of the file below, the others are here.
struct OverlayFile {
    below: Option<Box<dyn File>>,
    content: Mutex<Content>,
}

struct Content {
    kept: u64,
    tail: Vec<u8>,
}

struct Handle(Arc<OverlayFile>);

impl OverlayDisk {
    pub(super) fn new(below: Arc<dyn Disk>) -> Self {
        Self {
            below,
            changes: Mutex::default(),
        }
    }

    fn is_gone(changes: &Changes, path: &Path) -> bool {
        path.ancestors().any(|part| changes.gone.contains(part))
    }
}

fn refused() -> Error {
    Error::new(
        ErrorKind::ReadOnlyFilesystem,
        "the log is open for reading only",
    )
}

impl Disk for OverlayDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Box<dyn File>> {
        let mut changes = lock(&self.changes);
        if let Some(file) = changes.files.get(path) {
            return match mode {
                OpenMode::CreateNew => Err(ErrorKind::AlreadyExists.into()),
                _ => Ok(Box::new(Handle(Arc::clone(file)))),
            };
        }
        let gone = Self::is_gone(&changes, path);
        if mode == OpenMode::Read {
            return match gone {
                true => Err(ErrorKind::NotFound.into()),
                false => self.below.open(path, mode),
            };
        }
        let below = match !gone && self.below.exists(path)? {
            true => Some(self.below.open(path, OpenMode::Read)?),
            false => None,
        };
        let kept = below.as_ref().map_or(Ok(0), |file| file.len())?;
        let content = Mutex::new(Content {
            kept,
            tail: Vec::new(),
        });
        let file = Arc::new(OverlayFile { below, content });
        changes.files.insert(path.to_owned(), Arc::clone(&file));
        Ok(Box::new(Handle(file)))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let changes = lock(&self.changes);
        let mut names: BTreeSet<PathBuf> = BTreeSet::new();
        if !Self::is_gone(&changes, dir) && self.below.exists(dir)? {
            let below = self.below.list(dir)?.into_iter();
            names.extend(below.filter(|name| !changes.gone.contains(&dir.join(name))));
        }
        let added = changes.files.keys().chain(&changes.created);
        for path in added.filter(|path| path.parent() == Some(dir)) {
            names.extend(path.file_name().map(PathBuf::from));
        }
        Ok(names.into_iter().collect())
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        let mut changes = lock(&self.changes);
        changes.created.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    /// Recovery renames only directories of deleted topics: nothing of them is looked at again.
    fn rename(&self, from: &Path, _to: &Path) -> Result<()> {
        self.remove_dir_all(from)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.remove_dir_all(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> Result<()> {
        let mut changes = lock(&self.changes);
        changes.files.retain(|path, _| !path.starts_with(dir));
        changes.created.retain(|path| !path.starts_with(dir));
        changes.gone.insert(dir.to_owned());
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        let changes = lock(&self.changes);
        if changes.files.contains_key(path) || changes.created.contains(path) {
            return Ok(true);
        }
        Ok(!Self::is_gone(&changes, path) && self.below.exists(path)?)
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn DiskLock>> {
        Err(refused())
    }

    fn is_real(&self) -> bool {
        false
    }
}

impl File for Handle {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> Result<()> {
        let content = lock(&self.0.content);
        let end = position + buffer.len() as u64;
        if end > content.kept + content.tail.len() as u64 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let from_below = content
            .kept
            .saturating_sub(position)
            .min(buffer.len() as u64) as usize;
        let (head, rest) = buffer.split_at_mut(from_below);
        if let (Some(below), false) = (&self.0.below, head.is_empty()) {
            below.read_exact_at(head, position)?;
        }
        if !rest.is_empty() {
            let start = (position + from_below as u64 - content.kept) as usize;
            rest.copy_from_slice(&content.tail[start..start + rest.len()]);
        }
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> Result<()> {
        let mut content = lock(&self.0.content);
        // Recovery only cuts and appends; anything else would be a write below.
        if position < content.kept {
            return Err(refused());
        }
        let start = (position - content.kept) as usize;
        let end = start + bytes.len();
        if content.tail.len() < end {
            content.tail.resize(end, 0);
        }
        content.tail[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        let content = lock(&self.0.content);
        Ok(content.kept + content.tail.len() as u64)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut content = lock(&self.0.content);
        if len <= content.kept {
            content.kept = len;
            content.tail.clear();
        } else {
            let tail = (len - content.kept) as usize;
            content.tail.resize(tail, 0);
        }
        Ok(())
    }
}
