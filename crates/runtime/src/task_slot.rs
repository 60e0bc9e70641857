//! One assigned task on its way: from its directory through positions and stores to running, and back.
//! Not the operators: `headwater_streams::Task` is what runs. Invariant: committed offsets are read before the changelog's
//! end, else a restore could end before the state those offsets belong to.
//!
//! ```text
//! Waiting -> Committed? -> Topics? -> Ends? -> Restoring -> Running
//!    ^ directory held by another worker             |            |
//!    +------------------- reopened after a failed commit --------+
//! ```

use crate::state_dir::TaskDir;
use crate::{Result, restore::StoreRestore};
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
    pub(crate) fn new(id: TaskId) -> Self {
        Self {
            id,
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

    /// The partitions its sources read.
    pub(crate) fn inputs(&self, topology: &Topology) -> Vec<TopicPartition> {
        let sources = topology
            .subtopology(self.id.subtopology)
            .map(|part| part.source_topics.clone())
            .unwrap_or_default();
        sources
            .into_iter()
            .map(|topic| {
                TopicPartition::new(
                    topology.source_topics()[topic as usize].clone(),
                    self.id.partition,
                )
            })
            .collect()
    }

    /// Its stores that have a changelog: number in the topology and changelog partition.
    pub(crate) fn changelogs(&self, topology: &Topology) -> Vec<(usize, TopicPartition)> {
        let stores = topology
            .subtopology(self.id.subtopology)
            .map(|part| part.stores.clone())
            .unwrap_or_default();
        stores
            .into_iter()
            .filter_map(|number| Some((number, topology.store(number)?.changelog?)))
            .map(|(number, topic)| (number, TopicPartition::new(topic, self.id.partition)))
            .collect()
    }

    pub(crate) fn awaits(&self, ticket: Ticket) -> bool {
        matches!(self.stage, Stage::Committed(t) | Stage::Topics(t) | Stage::Ends(t) if t == ticket)
    }

    /// Takes the answer to what was asked and says what to ask next; `None` when all is known.
    pub(crate) fn answered(
        &mut self,
        topology: &Topology,
        response: Response,
    ) -> Result<Option<Request>> {
        match (&self.stage, response) {
            (Stage::Committed(_), Response::Committed(offsets)) => {
                self.committed = offsets;
                let topics = self
                    .changelogs(topology)
                    .into_iter()
                    .map(|(_, partition)| partition.topic.to_string());
                Ok(Some(Request::DescribeTopics(Some(topics.collect()))))
            }
            (Stage::Topics(_), Response::Topics(topics)) => {
                self.topic_ids = topics
                    .into_iter()
                    .map(|topic| (topic.name.to_string(), topic.id))
                    .collect();
                let inputs = self
                    .inputs(topology)
                    .into_iter()
                    .map(|partition| (partition, OffsetSpec::Start));
                let changelogs =
                    self.changelogs(topology)
                        .into_iter()
                        .flat_map(|(_, partition)| {
                            [
                                (partition.clone(), OffsetSpec::Start),
                                (partition, OffsetSpec::End),
                            ]
                        });
                Ok(Some(Request::Offsets(inputs.chain(changelogs).collect())))
            }
            _ => Ok(None),
        }
    }
}
