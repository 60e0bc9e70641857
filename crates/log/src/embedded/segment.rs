//! One segment: a file of record batches, one after the other, named by its first offset, with an index beside it.
//! Not a judge of what is committed: it holds what it is given. Files and names are Kafka's, so that Kafka's tools read them.
//! Invariant: a byte before `bytes` never changes; a replaced segment is another object with another file.

use super::{
    core::lock,
    files::Files,
    index::Index,
    walk::{Walk, corrupt},
};
use crate::{
    Error, Offset, Result,
    batch::{BatchView, Damage},
};
use headwater_world::{File, OpenMode};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

/// Ending of a compacted file until a checkpoint has recorded it.
pub(super) const CLEANED: &str = "cleaned";

/// One segment of one partition.
pub(super) struct Segment {
    /// Names it among open files.
    pub(super) id: u64,
    /// Its first offset, also when compaction removed that record.
    pub(super) base: Offset,
    dir: PathBuf,
    /// Written by compaction: offsets may be missing inside.
    pub(super) compacted: bool,
    /// The wall clock when it was opened, for `segment.ms`.
    pub(super) opened_ms: i64,
    /// Its file still has the ending of a compacted file.
    pub(super) cleaned: AtomicBool,
    /// No batch will be added.
    closed: AtomicBool,
    bytes: AtomicU64,
    end: AtomicI64,
    max_timestamp: AtomicI64,
    /// Changed since it was last synced.
    pub(super) dirty: AtomicBool,
    /// No longer part of its partition: a reader looks its position up anew.
    pub(super) retired: AtomicBool,
    /// Kept in memory while batches are added; `None` afterwards, when lookups read the file.
    index: Mutex<Option<Index>>,
}

/// What the meta file keeps of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentRecord {
    pub(super) base: Offset,
    pub(super) end: Offset,
    pub(super) bytes: u64,
    pub(super) max_timestamp: i64,
    pub(super) opened_ms: i64,
    pub(super) compacted: bool,
    pub(super) cleaned: bool,
}

impl Segment {
    /// A segment as recorded; its file is not looked at.
    pub(super) fn new(
        files: &Files,
        dir: &Path,
        record: &SegmentRecord,
        index: Option<Index>,
    ) -> Self {
        Self {
            id: files.next_id(),
            base: record.base,
            dir: dir.to_owned(),
            compacted: record.compacted,
            opened_ms: record.opened_ms,
            cleaned: AtomicBool::new(record.cleaned),
            closed: AtomicBool::new(index.is_none()),
            bytes: AtomicU64::new(record.bytes),
            end: AtomicI64::new(record.end),
            max_timestamp: AtomicI64::new(record.max_timestamp),
            dirty: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            index: Mutex::new(index),
        }
    }

    /// Creates an empty segment; a file of that name that nothing records is overwritten.
    pub(super) fn create(files: &Files, dir: &Path, base: Offset, now_ms: i64) -> Result<Self> {
        let record = SegmentRecord {
            base,
            end: base,
            bytes: 0,
            max_timestamp: -1,
            opened_ms: now_ms,
            compacted: false,
            cleaned: false,
        };
        let segment = Self::new(files, dir, &record, Some(Index::default()));
        let path = segment.path();
        let index_path = segment.index_path();
        let create = |path: &Path| -> Result<Box<dyn File>> {
            let file = files
                .disk
                .open(path, OpenMode::ReadWrite)
                .map_err(|error| Error::io(path, "create a segment", &error))?;
            if !file.is_empty().unwrap_or(false) {
                file.set_len(0)
                    .map_err(|error| Error::io(path, "empty a left-over segment", &error))?;
            }
            Ok(file)
        };
        create(&index_path)?;
        files.keep(segment.id, Arc::from(create(&path)?));
        Ok(segment)
    }

    /// Gives the growing segment its index.
    pub(super) fn set_index(&self, index: Index) {
        *lock(&self.index) = Some(index);
    }

