//! Writes one compacted file from closed segments: batch by batch, keeping the last record of each key. Not when or what: see
//! [`super::compaction`].
//! Invariant: a record that stays keeps its offset, and the file ends with the offset its last segment ended with.

use super::{files::Files, index::Index, segment::Segment, walk::corrupt};
use crate::{
    Error, Offset, RecordRef, Result,
    batch::{BatchBuilder, BatchView, HEADER_LEN, PREFIX_LEN, set_base_offset},
    record::put_bytes,
    varint,
};
use headwater_world::{File, OpenMode};
use rustc_hash::FxHashMap;
use std::{ops::ControlFlow, path::Path, sync::Arc};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;
/// Bytes that a key costs in the map beside its own.
const KEY_OVERHEAD_BYTES: usize = 24;
/// Kafka's mark of a batch whose base timestamp is the time at which its tombstones may go (KIP-534).
const DELETE_HORIZON: i16 = 0x40;

/// The last offset of each key in the dirty part.
pub(super) struct LastOffsets {
    offsets: FxHashMap<Box<[u8]>, Offset>,
    bytes: usize,
    bytes_max: usize,
}

impl LastOffsets {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            offsets: FxHashMap::default(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Adds the keys of a segment; false, without it, when the map was full before. A first segment always goes in.
    pub(super) fn add(&mut self, files: &Files, segment: &Segment) -> Result<bool> {
        if self.bytes >= self.bytes_max {
            return Ok(false);
        }
        segment.each_batch(files, &mut |batch, _| {
            each_record(segment, batch, &mut |record| {
                let Some(key) = record.key else {
                    return;
                };
                match self.offsets.get_mut(key) {
                    Some(offset) => *offset = record.offset,
                    None => {
                        self.bytes += key.len() + KEY_OVERHEAD_BYTES;
                        self.offsets.insert(key.into(), record.offset);
                    }
                }
            })?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(true)
    }

    /// True for the last record of its key. A record without a key is nobody's earlier version, and stays.
    fn is_last(&self, record: &RecordRef<'_>) -> bool {
        let last = record.key.and_then(|key| self.offsets.get(key));
        last.is_none_or(|last| record.offset >= *last)
    }
}

/// Writes compacted files.
pub(super) struct Cleaner<'a> {
    pub(super) files: &'a Files,
    pub(super) last_offsets: &'a LastOffsets,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
    pub(super) index_interval_bytes: u64,
}

/// The file being written.
struct Output {
    file: Box<dyn File>,
    written: u64,
    pending: Vec<u8>,
    index: Index,
    base: Offset,
    /// The offset after the last batch.
    next: Offset,
    max_timestamp: i64,
}

impl Cleaner<'_> {
    /// Writes the compacted form of `segments` durably; its bytes and its largest timestamp.
    pub(super) fn write(&mut self, segments: &[Arc<Segment>], dir: &Path) -> Result<(u64, i64)> {
        let Some(first) = segments.first() else {
            return Ok((0, -1));
        };
        let path = first.cleaned_path();
        let io = |error: std::io::Error| Error::io(&path, "write a compacted segment", &error);
        let disk = &self.files.disk;
        let file = disk.open(&path, OpenMode::ReadWrite).map_err(io)?;
        file.set_len(0).map_err(io)?;
        let mut output = Output {
            file,
            written: 0,
            pending: Vec::new(),
            index: Index::default(),
            base: first.base,
            next: first.base,
            max_timestamp: -1,
        };
        let interval = self.index_interval_bytes;
        for segment in segments {
            segment.each_batch(self.files, &mut |batch, _| {
                if let Some(bytes) = self.rewrite(segment, batch)? {
                    output.fill(batch.base_offset(), interval).map_err(io)?;
                    output.put(&bytes, interval).map_err(io)?;
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let end = segments.last().map_or(first.base, |segment| segment.end());
        output.fill(end, interval).map_err(io)?;
        output
            .flush()
            .and_then(|()| output.file.sync())
            .map_err(io)?;
        let index_path = super::compaction::cleaned_index_path(&first.index_path());
        disk.open(&index_path, OpenMode::ReadWrite)
            .and_then(|file| {
                file.set_len(0)?;
                file.write_all_at(&output.index.bytes_from(0), 0)
            })
            .map_err(io)?;
        disk.sync_dir(dir).map_err(io)?;
        Ok((output.written, output.max_timestamp))
    }

    /// What stays of a batch; `None` when nothing does.
    fn rewrite(&self, segment: &Segment, batch: &BatchView<'_>) -> Result<Option<Vec<u8>>> {
        let head = Head::of(batch);
        let tombstones_go = head.horizon.is_some_and(|horizon| horizon <= self.now_ms);
        let (mut kept, mut all, mut tombstones) = (Vec::new(), 0, false);
        each_record(segment, batch, &mut |record| {
            all += 1;
            let tombstone = record.value.is_none();
            if self.last_offsets.is_last(record) && !(tombstone && tombstones_go) {
                tombstones |= tombstone && record.key.is_some();
                kept.push(*record);
            }
        })?;
        let horizon = match head.horizon {
            None if tombstones => Some(self.now_ms.saturating_add(self.delete_retention_ms)),
            known => known,
        };
        if kept.len() == all && horizon == head.horizon && all > 0 {
            return Ok(Some(batch.bytes().to_vec()));
        }
        if kept.is_empty() {
            return Ok(None);
        }
        Ok(Some(head.encode(batch, &kept, horizon)))
    }
}

impl Output {
    /// Fills the offsets up to `end` with a batch without records, so that every batch begins where the one before ended.
    fn fill(&mut self, end: Offset, interval: u64) -> std::io::Result<()> {
        match end > self.next {
            true => self.put(&filler(self.next, end), interval),
            false => Ok(()),
        }
    }

    fn put(&mut self, bytes: &[u8], interval: u64) -> std::io::Result<()> {
        let position = self.written + self.pending.len() as u64;
        self.pending.extend_from_slice(bytes);
        // What was just encoded, or was checked when it was read, is a batch.
        if let Ok(batch) = BatchView::parse(bytes) {
            self.index.note(self.base, &batch, position, interval);
            self.next = batch.next_offset();
            if batch.count() > 0 {
                self.max_timestamp = self.max_timestamp.max(batch.max_timestamp());
            }
        }
        match self.pending.len() >= WRITE_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.write_all_at(&self.pending, self.written)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

/// A batch of no records for the offsets from `base` up to `end`, as Kafka writes them (`DefaultRecordBatch.writeEmptyHeader`).
fn filler(base: Offset, end: Offset) -> Vec<u8> {
    let mut bytes = BatchBuilder::default().finish();
    set_base_offset(&mut bytes, base);
    bytes[23..27].copy_from_slice(&((end - 1 - base) as i32).to_be_bytes());
    for timestamp in [27, 35] {
        bytes[timestamp..timestamp + 8].copy_from_slice(&(-1i64).to_be_bytes());
    }
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The header fields of a batch that its rewriting needs.
struct Head {
    attributes: i16,
    base_timestamp: i64,
    horizon: Option<i64>,
}

impl Head {
    fn of(batch: &BatchView<'_>) -> Self {
        let bytes = batch.bytes();
        let attributes = i16::from_be_bytes(bytes[21..23].try_into().unwrap_or_default());
        let base_timestamp = i64::from_be_bytes(bytes[27..35].try_into().unwrap_or_default());
        Self {
            attributes,
            base_timestamp,
            horizon: (attributes & DELETE_HORIZON != 0).then_some(base_timestamp),
        }
    }

    /// The batch with only the records `kept`; first and last offset of the header stay, so that the next batch follows.
    fn encode(
        &self,
        batch: &BatchView<'_>,
        kept: &[RecordRef<'_>],
        horizon: Option<i64>,
    ) -> Vec<u8> {
        let base_timestamp = horizon.unwrap_or(self.base_timestamp);
        let mut bytes = batch.bytes()[..HEADER_LEN].to_vec();
        let mut body = Vec::new();
        for record in kept {
            body.clear();
            body.push(0);
            varint::put(&mut body, record.timestamp.wrapping_sub(base_timestamp));
            varint::put(&mut body, record.offset - batch.base_offset());
            put_bytes(&mut body, record.key);
            put_bytes(&mut body, record.value);
            varint::put(&mut body, record.headers.count as i64);
            body.extend_from_slice(record.headers.bytes);
            varint::put(&mut bytes, body.len() as i64);
            bytes.extend_from_slice(&body);
        }
        let attributes = match horizon {
            Some(_) => self.attributes | DELETE_HORIZON,
            None => self.attributes,
        };
        let max_timestamp = kept
            .iter()
            .map(|record| record.timestamp)
            .max()
            .unwrap_or(-1);
        let length = (bytes.len() - PREFIX_LEN) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
        bytes[27..35].copy_from_slice(&base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
        bytes[57..61].copy_from_slice(&(kept.len() as i32).to_be_bytes());
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

fn each_record<'a>(
    segment: &Segment,
    batch: &BatchView<'a>,
    each: &mut dyn FnMut(&RecordRef<'a>),
) -> Result<()> {
    for record in batch.records() {
        let record = record.map_err(|damage| corrupt(&segment.path(), 0, &damage))?;
        each(&record);
    }
    Ok(())
}
