//! One partition in memory: batches in offset order, and which of their transactions are open or aborted.
//! Not a segment file: nothing is encoded here but transaction markers and what compaction rewrites.
//! Invariant: `start <= stable() <= end`; a batch is never cut, and batches do not overlap.

use crate::{
    AppendRecord, Error, Offset, Result, TopicPartition,
    batch::{BatchBuilder, BatchView, Damage, set_base_offset},
};
use std::collections::{BTreeMap, HashMap};

/// Attributes of a transaction marker: control and transactional.
const MARKER_ATTRIBUTES: i16 = 0x30;
/// Where a batch's CRC begins to count, and where its attributes are.
const ATTRIBUTES_AT: usize = 21;
/// Where a batch's CRC is.
const CRC_AT: usize = 17;

/// One partition.
#[derive(Default)]
pub(super) struct Partition {
    pub(super) start: Offset,
    pub(super) end: Offset,
    batches: Vec<Stored>,
    /// First offset of each producer's open transaction.
    open: BTreeMap<i64, Offset>,
    /// Producer, first offset and the marker's offset of aborted transactions.
    aborted: Vec<(i64, Offset, Offset)>,
}

struct Stored {
    base: Offset,
    next: Offset,
    max_timestamp: i64,
    bytes: Vec<u8>,
}

/// What one read takes.
pub(super) struct Taken {
    pub(super) bytes: Vec<u8>,
    pub(super) next_offset: Offset,
    pub(super) aborted: Vec<(i64, Offset, Offset)>,
}

impl Partition {
    /// One past the last offset below which every transaction has ended.
    pub(super) fn stable(&self) -> Offset {
        self.open
            .values()
            .copied()
            .min()
            .map_or(self.end, |first| first.max(self.start))
    }

    /// Gives a batch its place and returns the end after it.
    pub(super) fn append(&mut self, mut bytes: Vec<u8>) -> Offset {
        set_base_offset(&mut bytes, self.end);
        let batch = BatchView::parse(&bytes).expect("the client built the batch");
        let (base, next, max_timestamp) = (
            batch.base_offset(),
            batch.next_offset(),
            batch.max_timestamp(),
        );
        assert!(base == self.end && next > base, "offsets grow");
        self.end = next;
        self.batches.push(Stored {
            base,
            next,
            max_timestamp,
            bytes,
        });
        next
    }

    /// As [`Partition::append`], as a part of the producer's open transaction.
    pub(super) fn append_open(&mut self, producer_id: i64, bytes: Vec<u8>) -> Offset {
        self.open.entry(producer_id).or_insert(self.end);
        self.append(bytes)
    }

    /// Ends a producer's transaction with a marker, which takes an offset.
    pub(super) fn end_transaction(&mut self, producer: (i64, i16), commit: bool, now_ms: i64) {
        let Some(first) = self.open.remove(&producer.0) else {
            return;
        };
        if !commit {
            self.aborted.push((producer.0, first, self.end));
        }
        self.append(marker(producer, commit, now_ms));
    }

    /// Whole batches from `position` on and below `limit`: at least one, else up to `bytes_max`. `None` when there is nothing yet.
    pub(super) fn read(
        &self,
        name: &TopicPartition,
        position: Offset,
        limit: Offset,
        bytes_max: usize,
    ) -> Result<Option<Taken>> {
        if !(self.start..=self.end).contains(&position) {
            return Err(self.out_of_range(name, position));
        }
        if position >= limit {
            return Ok(None);
        }
        let first = self.batches.partition_point(|batch| batch.next <= position);
        let mut bytes = Vec::new();
        let mut next_offset = None;
        for batch in &self.batches[first..] {
            let full = !bytes.is_empty() && bytes.len() + batch.bytes.len() > bytes_max;
            if batch.base >= limit || full {
                break;
            }
            bytes.extend_from_slice(&batch.bytes);
            next_offset = Some(batch.next);
        }
        // Without a batch left, all up to the limit is a hole that compaction left.
        let next_offset = next_offset.unwrap_or(limit);
        let mut aborted: Vec<_> = self
            .aborted
            .iter()
            .filter(|(_, first, last)| *first < next_offset && *last >= position)
            .map(|(producer, first, last)| (*producer, *first, (*last).min(next_offset - 1)))
            .collect();
        aborted.sort_unstable_by_key(|(_, first, _)| *first);
        Ok(Some(Taken {
            bytes,
            next_offset,
            aborted,
        }))
    }

