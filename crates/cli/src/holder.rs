//! Which process has the log of a directory open, as the kernel tells it. Not a lock: nothing is taken to find out.
//! Invariant: where it cannot be known, the answer says so.
#![allow(
    clippy::disallowed_methods,
    reason = "reads /proc and a file's inode, which no disk has"
)]

use std::{fmt, fs, io::ErrorKind, os::unix::fs::MetadataExt, path::Path};

/// The file that the owner of a log keeps locked.
const LOCK_FILE: &str = "lock";

/// Who has the log open for writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Nobody,
    Process {
        id: u32,
        name: String,
    },
    /// The system has no `/proc/locks`.
    Unknown,
}

impl Holder {
    /// The holder of the log in `dir`.
    pub(crate) fn of(dir: &Path) -> Self {
        let file = match fs::metadata(dir.join(LOCK_FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Self::Nobody,
            Err(_) => return Self::Unknown,
        };
        match fs::read_to_string("/proc/locks") {
            Ok(locks) => match find(&locks, file.ino()) {
                Some(id) => Self::Process { id, name: name(id) },
                None => Self::Nobody,
            },
            Err(_) => Self::Unknown,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("no process"),
            Self::Process { id, name } if name.is_empty() => write!(f, "process {id}"),
            Self::Process { id, name } => write!(f, "process {id} ({name})"),
            Self::Unknown => f.write_str("another process"),
        }
    }
}

/// The process with a `flock` on the inode. Lines are `1: FLOCK  ADVISORY  WRITE 4711 fe:00:5382149 0 EOF`; those with
/// `->` only wait. The device is left out: file systems with subvolumes show another one than `stat` does.
fn find(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, process, place, ..] = fields[..] else {
            return None;
        };
        let found: u64 = place.rsplit(':').next()?.parse().ok()?;
        (found == inode).then(|| process.parse().unwrap_or_default())
    })
}

fn name(process: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{process}/comm"));
    name.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_the_process_with_the_lock_and_not_one_that_waits() {
        let locks = "1: POSIX  ADVISORY  READ 11 fe:00:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 fe:00:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF\n";
        assert_eq!(find(locks, 77), Some(12));
        assert_eq!(find(locks, 78), None);
    }
}
