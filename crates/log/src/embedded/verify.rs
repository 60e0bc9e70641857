//! A full check of a directory: every CRC and offset of every segment, the journal and the meta file. Not a repair, and not quick.
//! Invariant: nothing is written, and damage is a finding, never a panic or an early end.

use super::{EmbeddedLog, core::Core, partition::Partition, segment::Segment, walk::corrupt};
use crate::{Error, Offset, Result, TopicInfo, TopicPartition, batch::Damage};
use headwater_world::World;
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Partitions walked.
    pub partitions: u64,
    /// Segment files walked.
    pub segments: u64,
    /// Batches whose CRC was computed.
    pub batches: u64,
    /// Records they hold.
    pub records: u64,
    /// Bytes of segments read.
    pub bytes: u64,
    /// What a torn write left and opening the log will cut, and the like: no loss.
    pub warnings: Vec<String>,
    /// What is wrong, each with file and byte.
    pub findings: Vec<Error>,
}

/// A partition and its files, for people and tools.
#[derive(Clone, Debug)]
pub struct PartitionFiles {
    /// Which partition.
    pub partition: TopicPartition,
    /// First offset held.
    pub start: Offset,
    /// One past the last offset.
    pub end: Offset,
    /// Segments, oldest first.
    pub segments: Vec<SegmentFile>,
}

/// A segment's file.
#[derive(Clone, Debug)]
pub struct SegmentFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its first offset.
    pub base: Offset,
    /// One past its last offset.
    pub end: Offset,
    /// Its bytes.
    pub bytes: u64,
    /// The largest timestamp of its records, -1 without any.
    pub max_timestamp: i64,
    /// Written by compaction.
    pub compacted: bool,
}

/// Checks the log in `dir` from end to end. An error means that it could not even be opened; everything else is in the report.
/// Beside a running application it checks what was there when it began, and may find files gone that upkeep removed meanwhile.
pub fn verify(dir: impl AsRef<Path>, world: World) -> Result<VerifyReport> {
    let log = EmbeddedLog::open_read_only(dir, world)?;
    let core = &log.core;
    let mut report = VerifyReport {
        warnings: log.warnings(),
        ..VerifyReport::default()
    };
    for topic in core.state.topics() {
        for partition in &topic.partitions {
            report.partition(core, partition);
        }
    }
    Ok(report)
}

impl VerifyReport {
    /// True when nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn partition(&mut self, core: &Core, partition: &Partition) {
        self.partitions += 1;
        let mut due = None;
        for segment in partition.segments() {
            if due.is_some_and(|due| due != segment.base) {
                let due = due.unwrap_or_default();
                self.findings.push(wrong(
                    &segment,
                    0,
                    format!("it begins at offset {}, {due} is due", segment.base),
                ));
            }
            due = Some(segment.end());
            if let Err(error) = self.segment(core, &segment) {
                self.findings.push(error);
            }
        }
        if due.unwrap_or(partition.end()) != partition.end() {
            self.findings.push(Error::Corrupt {
                path: partition.dir.clone(),
                position: 0,
                message: format!(
                    "the segments end at offset {due:?}, {} is recorded",
                    partition.end()
                ),
            });
        }
    }

    fn segment(&mut self, core: &Core, segment: &Segment) -> Result<()> {
        self.segments += 1;
        let path = segment.path();
        segment.each_batch(&core.state.files, &mut |batch, at| {
            let offsets = batch.base_offset()..batch.next_offset();
            for record in batch.records() {
                let record = record.map_err(|damage| corrupt(&path, at, &damage))?;
                if !offsets.contains(&record.offset) {
                    let message = format!("a record with offset {}", record.offset);
                    return Err(wrong(segment, at, message));
                }
                self.records += 1;
            }
            self.batches += 1;
            self.bytes += batch.bytes().len() as u64;
            Ok(ControlFlow::Continue(()))
        })
    }
}

fn wrong(segment: &Segment, at: u64, message: String) -> Error {
    corrupt(&segment.path(), at, &Damage::Wrong(message))
}

impl EmbeddedLog {
    /// All topics, by name.
    pub fn topics(&self) -> Vec<TopicInfo> {
        self.core.describe_topics(None)
    }

    /// The partitions of a topic with their files.
    pub fn partition_files(&self, topic: &str) -> Result<Vec<PartitionFiles>> {
        let found = self.core.state.topic(topic);
        let found = found.ok_or_else(|| Error::UnknownTopic(topic.to_owned()))?;
        let files = |partition: &Partition| PartitionFiles {
            partition: partition.name.clone(),
            start: partition.start(),
            end: partition.end(),
            segments: partition
                .segments()
                .iter()
                .map(|segment| segment_file(segment))
                .collect(),
        };
        Ok(found
            .partitions
            .iter()
            .map(|partition| files(partition))
            .collect())
    }
}

fn segment_file(segment: &Segment) -> SegmentFile {
    SegmentFile {
        path: segment.path(),
        base: segment.base,
        end: segment.end(),
        bytes: segment.bytes(),
        max_timestamp: segment.max_timestamp(),
        compacted: segment.compacted,
    }
}
