//! Compaction: one file in the place of closed segments, with the last record of each key. Not retention: offsets stay as they were.
//! Invariant: the old segments stay until a journal entry and then the meta file name the new one.
//!
//! ```text
//!   closed segments -> map of last offsets (dirty part) -> <base>.log.cleaned, synced -> journal entry `Compacted`
//!     -> checkpoint lists the new file -> renamed to <base>.log, the others removed
//! ```

use super::{
    cleaner::{Cleaner, LastOffsets},
    core::Core,
    entry::Op,
    partition::Partition,
    policy::Policy,
    queue::{Submission, Work},
    segment::Segment,
};
use crate::{Offset, Result, Ticket};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

/// A compacted file that is durable and waits to take its place.
pub(super) struct Outcome {
    pub(super) partition: Arc<Partition>,
    pub(super) path: PathBuf,
    pub(super) bases: Vec<Offset>,
    pub(super) bytes: u64,
    pub(super) max_timestamp: i64,
    pub(super) cleaned_to: Offset,
}

impl Outcome {
    /// True while the segments it replaces are still there.
    pub(super) fn still_holds(&self) -> bool {
        let segments = self.partition.segments();
        let mut bases = segments.iter().map(|segment| segment.base);
        let first = bases.position(|base| Some(&base) == self.bases.first());
        !self.partition.deleted.load(Ordering::Acquire)
            && first.is_some_and(|first| {
                let found = segments[first..].iter().map(|segment| segment.base);
                found.take(self.bases.len()).eq(self.bases.iter().copied())
            })
    }

    pub(super) fn op(&self) -> Op<'static> {
        Op::Compacted {
            topic: self.partition.topic,
            partition: self.partition.name.partition,
            bases: self.bases.clone(),
            bytes: self.bytes,
            max_timestamp: self.max_timestamp,
            cleaned_to: self.cleaned_to,
        }
    }
}

/// Where the index of a compacted file waits for its name.
pub(super) fn cleaned_index_path(index: &Path) -> PathBuf {
    let mut path = index.as_os_str().to_owned();
    path.push(".");
    path.push(super::segment::CLEANED);
    path.into()
}

/// Closed segments of one partition that are due.
struct Due {
    partition: Arc<Partition>,
    policy: Policy,
    segments: Vec<Arc<Segment>>,
    ratio: f64,
}

impl Core {
    /// Compacts the dirtiest partition that is due; true when there was one.
    pub(super) fn compact(&self) -> bool {
        let now_ms = self.world.clock.now_ms();
        let mut due: Option<Due> = None;
        for topic in self.state.topics() {
            if !topic.policy.compact {
                continue;
            }
            for partition in &topic.partitions {
                if let Some(found) = dirty(partition, &topic.policy, now_ms)
                    && due.as_ref().is_none_or(|due| due.ratio < found.ratio)
                {
                    due = Some(found);
                }
            }
        }
        let Some(due) = due else {
            return false;
        };
        match self.compact_partition(&due, now_ms) {
            Ok(()) => true,
            Err(error) => {
                // The old segments are as they were; the next look tries again.
                self.warnings
                    .add(format!("{}: not compacted: {error}", due.partition.name));
                false
            }
        }
    }

    fn compact_partition(&self, due: &Due, now_ms: i64) -> Result<()> {
        let cleaned_to = due.partition.cleaned_to.load(Ordering::Acquire);
        let mut last_offsets = LastOffsets::new(self.options.compaction_bytes_max);
        let mut mapped = cleaned_to;
        for segment in &due.segments {
            if segment.end() > cleaned_to {
                if !last_offsets.add(&self.state.files, segment)? {
                    break;
                }
                mapped = segment.end();
            }
        }
        let segments: Vec<_> = due
            .segments
            .iter()
            .take_while(|segment| segment.end() <= mapped)
            .cloned()
            .collect();
        for group in groups(&segments, due.policy.segment_bytes) {
            let mut cleaner = Cleaner {
                files: &self.state.files,
                last_offsets: &last_offsets,
                now_ms,
                delete_retention_ms: due.policy.delete_retention_ms,
                index_interval_bytes: due.policy.index_interval_bytes,
            };
            let (bytes, max_timestamp) = cleaner.write(group, &due.partition.dir)?;
            let last = group.last().map_or(0, |segment| segment.end());
            let outcome = Outcome {
                partition: Arc::clone(&due.partition),
                path: group[0].cleaned_path(),
                bases: group.iter().map(|segment| segment.base).collect(),
                bytes,
                max_timestamp,
                // Reached by the last group only: a crash before it has the whole run done again.
                cleaned_to: if last == mapped { mapped } else { cleaned_to },
            };
            due.partition.compacting.fetch_add(1, Ordering::AcqRel);
            self.submit_own(Submission {
                mailbox: None,
                ticket: Ticket(0),
                work: Work::Compacted(Box::new(outcome)),
            });
        }
        Ok(())
    }
}

/// What is to be compacted in a partition, when enough of it is dirty.
fn dirty(partition: &Arc<Partition>, policy: &Policy, now_ms: i64) -> Option<Due> {
    if partition.compacting.load(Ordering::Acquire) > 0 {
        return None;
    }
    let mut segments = partition.segments();
    // The growing segment is left alone.
    segments.pop();
    let lag_ms = policy.min_compaction_lag_ms;
    let young = |segment: &Arc<Segment>| {
        lag_ms > 0 && now_ms.saturating_sub(segment.max_timestamp()) < lag_ms
    };
    let old = segments.iter().position(young).unwrap_or(segments.len());
    segments.truncate(old);
    let cleaned_to = partition.cleaned_to.load(Ordering::Acquire);
    let (mut all, mut dirty) = (0, 0);
    for segment in &segments {
        all += segment.bytes();
        if segment.end() > cleaned_to {
            dirty += segment.bytes();
        }
    }
    let ratio = dirty as f64 / all.max(1) as f64;
    (dirty > 0 && ratio >= policy.dirty_ratio).then(|| Due {
        partition: Arc::clone(partition),
        policy: policy.clone(),
        segments,
        ratio,
    })
}

/// Runs of segments that together are no larger than one may be; one alone may be.
fn groups(segments: &[Arc<Segment>], bytes_max: u64) -> Vec<&[Arc<Segment>]> {
    let mut groups = Vec::new();
    let mut rest = segments;
    while let Some(first) = rest.first() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|segment| {
            bytes += segment.bytes();
            // Kafka's index counts offsets from the base in 31 bits.
            bytes <= bytes_max && segment.end() - first.base <= i64::from(i32::MAX)
        });
        let count = fitting.count().max(1);
        let (group, after) = rest.split_at(count);
        groups.push(group);
        rest = after;
    }
    groups
}
