//! Segments as they are found at opening, against what the meta file says of them. Not a full check: closed segments are only
//! measured here, their CRCs are checked when they are read.
//! Invariant: a segment that is not as recorded is refused, never shortened below what was recorded.

use super::{
    index::{INDEX_ENTRY_LEN, Index},
    partition::PartitionRecord,
    segment::{Segment, SegmentRecord, read_index},
    state::State,
    walk::{Walk, corrupt},
    warnings::Warnings,
};
use crate::{Error, Result, batch::Damage};
use headwater_world::{File, OpenMode};
use std::{
    ops::ControlFlow,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

/// The segments of one partition.
pub(super) fn open_segments(
    state: &State,
    dir: &Path,
    partition: &PartitionRecord,
    warnings: &Warnings,
) -> Result<Vec<Arc<Segment>>> {
    let mut segments = Vec::with_capacity(partition.segments.len());
    for (number, record) in partition.segments.iter().enumerate() {
        let active = number + 1 == partition.segments.len();
        segments.push(Arc::new(open_segment(
            state, dir, record, active, warnings,
        )?));
    }
    Ok(segments)
}

fn open_segment(
    state: &State,
    dir: &Path,
    record: &SegmentRecord,
    active: bool,
    warnings: &Warnings,
) -> Result<Segment> {
    let files = &state.files;
    // A compacted segment is closed, also when it is the last: nothing is known of the index it had.
    let growing = active && !record.compacted;
    let segment = Segment::new(files, dir, record, growing.then(Index::default));
    let io = |error: std::io::Error| Error::io(segment.path(), "open a segment", &error);
    if record.cleaned && !files.disk.exists(&segment.path()).map_err(io)? {
        // The crash came after the rename: the file has its final name.
        segment.cleaned.store(false, Ordering::Release);
    }
    let path = segment.path();
    if !files.disk.exists(&path).map_err(io)? {
        return Err(Error::Corrupt {
            path,
            position: 0,
            message: format!(
                "the file is missing; {} bytes with offsets {} to {} are recorded: restore the directory from a backup",
                record.bytes, record.base, record.end
            ),
        });
    }
    let file = files.disk.open(&path, OpenMode::Read).map_err(io)?;
    let len = file.len().map_err(io)?;
    if len < record.bytes || (!active && len > record.bytes) {
        return Err(Error::Corrupt {
            path,
            position: len.min(record.bytes),
            message: format!(
                "the file has {len} bytes where {} are recorded: restore the directory from a backup",
                record.bytes
            ),
        });
    }
    if growing {
        let index = check_tail(state, &segment, &*file, warnings)?;
        segment.set_index(index);
        if len > record.bytes {
            // Written after the meta file, so the journal writes it again.
            files
                .disk
                .open(&path, OpenMode::ReadWrite)
                .and_then(|file| file.set_len(record.bytes))
                .map_err(|error| Error::io(&path, "cut a segment back to the meta file", &error))?;
            segment.dirty.store(true, Ordering::Release);
        }
    }
    Ok(segment)
}

/// Walks the active segment from its last index entry to its recorded end, and returns the index.
fn check_tail(
    state: &State,
    segment: &Segment,
    file: &dyn File,
    warnings: &Warnings,
) -> Result<Index> {
    let path = segment.path();
    let interval = super::options::INDEX_INTERVAL_BYTES;
    let known = read_index(&state.files, &segment.index_path(), segment.bytes());
    let from = known
        .as_ref()
        .and_then(Index::last)
        .filter(|(last, at)| segment.is_batch(file, *at, segment.base + *last));
    let (mut index, start) = match (known, from) {
        (Some(index), Some((_, at))) => (index, at),
        (known, _) => {
            if known.is_none_or(|index| index.len() > 0) {
                let path = segment.index_path();
                warnings.add(format!("{}: damaged, built anew", path.display()));
            }
            (Index::default(), 0)
        }
    };
    let rebuilt = index.len() == 0;
    let walk = Walk {
        file,
        path: &path,
        range: start..segment.bytes(),
        due: (start == 0).then_some(segment.base),
        crc: true,
    };
    let end = walk.run(&mut |batch, at| {
        if rebuilt {
            index.note(segment.base, batch, at, interval);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if end != Some(segment.end()) {
        let found = end.unwrap_or_default();
        let damage = Damage::Wrong(format!(
            "it ends at offset {found}, {} is recorded",
            segment.end()
        ));
        return Err(corrupt(&path, segment.bytes(), &damage));
    }
    trim_index(state, segment, &index);
    Ok(index)
}

/// Cuts entries off the file that the index does not hold: they name batches that the journal writes again.
fn trim_index(state: &State, segment: &Segment, index: &Index) {
    let len = (index.written * INDEX_ENTRY_LEN) as u64;
    if let Ok(file) = state
        .files
        .disk
        .open(&segment.index_path(), OpenMode::ReadWrite)
        && file.len().is_ok_and(|found| found > len)
    {
        // An index is a hint: one that cannot be cut is only slower.
        let _ = file.set_len(len);
    }
}
