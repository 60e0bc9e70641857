//! One partition: its segments in order, where it begins and what of it is published. Not its readers' positions.
//! Invariant: segments follow each other without holes; `start <= end`; only batches below `end` are handed out.

use super::{
    client::Mailbox,
    core::{lock, read, write},
    files::Files,
    policy::Policy,
    segment::{Segment, SegmentRecord},
};
use crate::{Error, Offset, Result, TopicId, TopicPartition};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
};

/// One partition of one topic.
pub(super) struct Partition {
    pub(super) topic: TopicId,
    pub(super) name: TopicPartition,
    pub(super) dir: PathBuf,
    start: AtomicI64,
    end: AtomicI64,
    segments: RwLock<Vec<Arc<Segment>>>,
    plan: Mutex<Plan>,
    /// Everything below was compacted once; records above are dirty.
    pub(super) cleaned_to: AtomicI64,
    /// The directory has changes of names that are not synced.
    pub(super) names_dirty: AtomicBool,
    /// The topic was deleted.
    pub(super) deleted: AtomicBool,
    /// Compacted files that wait for their journal entry or their checkpoint.
    pub(super) compacting: AtomicUsize,
    /// Clients to wake when `end` moves.
    readers: Mutex<Vec<Weak<Mailbox>>>,
}

/// The end as the turn under way will leave it; only the turn looks at it.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    end: Offset,
    segment_bytes: u64,
    opened_ms: i64,
}

impl Plan {
    fn rolls(&self, policy: &Policy, now_ms: i64, bytes: u64) -> bool {
        self.segment_bytes == 0
            || self.segment_bytes + bytes > policy.segment_bytes
            || now_ms.saturating_sub(self.opened_ms) >= policy.segment_ms
    }
}

/// What the meta file keeps of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PartitionRecord {
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) cleaned_to: Offset,
    pub(super) segments: Vec<SegmentRecord>,
}

impl Partition {
    /// A partition with these segments.
    pub(super) fn new(
        topic: TopicId,
        name: TopicPartition,
        topics_dir: &Path,
        record: &PartitionRecord,
        segments: Vec<Arc<Segment>>,
    ) -> Self {
        let active = record.segments.last();
        let plan = Plan {
            end: record.end,
            segment_bytes: active.map_or(0, |segment| segment.bytes),
            opened_ms: active.map_or(0, |segment| segment.opened_ms),
        };
        Self {
            topic,
            dir: topics_dir.join(name.to_string()),
            name,
            start: AtomicI64::new(record.start),
            end: AtomicI64::new(record.end),
            segments: RwLock::new(segments),
            plan: Mutex::new(plan),
            cleaned_to: AtomicI64::new(record.cleaned_to),
            names_dirty: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
            compacting: AtomicUsize::new(0),
            readers: Mutex::default(),
        }
    }

    pub(super) fn record(&self) -> PartitionRecord {
        PartitionRecord {
            start: self.start(),
            end: self.end(),
            cleaned_to: self.cleaned_to.load(Ordering::Acquire),
            segments: self
                .segments()
                .iter()
                .map(|segment| segment.record())
                .collect(),
        }
    }

    /// The first offset held.
    pub(super) fn start(&self) -> Offset {
        self.start.load(Ordering::Acquire)
    }

    /// One past the last offset published.
    pub(super) fn end(&self) -> Offset {
        self.end.load(Ordering::Acquire)
    }

