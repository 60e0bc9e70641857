//! A small file that is replaced as a whole, with a checksum. Not for data that grows.
//! Invariant: after a crash the file has its old or its new bytes; damage is found when it is read.

use crate::{Error, Result};
use headwater_world::{Disk, OpenMode};
use std::path::Path;

/// A file larger than this is damaged: nothing here writes one.
const BYTES_MAX: u64 = 16 << 30;

/// Wraps an operating system's answer.
pub(crate) fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, source }
}

/// Creates `dir` and its parents so that their names survive a crash.
pub(crate) fn create_dir(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let mut created = Vec::new();
    for ancestor in dir
        .ancestors()
        .filter(|ancestor| !ancestor.as_os_str().is_empty())
    {
        if disk.exists(ancestor).map_err(io_error(ancestor))? {
            break;
        }
        created.push(ancestor);
    }
    disk.create_dir_all(dir).map_err(io_error(dir))?;
    for parent in created.iter().rev().filter_map(|created| created.parent()) {
        let parent = named(parent);
        disk.sync_dir(parent).map_err(io_error(parent))?;
    }
    Ok(())
}

/// Removes `dir` with all below it so that it does not come back after a crash; an absent one is fine.
pub(crate) fn remove_dir(disk: &dyn Disk, dir: &Path) -> Result<()> {
    if !disk.exists(dir).map_err(io_error(dir))? {
        return Ok(());
    }
    disk.remove_dir_all(dir).map_err(io_error(dir))?;
    let Some(parent) = dir.parent().map(named) else {
        return Ok(());
    };
    disk.sync_dir(parent).map_err(io_error(parent))
}

/// The parent of a relative path of one name is empty, which no call takes.
fn named(dir: &Path) -> &Path {
    match dir.as_os_str().is_empty() {
        true => Path::new("."),
        false => dir,
    }
}

/// Replaces the file `name` in `dir`, durably.
pub(crate) fn replace(disk: &dyn Disk, dir: &Path, name: &str, mut bytes: Vec<u8>) -> Result<()> {
    let (path, temporary) = (dir.join(name), dir.join(format!("{name}.tmp")));
    bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
    let file = disk
        .open(&temporary, OpenMode::ReadWrite)
        .map_err(io_error(&temporary))?;
    file.set_len(0).map_err(io_error(&temporary))?;
    file.write_all_at(&bytes, 0).map_err(io_error(&temporary))?;
    // Synced before the rename: the new name must never show half a file.
    file.sync().map_err(io_error(&temporary))?;
    drop(file);
    disk.rename(&temporary, &path).map_err(io_error(&path))?;
    disk.sync_dir(dir).map_err(io_error(dir))
}

/// The bytes of the file `name` in `dir`; `None` when there is no such file.
pub(crate) fn read(disk: &dyn Disk, dir: &Path, name: &str) -> Result<Option<Vec<u8>>> {
    let path = dir.join(name);
    if !disk.exists(&path).map_err(io_error(&path))? {
        return Ok(None);
    }
    let file = disk.open(&path, OpenMode::Read).map_err(io_error(&path))?;
    let len = file.len().map_err(io_error(&path))?;
    let corrupt = |message: &str| Error::Corrupt {
        path: path.clone(),
        message: message.to_owned(),
    };
    if !(4..=BYTES_MAX).contains(&len) {
        return Err(corrupt("its length is impossible"));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0).map_err(io_error(&path))?;
    let sum = bytes.split_off(bytes.len() - 4);
    if crc32c::crc32c(&bytes).to_be_bytes() != sum[..] {
        return Err(corrupt("its checksum does not match"));
    }
    Ok(Some(bytes))
}
