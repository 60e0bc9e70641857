//! One assigned task on its way: from its directory through positions and stores to running, and back.
//! Not the operators: `headwater_streams::Task` is what runs. Invariant: committed offsets are read before the changelog's
//! end, else a restore could end before the state those offsets belong to.
//!
//! ```text
//! Waiting -> Committed? -> Topics? -> Ends? -> Restoring -> Running
//!    ^ directory held by another worker             |            |
//!    +------------------- reopened after a failed commit --------+
//! ```

use crate::restore::StoreRestore;
use crate::state_dir::TaskDir;
use headwater_log::{
    CommittedOffset, Offset, OffsetSpec, Request, Response, Slot, TaskId, Ticket, TopicId,
    TopicPartition,
};
use headwater_store::Store;
use headwater_streams::{Task, Topology};
use std::{collections::BTreeMap, time::Duration};

/// Where a task stands.
pub(crate) enum Stage {
    /// Its directory is not free yet.
    Waiting,
    /// The group's positions were asked for.
    Committed(Ticket),
    /// The changelogs' ids were asked for.
    Topics(Ticket),
    /// Start and end of its partitions were asked for.
    Ends(Ticket),
    /// Changelogs are read.
    Restoring(Vec<StoreRestore>),
    /// Records are processed.
    Running(Box<Task>),
}

impl Stage {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Committed(_) => "asking for positions",
            Self::Topics(_) => "asking for changelogs",
            Self::Ends(_) => "asking for ends",
            Self::Restoring(_) => "restoring",
            Self::Running(_) => "running",
        }
    }
}

pub(crate) struct TaskSlot {
    pub(crate) id: TaskId,
    /// The partitions its sources read.
    pub(crate) inputs: Vec<TopicPartition>,
    /// Its stores that have a changelog: number in the topology and changelog partition.
    pub(crate) changelogs: Vec<(usize, TopicPartition)>,
    pub(crate) stage: Stage,
    pub(crate) dir: Option<TaskDir>,
    /// Stores that survived an aborted commit.
    pub(crate) kept: Vec<(usize, Store)>,
    /// The group wants the task back: it is closed after the next commit.
    pub(crate) revoked: bool,
    /// Not asked again before this time of the monotonic clock.
    pub(crate) retry_at: Option<Duration>,
    pub(crate) committed: Vec<(TopicPartition, CommittedOffset)>,
    pub(crate) topic_ids: BTreeMap<String, TopicId>,
    pub(crate) starts: BTreeMap<TopicPartition, Offset>,
    /// The client's numbers of its inputs, in the task's order; empty before it runs.
    pub(crate) input_slots: Vec<Slot>,
    /// Inputs whose fetching is paused because enough waits.
    pub(crate) paused: Vec<bool>,
}

impl TaskSlot {
    pub(crate) fn new(id: TaskId, topology: &Topology) -> Self {
        let part = topology.subtopology(id.subtopology);
        let sources = part.map_or(&[][..], |part| &part.source_topics);
        let stores = part.map_or(&[][..], |part| &part.stores);
        let topics = topology.source_topics();
        let changelog = |number: &usize| {
            let topic = topology.store(*number)?.changelog?;
            Some((*number, TopicPartition::new(topic, id.partition)))
        };
        Self {
            id,
            inputs: sources
                .iter()
                .map(|topic| TopicPartition::new(topics[*topic as usize].clone(), id.partition))
                .collect(),
            changelogs: stores.iter().filter_map(changelog).collect(),
            stage: Stage::Waiting,
            dir: None,
            kept: Vec::new(),
            revoked: false,
            retry_at: None,
            committed: Vec::new(),
            topic_ids: BTreeMap::new(),
            starts: BTreeMap::new(),
            input_slots: Vec::new(),
            paused: Vec::new(),
        }
    }

    pub(crate) fn awaits(&self, ticket: Ticket) -> bool {
        matches!(self.stage, Stage::Committed(t) | Stage::Topics(t) | Stage::Ends(t) if t == ticket)
    }

    /// Takes the answer to what was asked and says what to ask next; `None` when all is known.
    pub(crate) fn answered(&mut self, response: Response) -> Option<Request> {
        match (&self.stage, response) {
            (Stage::Committed(_), Response::Committed(offsets)) => {
                self.committed = offsets;
                let topics = self.changelogs.iter();
                let topics = topics.map(|(_, partition)| partition.topic.to_string());
                Some(Request::DescribeTopics(Some(topics.collect())))
            }
            (Stage::Topics(_), Response::Topics(topics)) => {
                self.topic_ids = topics
                    .into_iter()
                    .map(|topic| (topic.name.to_string(), topic.id))
                    .collect();
                let inputs = self.inputs.iter().cloned();
                let inputs = inputs.map(|partition| (partition, OffsetSpec::Start));
                let changelogs = self.changelogs.iter().flat_map(|(_, partition)| {
                    [OffsetSpec::Start, OffsetSpec::End].map(|spec| (partition.clone(), spec))
                });
                Some(Request::Offsets(inputs.chain(changelogs).collect()))
            }
            _ => None,
        }
    }
}