    pub(super) fn record(&self) -> SegmentRecord {
        SegmentRecord {
            base: self.base,
            end: self.end(),
            bytes: self.bytes(),
            max_timestamp: self.max_timestamp(),
            opened_ms: self.opened_ms,
            compacted: self.compacted,
            cleaned: self.cleaned.load(Ordering::Acquire),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        match self.cleaned.load(Ordering::Acquire) {
            true => self.cleaned_path(),
            false => self.settled_path(),
        }
    }

    /// The name of the file once nothing is pending.
    pub(super) fn settled_path(&self) -> PathBuf {
        self.dir.join(file_name(self.base))
    }

    pub(super) fn cleaned_path(&self) -> PathBuf {
        self.dir.join(format!("{}.{CLEANED}", file_name(self.base)))
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.dir.join(format!("{:020}.index", self.base))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) -> Offset {
        self.end.load(Ordering::Acquire)
    }

    pub(super) fn max_timestamp(&self) -> i64 {
        self.max_timestamp.load(Ordering::Acquire)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Adds whole batches at the end, in one write.
    pub(super) fn append(&self, files: &Files, bytes: &[u8], interval: u64) -> Result<Offset> {
        let start = self.bytes();
        let file = files.get(self)?;
        file.write_all_at(bytes, start)
            .map_err(|error| Error::io(self.path(), "write a segment", &error))?;
        // Set after the write: a sync that ran in between left these pages to the next one.
        self.dirty.store(true, Ordering::Release);
        let (mut at, mut end, mut max_timestamp) = (0, self.end(), self.max_timestamp());
        let mut index = lock(&self.index);
        while at < bytes.len() {
            let batch = BatchView::parse(&bytes[at..])
                .map_err(|damage| corrupt(&self.path(), start + at as u64, &damage))?;
            if let Some(index) = index.as_mut() {
                index.note(self.base, &batch, start + at as u64, interval);
            }
            max_timestamp = max_timestamp.max(batch.max_timestamp());
            end = batch.next_offset();
            at += batch.bytes().len();
        }
        self.max_timestamp.store(max_timestamp, Ordering::Release);
        self.bytes
            .store(start + bytes.len() as u64, Ordering::Release);
        self.end.store(end, Ordering::Release);
        Ok(end)
    }

    /// Ends the growth of the segment and lets go of its index in memory.
    pub(super) fn close(&self, files: &Files) -> Result<()> {
        self.flush_index(files)?;
        self.closed.store(true, Ordering::Release);
        *lock(&self.index) = None;
        Ok(())
    }

    /// Writes the index entries that are not in the file. Not synced: an index that a crash damaged is built anew.
    pub(super) fn flush_index(&self, files: &Files) -> Result<()> {
        let mut guard = lock(&self.index);
        let Some(index) = guard.as_mut() else {
            return Ok(());
        };
        let bytes = index.bytes_from(index.written);
        if bytes.is_empty() {
            return Ok(());
        }
        let path = self.index_path();
        let position = (index.written * super::index::INDEX_ENTRY_LEN) as u64;
        files
            .disk
            .open(&path, OpenMode::ReadWrite)
            .and_then(|file| file.write_all_at(&bytes, position))
            .map_err(|error| Error::io(&path, "write an index", &error))?;
        index.written = index.len();
        Ok(())
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&self, files: &Files) -> Result<()> {
        // Cleared before the sync: what is written meanwhile marks it again.
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.flush_index(files)?;
        files
            .get(self)?
            .sync()
            .map_err(|error| Error::io(self.path(), "sync a segment", &error))
    }

    /// The byte where the batch with `offset` begins, and that batch's first offset; the end when there is none.
    pub(super) fn locate(&self, files: &Files, offset: Offset) -> Result<(u64, Offset)> {
        if offset <= self.base {
            return Ok((0, self.base));
        }
        let file = files.get(self)?;
        let hint = match lock(&self.index).as_ref() {
            Some(index) => index.floor(self.base, offset),
            None => self
                .index_from_file(files)
                .and_then(|index| index.floor(self.base, offset)),
        };
        let (start, due) = match hint {
            Some((last, at)) if self.is_batch(&*file, at, last) => (at, None),
            _ => (0, Some(self.base)),
        };
        let mut found = (self.bytes(), self.end());
        let walk = Walk {
            file: &*file,
            path: &self.path(),
            range: start..self.bytes(),
            due,
            crc: false,
        };
        walk.run(&mut |batch, at| {
            if batch.next_offset() > offset {
                found = (at, batch.base_offset());
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Shows every batch, CRC and offsets checked.
    pub(super) fn each_batch(
        &self,
        files: &Files,
        each: &mut dyn FnMut(&BatchView<'_>, u64) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let walk = Walk {
            file: &*files.get(self)?,
            path: &self.path(),
            range: 0..self.bytes(),
            due: Some(self.base),
            crc: true,
        };
        match walk.run(each)? {
            Some(end) if end != self.end() => {
                let message = format!("it ends at offset {end}, {} is recorded", self.end());
                Err(corrupt(&self.path(), self.bytes(), &Damage::Wrong(message)))
            }
            _ => Ok(()),
        }
    }

    fn index_from_file(&self, files: &Files) -> Option<Index> {
        read_index(files, &self.index_path(), self.bytes())
    }

    /// True when a batch begins at byte `at` and ends with offset `last`.
    pub(super) fn is_batch(&self, file: &dyn File, at: u64, last: Offset) -> bool {
        let mut header = [0; crate::batch::HEADER_LEN];
        if at + header.len() as u64 > self.bytes() || file.read_exact_at(&mut header, at).is_err() {
            return false;
        }
        // Parsed with a body cut off: an incomplete batch still has a header to look at.
        let base = i64::from_be_bytes(header[..8].try_into().unwrap_or_default());
        let delta = i32::from_be_bytes(header[23..27].try_into().unwrap_or_default());
        header[16] == 2 && base >= self.base && base + i64::from(delta) == last
    }
}

/// An index file, when there is a plausible one.
pub(super) fn read_index(files: &Files, path: &Path, segment_bytes: u64) -> Option<Index> {
    let file = files.disk.open(path, OpenMode::Read).ok()?;
    let len = file.len().ok()?;
    // Entries are at least one batch header apart.
    if len > segment_bytes / 4 + 8 {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Index::parse(&bytes, segment_bytes)
}

/// The name of a segment's file.
pub(super) fn file_name(base: Offset) -> String {
    format!("{base:020}.log")
}
