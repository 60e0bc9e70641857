//! A walk over the batches of a file, in bounded reads. Not a decoder of records.
//! Invariant: each batch begins at the offset where the one before ended, in compacted files too: compaction fills its gaps.

use super::options::WALK_BYTES;
use crate::{
    Error, Offset, Result,
    batch::{BatchView, Damage},
};
use headwater_world::File;
use std::{
    ops::{ControlFlow, Range},
    path::Path,
};

/// What to walk.
pub(super) struct Walk<'a> {
    pub(super) file: &'a dyn File,
    pub(super) path: &'a Path,
    /// From a batch's first byte to the end of the last batch.
    pub(super) range: Range<u64>,
    /// The first offset of the first batch, where known.
    pub(super) due: Option<Offset>,
    /// Compute the CRCs; without it only the headers are looked at.
    pub(super) crc: bool,
}

impl Walk<'_> {
    /// Shows every batch with its position; the offset after the last one, or `None` when `each` broke off.
    /// A walk that does not end at the end of its range is damage.
    pub(super) fn run(
        self,
        each: &mut dyn FnMut(&BatchView<'_>, u64) -> Result<ControlFlow<()>>,
    ) -> Result<Option<Offset>> {
        let (mut at, end) = (self.range.start, self.range.end);
        let (mut due, mut buffer, mut window) = (self.due, Vec::new(), WALK_BYTES as u64);
        while at < end {
            let len = window.min(end - at);
            buffer.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
            self.file.read_exact_at(&mut buffer, at).map_err(|error| {
                Error::io(self.path, &format!("read {len} bytes at byte {at}"), &error)
            })?;
            let mut taken = 0;
            loop {
                let position = at + taken as u64;
                let batch = match self.batch(&buffer[taken..], due) {
                    Ok(batch) => batch,
                    Err(Damage::Incomplete) => break,
                    Err(damage) => return Err(corrupt(self.path, position, &damage)),
                };
                if each(&batch, position)?.is_break() {
                    return Ok(None);
                }
                due = Some(batch.next_offset());
                taken += batch.bytes().len();
            }
            at += taken as u64;
            if taken > 0 {
                window = WALK_BYTES as u64;
            } else if len == end - at {
                return Err(corrupt(self.path, at, &Damage::Incomplete));
            } else {
                // A batch larger than the window.
                window = window.saturating_mul(4);
            }
        }
        Ok(Some(due.unwrap_or_default()))
    }

    fn batch<'b>(&self, bytes: &'b [u8], due: Option<Offset>) -> Result<BatchView<'b>, Damage> {
        let batch = match self.crc {
            true => BatchView::check(bytes)?,
            false => BatchView::parse(bytes)?,
        };
        check_base(&batch, due)?;
        Ok(batch)
    }
}

/// The CRC covers neither base offset nor length: that a batch begins where the one before ended covers the one, the CRC's place the other.
pub(super) fn check_base(batch: &BatchView<'_>, due: Option<Offset>) -> Result<(), Damage> {
    match due {
        Some(due) if due != batch.base_offset() => Err(Damage::Wrong(format!(
            "base offset {} where {due} is due",
            batch.base_offset()
        ))),
        _ => Ok(()),
    }
}

/// Damage of a segment file.
pub(super) fn corrupt(path: &Path, position: u64, damage: &Damage) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        position,
        message: match damage {
            Damage::Incomplete => "the file ends inside a batch".into(),
            Damage::Wrong(what) => what.clone(),
        },
    }
}
