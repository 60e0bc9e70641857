//! One assigned task on its way: from its directory through positions and stores to running, and back.
//! Not the operators: `headwater_streams::Task` is what runs. Invariant: committed offsets are read before the changelog's
//! end, else a restore could end before the state those offsets belong to.
//!
//! ```text
//! active   Waiting -> Committed? -> Topics? -> Ends? -> Restoring -> Running
//!             ^ directory held by another worker             |            |
//!             +------------------- reopened after a failed commit --------+
//! standby  Waiting -> Topics? -> Ends? -> Following
//!
//! promoted: Following -> Waiting of an active task; demoted: Running, committed -> Waiting of a standby. Stores stay open.
//! ```

use crate::restore::StoreRestore;
use crate::state_dir::TaskDir;
use crate::task_status::TaskStatus;
use headwater_log::{
    Client, CommittedOffset, Offset, OffsetSpec, Request, Response, Slot, TaskId, Ticket, TopicId,
    TopicPartition,
};
use headwater_store::Store;
use headwater_streams::{Task, Topology};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What a member is to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It processes the task's records, alone.
    Active,
    /// It follows the changelogs of the task's stores, to take over without reading them from the start.
    Standby,
}

impl Role {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
        }
    }
}

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
    /// Changelogs are followed, for ever.
    Following(Vec<StoreRestore>),
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
            Self::Following(_) => "following",
        }
    }
}

pub(crate) struct TaskSlot {
    pub(crate) id: TaskId,
    pub(crate) role: Role,
    /// The partitions its sources read.
    pub(crate) inputs: Vec<TopicPartition>,
    /// Its stores that have a changelog: number in the topology and changelog partition.
    pub(crate) changelogs: Vec<(usize, TopicPartition)>,
    /// Topics with a fixed name that its sinks write.
    pub(crate) outputs: Vec<String>,
    /// Those of them that the application itself reads.
    pub(crate) inner: BTreeSet<String>,
    pub(crate) stage: Stage,
    pub(crate) dir: Option<TaskDir>,
    /// Stores that survived an aborted commit.
    pub(crate) kept: Vec<(usize, Store)>,
    /// The group wants the task back in this role: it is closed after the next commit.
    pub(crate) revoked: bool,
    /// It has done nothing since the last commit began.
    pub(crate) rests: bool,
    /// Nor since one began that took effect: whatever it did is committed, though other tasks of the worker go on.
    pub(crate) is_clean: bool,
    /// Given up as active, it goes on as standby.
    pub(crate) demoted: bool,
    /// Not asked again before this time of the monotonic clock.
    pub(crate) retry_at: Option<Duration>,
    /// Since this time of the monotonic clock a topic of it is not there.
    pub(crate) missing_since: Option<Duration>,
    pub(crate) committed: Vec<(TopicPartition, CommittedOffset)>,
    pub(crate) topic_ids: BTreeMap<String, TopicId>,
    pub(crate) starts: BTreeMap<TopicPartition, Offset>,
    /// The client's numbers of its inputs, in the task's order; empty before it runs.
    pub(crate) input_slots: Vec<Slot>,
    /// Inputs whose fetching is paused because enough waits.
    pub(crate) paused: Vec<bool>,
    /// It has been said that commits leave named times of its operators out.
    pub(crate) told_left_out: bool,
}