    /// The segments, oldest first.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        read(&self.segments).clone()
    }

    /// The segment that holds `offset`, or the first after it.
    pub(super) fn segment_at(&self, offset: Offset) -> Option<Arc<Segment>> {
        let segments = read(&self.segments);
        let after = segments.partition_point(|segment| segment.end() <= offset);
        segments.get(after).cloned()
    }

    /// The segment after `segment`.
    pub(super) fn segment_after(&self, segment: &Segment) -> Option<Arc<Segment>> {
        let segments = read(&self.segments);
        let after = segments.partition_point(|other| other.base <= segment.base);
        segments.get(after).cloned()
    }

    /// Places a batch of `records` offsets and `bytes` bytes at the end: its first offset, and whether it opens a segment.
    /// Decided here and written to the journal, so that a replay rolls where the first run did.
    pub(super) fn place(
        &self,
        policy: &Policy,
        now_ms: i64,
        records: i64,
        bytes: u64,
    ) -> (Offset, bool) {
        let mut plan = lock(&self.plan);
        let base = plan.end;
        let roll = plan.rolls(policy, now_ms, bytes);
        if roll {
            plan.segment_bytes = 0;
            plan.opened_ms = now_ms;
        }
        plan.segment_bytes += bytes;
        plan.end += records;
        (base, roll)
    }

    /// True when a batch of `bytes` bytes would open a segment.
    pub(super) fn would_roll(&self, policy: &Policy, now_ms: i64, bytes: u64) -> bool {
        lock(&self.plan).rolls(policy, now_ms, bytes)
    }

    /// Makes the plan follow what was replayed.
    pub(super) fn plan_anew(&self) {
        let segments = read(&self.segments);
        let active = segments.last();
        *lock(&self.plan) = Plan {
            end: self.end(),
            segment_bytes: active.map_or(0, |segment| segment.bytes()),
            opened_ms: active.map_or(0, |segment| segment.opened_ms),
        };
    }

    /// Writes batches that a journal entry holds. They are not published yet.
    pub(super) fn append(
        &self,
        files: &Files,
        policy: &Policy,
        roll: bool,
        now_ms: i64,
        bytes: &[u8],
    ) -> Result<Offset> {
        let last = read(&self.segments).last().cloned();
        let active = match last {
            Some(active) if !roll => active,
            last => self.roll(files, last.as_deref(), now_ms)?,
        };
        active.append(files, bytes, policy.index_interval_bytes)
    }

    fn roll(&self, files: &Files, last: Option<&Segment>, now_ms: i64) -> Result<Arc<Segment>> {
        if let Some(last) = last {
            last.close(files)?;
        } else {
            files
                .disk
                .create_dir_all(&self.dir)
                .map_err(|error| Error::io(&self.dir, "create a partition", &error))?;
        }
        let base = last.map_or(self.end(), Segment::end);
        let segment = Arc::new(Segment::create(files, &self.dir, base, now_ms)?);
        self.names_dirty.store(true, Ordering::Release);
        write(&self.segments).push(Arc::clone(&segment));
        Ok(segment)
    }

    /// Publishes everything up to `end`.
    pub(super) fn publish(&self, end: Offset) {
        self.end.store(end, Ordering::Release);
    }

    /// Moves the start and returns the segments that lie wholly before it, no longer part of the partition.
    pub(super) fn move_start(&self, start: Offset) -> Vec<Arc<Segment>> {
        self.start.fetch_max(start, Ordering::AcqRel);
        let mut segments = write(&self.segments);
        let kept = segments.partition_point(|segment| segment.end() <= start);
        let gone: Vec<_> = segments.drain(..kept).collect();
        if segments.is_empty() {
            // The next batch opens a segment, whatever the size of the one that is gone.
            lock(&self.plan).segment_bytes = 0;
        }
        drop(segments);
        for segment in &gone {
            segment.retired.store(true, Ordering::Release);
        }
        gone
    }

    /// Puts `new` in the place of the segments that begin at `bases` and returns those.
    pub(super) fn replace(&self, bases: &[Offset], new: Arc<Segment>) -> Option<Vec<Arc<Segment>>> {
        let mut segments = write(&self.segments);
        let first = segments
            .iter()
            .position(|segment| Some(&segment.base) == bases.first())?;
        let range = first..first + bases.len();
        let same = segments
            .get(range.clone())?
            .iter()
            .map(|segment| segment.base)
            .eq(bases.iter().copied());
        if !same || range.end >= segments.len() {
            return None;
        }
        let gone: Vec<_> = segments.splice(range, [new]).collect();
        drop(segments);
        for segment in &gone {
            segment.retired.store(true, Ordering::Release);
        }
        Some(gone)
    }

    /// Wakes `mailbox` from here on whenever the end moves.
    pub(super) fn watch(&self, mailbox: &Arc<Mailbox>) {
        let mut readers = lock(&self.readers);
        let known = Arc::downgrade(mailbox);
        if !readers.iter().any(|reader| reader.ptr_eq(&known)) {
            readers.retain(|reader| reader.strong_count() > 0);
            readers.push(known);
        }
    }

    /// Clients that read this partition.
    pub(super) fn readers(&self) -> Vec<Weak<Mailbox>> {
        lock(&self.readers).clone()
    }

    /// Ends watching.
    pub(super) fn unwatch(&self, mailbox: &Arc<Mailbox>) {
        let known = Arc::downgrade(mailbox);
        lock(&self.readers).retain(|reader| !reader.ptr_eq(&known));
    }
}