    /// The first record below `limit` that is not older than `timestamp`, else `limit`.
    pub(super) fn at_time(&self, timestamp: i64, limit: Offset) -> Offset {
        for batch in self
            .batches
            .iter()
            .filter(|it| it.max_timestamp >= timestamp)
        {
            let mut found = None;
            batch.walk(|record| {
                if record.offset >= self.start && record.timestamp >= timestamp {
                    found = found.or(Some(record.offset));
                }
            });
            if let Some(offset) = found.filter(|offset| *offset < limit) {
                return offset;
            }
        }
        limit
    }

    /// Moves the start, at most to the end.
    pub(super) fn delete_before(&mut self, offset: Offset) {
        self.start = offset.clamp(self.start, self.end);
        let gone = self
            .batches
            .partition_point(|batch| batch.next <= self.start);
        self.batches.drain(..gone);
        self.aborted.retain(|(_, _, last)| *last >= self.start);
    }

    /// Rewrites what is stable with only the newest record of each key; records without a key stay.
    pub(super) fn compact(&mut self, keep_tombstones: bool) {
        let stable = self.stable();
        let split = self.batches.partition_point(|batch| batch.next <= stable);
        let dirty = self.batches.split_off(split);
        let clean = std::mem::replace(&mut self.batches, dirty);
        let mut newest: HashMap<Vec<u8>, Offset> = HashMap::new();
        self.walk_data(&clean, |record| {
            if let Some(key) = record.key {
                newest.insert(key.to_vec(), record.offset);
            }
        });
        let mut kept = Run::default();
        self.walk_data(&clean, |record| {
            let is_newest = record
                .key
                .is_none_or(|key| newest.get(key) == Some(&record.offset));
            let stays = record.value.is_some() || keep_tombstones;
            if record.offset >= self.start && is_newest && stays {
                kept.push(record);
            }
        });
        let mut batches = kept.finish();
        batches.append(&mut self.batches);
        self.batches = batches;
        self.aborted.retain(|(_, _, last)| *last >= stable);
    }

    fn walk_data(&self, batches: &[Stored], mut visit: impl FnMut(crate::RecordRef<'_>)) {
        for batch in batches {
            let view = BatchView::parse(&batch.bytes).expect("it was parsed when it was stored");
            let aborted = view.is_transactional()
                && self.aborted.iter().any(|(producer, first, last)| {
                    *producer == view.producer_id() && (*first..=*last).contains(&batch.base)
                });
            if !aborted {
                batch.walk(&mut visit);
            }
        }
    }

    /// The error of a position outside this partition.
    pub(super) fn out_of_range(&self, name: &TopicPartition, offset: Offset) -> Error {
        Error::OffsetOutOfRange {
            partition: name.clone(),
            offset,
            start: self.start,
            end: self.end,
        }
    }
}

impl Stored {
    /// Visits the records; none of a marker.
    fn walk(&self, mut visit: impl FnMut(crate::RecordRef<'_>)) {
        let view = BatchView::parse(&self.bytes).expect("it was parsed when it was stored");
        if !view.is_control() {
            for record in view.records() {
                let record: Result<_, Damage> = record;
                visit(record.expect("the client built the batch"));
            }
        }
    }
}

/// Survivors of a compaction; those with consecutive offsets share a batch.
#[derive(Default)]
struct Run {
    builder: BatchBuilder,
    base: Offset,
    done: Vec<Stored>,
}

impl Run {
    fn push(&mut self, record: crate::RecordRef<'_>) {
        if record.offset != self.base + Offset::from(self.builder.count()) {
            self.seal();
        }
        if self.builder.is_empty() {
            self.base = record.offset;
        }
        self.builder.append(&AppendRecord {
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }

    fn seal(&mut self) {
        if self.builder.is_empty() {
            return;
        }
        let next = self.base + Offset::from(self.builder.count());
        let mut bytes = self.builder.finish();
        set_base_offset(&mut bytes, self.base);
        let view = BatchView::parse(&bytes).expect("the builder makes whole batches");
        let max_timestamp = view.max_timestamp();
        self.done.push(Stored {
            base: self.base,
            next,
            max_timestamp,
            bytes,
        });
    }

    fn finish(mut self) -> Vec<Stored> {
        self.seal();
        self.done
    }
}

/// Kafka's end-of-transaction marker: key (version, type), value (version, coordinator epoch).
fn marker((producer_id, producer_epoch): (i64, i16), commit: bool, now_ms: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::default();
    builder.append(&AppendRecord {
        timestamp: now_ms,
        key: Some(&[0, 0, 0, u8::from(commit)]),
        value: Some(&[0; 6]),
        ..AppendRecord::default()
    });
    let mut bytes = builder.finish_as(producer_id, producer_epoch, -1, true);
    bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&MARKER_ATTRIBUTES.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes
}