impl TaskSlot {
    pub(crate) fn new(id: TaskId, role: Role, topology: &Topology) -> Self {
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
            role,
            inputs: sources
                .iter()
                .map(|topic| TopicPartition::new(topics[*topic as usize].clone(), id.partition))
                .collect(),
            changelogs: stores.iter().filter_map(changelog).collect(),
            outputs: topology.sink_topics(id.subtopology),
            inner: inner_topics(topology, id),
            stage: Stage::Waiting,
            dir: None,
            kept: Vec::new(),
            revoked: false,
            rests: false,
            is_clean: false,
            demoted: false,
            retry_at: None,
            missing_since: None,
            committed: Vec::new(),
            topic_ids: BTreeMap::new(),
            starts: BTreeMap::new(),
            input_slots: Vec::new(),
            paused: Vec::new(),
            told_left_out: false,
        }
    }

    /// What the group wants of it, by its new list.
    pub(crate) fn want(&mut self, active: bool, standby: bool) {
        (self.revoked, self.demoted) = match self.role {
            Role::Active => (!active, !active && standby),
            Role::Standby => (!active && !standby, false),
        };
        if self.role == Role::Standby && active {
            // The stores read on from where they are, once the group's positions are known.
            self.role = Role::Active;
            self.keep_stores();
        }
    }

    /// It has done something, or may have, that the next commit is to cover.
    pub(crate) fn worked(&mut self) {
        (self.rests, self.is_clean) = (false, false);
    }

    /// Takes the stores out of whatever they are in, for the next opening.
    pub(crate) fn keep_stores(&mut self) {
        let stage = std::mem::replace(&mut self.stage, Stage::Waiting);
        if let Stage::Restoring(restores) | Stage::Following(restores) = stage {
            self.kept = restores
                .into_iter()
                .map(|it| (it.number, it.store))
                .collect();
        }
    }

    /// As [`TaskSlot::keep_stores`], where a running task is ended by `close`.
    pub(crate) fn keep_stores_of(
        &mut self,
        close: impl FnOnce(Box<Task>) -> headwater_streams::Result<Vec<(usize, Store)>>,
    ) -> headwater_streams::Result<()> {
        match std::mem::replace(&mut self.stage, Stage::Waiting) {
            Stage::Running(task) => self.kept = close(task)?,
            stage => {
                self.stage = stage;
                self.keep_stores();
            }
        }
        Ok(())
    }

    /// The stores that read their changelogs; none where it is not at that.
    pub(crate) fn restores(&mut self) -> &mut [StoreRestore] {
        match &mut self.stage {
            Stage::Restoring(restores) | Stage::Following(restores) => restores,
            _ => &mut [],
        }
    }

    /// The stores of a task that runs, or follows.
    pub(crate) fn stores(&mut self) -> Vec<&mut Store> {
        let stores = self.numbered_stores().into_iter();
        stores.map(|(_, store)| store).collect()
    }

    /// As [`TaskSlot::stores`], by number in the topology.
    pub(crate) fn numbered_stores(&mut self) -> Vec<(usize, &mut Store)> {
        match &mut self.stage {
            Stage::Running(task) => task.stores().collect(),
            Stage::Following(restores) => {
                let restores = restores.iter_mut();
                restores.map(|it| (it.number, &mut it.store)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Where it stands, in numbers.
    pub(crate) fn status(&mut self, client: &dyn Client) -> TaskStatus {
        let inputs = match &self.stage {
            Stage::Running(task) => {
                let ends = self.input_slots.iter().map(|slot| client.end_offset(*slot));
                let inputs = task.inputs().zip(ends);
                inputs
                    .map(|(input, end)| (input.partition, input.position, end))
                    .collect()
            }
            _ => Vec::new(),
        };
        let (id, state) = (self.id, self.stage.name());
        TaskStatus {
            task: id,
            role: self.role,
            state,
            stores: self
                .restores()
                .iter()
                .filter_map(|it| it.progress(id))
                .collect(),
            inputs,
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
                Some(self.ask_topics())
            }
            (Stage::Topics(_), Response::Topics(topics)) => {
                let inner = topics.iter().filter(|it| self.inner.contains(&*it.name));
                let counts: Vec<(String, u32)> = inner
                    .map(|topic| (topic.name.to_string(), topic.partitions))
                    .collect();
                self.topic_ids = topics
                    .into_iter()
                    .map(|topic| (topic.name.to_string(), topic.id))
                    .collect();
                let inputs = self.inputs.iter().cloned();
                let inputs = inputs.map(|partition| (partition, OffsetSpec::Start));
                let changelogs = self.changelogs.iter().flat_map(|(_, partition)| {
                    [OffsetSpec::Start, OffsetSpec::End].map(|spec| (partition.clone(), spec))
                });
                // What is in them was written by earlier owners, in commits that the positions asked for before cover.
                let is_active = self.role == Role::Active;
                let written = counts.into_iter().filter(|_| is_active);
                let written = written.flat_map(|(topic, partitions)| {
                    let at = (0..partitions).map(move |it| TopicPartition::new(topic.as_str(), it));
                    at.map(|partition| (partition, OffsetSpec::End))
                });
                Some(Request::Offsets(
                    inputs.chain(changelogs).chain(written).collect(),
                ))
            }
            _ => None,
        }
    }

    /// Asks for the ids of its changelogs, and for what its topics are: those that it writes, too, since the client may not know yet
    /// how many partitions they have, and a record does not wait.
    pub(crate) fn ask_topics(&self) -> Request {
        let changelogs = self.changelogs.iter().map(|(_, partition)| partition);
        let topics = self.inputs.iter().chain(changelogs);
        let mut topics: BTreeSet<String> = topics.map(|at| at.topic.to_string()).collect();
        topics.extend(self.outputs.iter().cloned());
        Request::DescribeTopics(Some(topics.into_iter().collect()))
    }
}

/// The topics that a task writes and another one of the application reads.
fn inner_topics(topology: &Topology, id: TaskId) -> BTreeSet<String> {
    let sources = topology.source_topics();
    let mut topics: BTreeSet<String> = topology.sink_topics(id.subtopology).into_iter().collect();
    topics.retain(|topic| sources.iter().any(|source| **source == **topic));
    topics
}
