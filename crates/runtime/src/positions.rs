//! How far the tasks of this process have come: input positions whose effects are committed and visible in views.
//! Not the group's committed offsets, which the log knows a moment before the stores do.
//! Invariant: a position is told only after the stores of its task show everything before it.

use crate::{Error, Result};
use headwater_log::{
    Client, CommittedOffset, Offset, OffsetSpec, Request, Response, TopicPartition, call,
};
use headwater_streams::Topology;
use headwater_world::Clock;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

/// How long one call to the log may take.
const CALL_MS_MAX: u64 = 30_000;

/// Positions by partition, shared by the workers of a process.
#[derive(Clone, Default)]
pub(crate) struct Positions(Arc<RwLock<BTreeMap<TopicPartition, Offset>>>);

impl Positions {
    pub(crate) fn advance<'a>(
        &self,
        positions: impl IntoIterator<Item = &'a (TopicPartition, CommittedOffset)>,
    ) {
        let mut known = self
            .0
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        for (partition, at) in positions {
            known.insert(partition.clone(), at.offset);
        }
    }

    /// As [`Positions::advance`], where no position goes back.
    pub(crate) fn raise<'a>(&self, positions: impl Iterator<Item = &'a (TopicPartition, Offset)>) {
        let mut known = self
            .0
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        for (partition, offset) in positions {
            let at = known.entry(partition.clone()).or_default();
            *at = (*at).max(*offset);
        }
    }

    /// The position of one partition.
    pub(crate) fn of(&self, partition: &TopicPartition) -> Option<Offset> {
        let known = self.0.read();
        let known = known.unwrap_or_else(|poisoned| poisoned.into_inner());
        known.get(partition).copied()
    }

    pub(crate) fn get(&self) -> BTreeMap<TopicPartition, Offset> {
        self.0
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }
}

/// What there is to do for a topology.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// How many tasks it has.
    pub(crate) tasks: usize,
    /// One past the last record of each partition it reads that is not empty.
    pub(crate) ends: BTreeMap<TopicPartition, Offset>,
    /// No transaction is open in them: a broker answers a commit before readers see what was committed.
    pub(crate) settled: bool,
}

/// A topic that the application reads, others write, and the log does not have.
pub(crate) fn missing_source(
    client: &mut dyn Client,
    clock: &dyn Clock,
    topology: &Topology,
) -> Result<Option<String>> {
    let parts = topology.membership().into_iter();
    let sources: Vec<String> = parts.flat_map(|part| part.source_topics).collect();
    let request = Request::DescribeTopics(Some(sources.clone()));
    let Response::Topics(known) = call(client, clock, request, CALL_MS_MAX)? else {
        return Err(Error::Config(
            "the log answered something else than topics".into(),
        ));
    };
    let mut sources = sources.into_iter();
    Ok(sources.find(|source| known.iter().all(|topic| *topic.name != **source)))
}

/// Asks the log what there is to do; `None` while a topic is missing.
pub(crate) fn demand(
    client: &mut dyn Client,
    clock: &dyn Clock,
    topology: &Topology,
) -> Result<Option<Demand>> {
    let names: Vec<String> = topology
        .source_topics()
        .iter()
        .map(|topic| topic.to_string())
        .collect();
    let count = names.len();
    let topics = match call(
        client,
        clock,
        Request::DescribeTopics(Some(names)),
        CALL_MS_MAX,
    )? {
        Response::Topics(topics) if topics.len() == count => topics,
        _ => return Ok(None),
    };
    let count_of = |name: &str| {
        let topic = topics.iter().find(|topic| &*topic.name == name);
        topic.map_or(0, |topic| topic.partitions as usize)
    };
    let tasks = topology.subtopologies().iter().map(|part| {
        let topics = part.source_topics.iter();
        let counts = topics.map(|topic| count_of(&topology.source_topics()[*topic as usize]));
        counts.max().unwrap_or(0)
    });
    let tasks = tasks.sum();
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|topic| (0..topic.partitions).map(|p| TopicPartition::new(topic.name.clone(), p)))
        .collect();
    let specs = [OffsetSpec::Start, OffsetSpec::Stable, OffsetSpec::End]
        .into_iter()
        .flat_map(|spec| partitions.iter().map(move |at| (at.clone(), spec)))
        .collect();
    let Response::Offsets(offsets) = call(client, clock, Request::Offsets(specs), CALL_MS_MAX)?
    else {
        return Err(Error::Config(
            "the log answered something else than offsets".into(),
        ));
    };
    let (starts, ends) = offsets.split_at(partitions.len());
    let (ends, appended) = ends.split_at(partitions.len());
    let settled = ends == appended;
    let nonempty = ends
        .iter()
        .zip(starts)
        .filter(|((_, end), (_, start))| end > start);
    let ends = nonempty.map(|(end, _)| end.clone()).collect();
    Ok(Some(Demand {
        tasks,
        ends,
        settled,
    }))
}
