//! What tests do to a disk behind its users' backs: look, flip bits, cut, delete. Not subject to faults or locks.
//! Invariant: damage is durable at once, together with what the damaged file held in the page cache.

use super::{
    SimulatedDisk,
    medium::{FileNode, Medium, Node, NodeId, Operation, ROOT},
    named,
};
use std::{
    io::{ErrorKind, Result},
    path::{Path, PathBuf},
};

impl SimulatedDisk {
    /// The absolute paths of all files, sorted by directory and name.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let drive = self.lock_drive();
        files_below(&drive.medium, ROOT, Path::new("/"), &mut paths);
        paths
    }

    /// The whole content of a file, as a reader sees it.
    pub fn contents(&self, path: &Path) -> Result<Vec<u8>> {
        let mut drive = self.lock_drive();
        let node = drive.medium.require(path)?;
        Ok(drive.medium.file_mut(node, path)?.cached.clone())
    }

    /// Inverts bit `bit` (0 the lowest, below 8) of the byte at `position`; beyond the end is `InvalidInput`.
    pub fn flip_bit(&self, path: &Path, position: u64, bit: u8) -> Result<()> {
        self.damage(path, |content| {
            let byte = usize::try_from(position)
                .ok()
                .and_then(|position| content.get_mut(position));
            match byte {
                Some(byte) if bit < 8 => *byte ^= 1 << bit,
                _ => return Err(named(ErrorKind::InvalidInput, path)),
            }
            Ok(())
        })
    }

    /// Cuts a file to `len` bytes; a shorter file stays as it is.
    pub fn truncate(&self, path: &Path, len: u64) -> Result<()> {
        self.damage(path, |content| {
            content.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            Ok(())
        })
    }

    /// Removes a file, durably.
    pub fn delete(&self, path: &Path) -> Result<()> {
        let medium = &mut self.lock_drive().medium;
        let node = medium.require(path)?;
        medium.file_mut(node, path)?;
        let place = medium.place(path)?;
        let dir = place.dir;
        medium.perform(Operation::Unlink(place));
        medium.sync_directory(dir);
        Ok(())
    }

    fn damage(&self, path: &Path, harm: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let mut drive = self.lock_drive();
        let node = drive.medium.require(path)?;
        let file: &mut FileNode = drive.medium.file_mut(node, path)?;
        harm(&mut file.cached)?;
        file.durable = file.cached.clone();
        file.unsynced.clear();
        Ok(())
    }
}

fn files_below(medium: &Medium, node: NodeId, path: &Path, paths: &mut Vec<PathBuf>) {
    match medium.node(node) {
        Node::File(_) => paths.push(path.to_owned()),
        Node::Directory(directory) => {
            for (name, child) in &directory.cached {
                files_below(medium, *child, &path.join(name), paths);
            }
        }
    }
}
