//! The hint file: which entry was acknowledged last. Not durable and not needed: it only shows a journal that lost its end.
//! Invariant: it never runs ahead of what is durable, since it is written after the sync of its entry.

use super::{options::EmbeddedOptions, warnings::Warnings};
use crate::{Error, Result};
use headwater_world::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

pub(super) const FILE: &str = "acknowledged";
const LEN: usize = 20;

/// Notes that `sequence` was durable before anyone was told so. Never synced: it only ever lags behind the truth,
/// and still shows a journal that lost its end after a crash of the process.
pub(super) fn write(file: &dyn File, log_id: u64, sequence: u64) -> std::io::Result<()> {
    file.write_all_at(&encode(log_id, sequence), 0)
}

fn encode(log_id: u64, sequence: u64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&log_id.to_be_bytes());
    bytes[8..16].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The entry that was acknowledged last; 0 where the hint is missing or torn, which says nothing: it is never synced.
pub(super) fn read(disk: &dyn Disk, dir: &Path, log_id: u64) -> u64 {
    let mut bytes = [0; LEN];
    let read = disk
        .open(&dir.join(FILE), OpenMode::Read)
        .and_then(|file| file.read_exact_at(&mut bytes, 0));
    let sequence = u64::from_be_bytes(bytes[8..16].try_into().unwrap_or_default());
    match read.is_ok() && bytes == encode(log_id, sequence) {
        true => sequence,
        false => 0,
    }
}

/// Refuses a journal that ends before an entry that was acknowledged.
pub(super) fn check(
    sequence: u64,
    options: &EmbeddedOptions,
    last: u64,
    end: (PathBuf, u64),
    warnings: &Warnings,
) -> Result<()> {
    if sequence <= last {
        return Ok(());
    }
    let (path, position) = end;
    let message = format!(
        "the journal ends with entry {}, but entry {sequence} was acknowledged: restore the directory from a backup, or open it with `accept_lost_commits`",
        last
    );
    if !options.accept_lost_commits {
        return Err(Error::Corrupt {
            path,
            position,
            message,
        });
    }
    warnings.add(format!(
        "{}: {message}: opened without them",
        path.display()
    ));
    Ok(())
}
