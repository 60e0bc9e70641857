//! The sparse offset index of a segment, in Kafka's own format: pairs of last offset (relative) and byte position.
//! Not needed for correctness: every hit is checked against the batch it names, and a bad index is built anew from the segment.
//! Invariant: offsets and positions grow.

use crate::{Offset, batch::BatchView};

/// Bytes of one entry.
pub(super) const INDEX_ENTRY_LEN: usize = 8;

/// Entries of one segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Last offset of a batch relative to the segment's base, and where the batch begins.
    entries: Vec<(u32, u32)>,
    /// Entries that are in the file already.
    pub(super) written: usize,
    bytes_since_entry: u64,
}

impl Index {
    /// Counts a batch that begins at byte `position`, and enters it when more than `interval` bytes passed since the last entry.
    pub(super) fn note(
        &mut self,
        base: Offset,
        batch: &BatchView<'_>,
        position: u64,
        interval: u64,
    ) {
        if self.bytes_since_entry > interval
            && let (Ok(offset), Ok(position)) = (
                u32::try_from(batch.next_offset() - 1 - base),
                u32::try_from(position),
            )
        {
            self.entries.push((offset, position));
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += batch.bytes().len() as u64;
    }

    /// The last entry at or before `offset`: the last offset of its batch, and where that begins.
    pub(super) fn floor(&self, base: Offset, offset: Offset) -> Option<(Offset, u64)> {
        let relative = offset - base;
        let after = self
            .entries
            .partition_point(|(last, _)| i64::from(*last) <= relative);
        let (last, position) = self.entries.get(after.checked_sub(1)?)?;
        Some((base + i64::from(*last), u64::from(*position)))
    }

    /// The entries from number `from` on, as they stand in the file.
    pub(super) fn bytes_from(&self, from: usize) -> Vec<u8> {
        let entries = self.entries.get(from..).unwrap_or_default();
        let mut bytes = Vec::with_capacity(entries.len() * INDEX_ENTRY_LEN);
        for (offset, position) in entries {
            bytes.extend_from_slice(&offset.to_be_bytes());
            bytes.extend_from_slice(&position.to_be_bytes());
        }
        bytes
    }

    /// The last entry: offset relative to the base, and position.
    pub(super) fn last(&self) -> Option<(Offset, u64)> {
        let (last, position) = self.entries.last()?;
        Some((i64::from(*last), u64::from(*position)))
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Reads an index file, up to the first entry at or beyond byte `end` of the segment; `None` when it cannot be one.
    pub(super) fn parse(bytes: &[u8], end: u64) -> Option<Self> {
        if !bytes.len().is_multiple_of(INDEX_ENTRY_LEN) {
            return None;
        }
        let mut index = Self::default();
        for entry in bytes.chunks_exact(INDEX_ENTRY_LEN) {
            let offset = u32::from_be_bytes(entry[..4].try_into().ok()?);
            let position = u32::from_be_bytes(entry[4..].try_into().ok()?);
            if u64::from(position) >= end {
                break;
            }
            let grows = |(last, before): &(u32, u32)| *last < offset && *before < position;
            if !index.entries.last().is_none_or(grows) {
                return None;
            }
            index.entries.push((offset, position));
        }
        index.written = index.entries.len();
        Some(index)
    }
}
