//! Compaction: one file in the place of closed segments, with the last record of each key. Not retention: offsets stay as they were.
//! Invariant: the old segments stay until a journal entry and then the meta file name the new one.

use super::{core::Core, entry::Op, partition::Partition};
use crate::Offset;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

/// A compacted file that is durable and waits to take its place.
pub(super) struct Outcome {
    pub(super) partition: Arc<Partition>,
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
                segments[first..]
                    .iter()
                    .map(|segment| segment.base)
                    .take(self.bases.len())
                    .eq(self.bases.iter().copied())
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

impl Core {
    pub(super) fn compact(&self) -> bool {
        false
    }
}
