//! Answers to questions about the log's state, computed on the asking client's thread.
//! Not ordered by itself: a question passes the queue first, so that it sees everything submitted before it.
//! Invariant: nothing here changes the log.

use super::{
    core::{Core, lock},
    partition::Partition,
    state::Topic,
    walk::corrupt,
};
use crate::{
    CommittedOffset, Error, Offset, OffsetSpec, Request, Response, Result, TopicInfo,
    TopicPartition,
};
use std::{ops::ControlFlow, sync::atomic::Ordering};

impl Core {
    /// The answer to a question.
    pub(super) fn answer(&self, question: Request) -> Result<Response> {
        match question {
            Request::DescribeTopics(names) => Ok(Response::Topics(self.describe_topics(names))),
            Request::Offsets(specs) => specs
                .into_iter()
                .map(|(name, spec)| {
                    let offset = self.offset(&name, spec)?;
                    Ok((name, offset))
                })
                .collect::<Result<_>>()
                .map(Response::Offsets),
            Request::CommittedOffsets { group, partitions } => {
                let groups = lock(&self.state.groups);
                let positions = groups.get(&group);
                let found: Vec<(TopicPartition, CommittedOffset)> = match (positions, partitions) {
                    (None, _) => Vec::new(),
                    (Some(positions), None) => positions
                        .iter()
                        .map(|(name, committed)| (name.clone(), committed.clone()))
                        .collect(),
                    (Some(positions), Some(names)) => names
                        .into_iter()
                        .filter_map(|name| positions.get(&name).cloned().map(|found| (name, found)))
                        .collect(),
                };
                Ok(Response::Committed(found))
            }
            Request::ListGroups => {
                let durable = lock(&self.state.groups).keys().cloned().collect();
                Ok(Response::Groups(self.membership.groups(durable)))
            }
            other => Err(Error::Invalid(format!("{other:?} is no question"))),
        }
    }

    pub(super) fn describe_topics(&self, names: Option<Vec<String>>) -> Vec<TopicInfo> {
        let info = |topic: &Topic| TopicInfo {
            name: topic.name.clone(),
            id: topic.id,
            partitions: topic.partitions.len() as u32,
            config: topic.config.clone(),
        };
        let mut topics = self.state.topics();
        if let Some(names) = names {
            topics.retain(|topic| names.iter().any(|name| **name == *topic.name));
        }
        topics.iter().map(|topic| info(topic)).collect()
    }

    fn offset(&self, name: &TopicPartition, spec: OffsetSpec) -> Result<Offset> {
        let partition = self.state.partition(name)?;
        match spec {
            OffsetSpec::Start => Ok(partition.start()),
            // Only committed records are in the log: both ends are one.
            OffsetSpec::Stable | OffsetSpec::End => Ok(partition.end()),
            OffsetSpec::AtTime(time_ms) => self.offset_at(&partition, time_ms),
        }
    }

    /// The first record at or after `time_ms`: segments by their largest timestamp, then batches by theirs.
    fn offset_at(&self, partition: &Partition, time_ms: i64) -> Result<Offset> {
        let (start, end) = (partition.start(), partition.end());
        let files = &self.state.files;
        for segment in partition.segments() {
            if segment.max_timestamp() < time_ms {
                continue;
            }
            let mut found = None;
            let walked = segment.each_batch(files, &mut |batch, at| {
                if batch.max_timestamp() < time_ms || batch.next_offset() <= start {
                    return Ok(ControlFlow::Continue(()));
                }
                for record in batch.records() {
                    let record = record.map_err(|damage| corrupt(&segment.path(), at, &damage))?;
                    if record.timestamp >= time_ms && record.offset >= start {
                        found = Some(record.offset);
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            });
            if let Err(error) = walked
                && !segment.retired.load(Ordering::Acquire)
            {
                return Err(error);
            }
            match found {
                Some(offset) if offset < end => return Ok(offset),
                Some(_) => return Ok(end),
                None => {}
            }
        }
        Ok(end)
    }
}
