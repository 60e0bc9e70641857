//! Groups of members that share tasks, in the terms of the Streams rebalance protocol (KIP-1071).
//! Not the consumer group protocol: what is shared are tasks (sub-topology and partition), assigned by the log's coordinator.
//! Invariant: at any time at most one member with a valid epoch owns a task as active.

mod assign;
mod coordinator;
mod counts;
mod host;
mod member;
mod plan;
#[cfg(test)]
mod tests;

pub use coordinator::Coordinator;
pub use counts::Topics;
pub use host::{Endpoint, Host};
pub use plan::{Claim, Lists, plan};

use crate::{Error, Result, TopicConfig};
use std::{fmt, sync::Arc};

/// A sub-topology's task for one partition; prints as `0_3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The sub-topology's number.
    pub subtopology: u32,
    /// The partition's number.
    pub partition: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

/// Grows with each change of a member's assignment, or, on Kafka, with each but those that only take tasks away; it never goes
/// back. An older one is fenced for tasks that were given up or given since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberEpoch(pub i32);

/// A repartition or changelog topic that the coordinator creates where it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    /// The full name, application id included.
    pub name: String,
    /// The number of partitions; 0 lets the coordinator derive it.
    pub partitions: u32,
    /// Settings.
    pub config: TopicConfig,
}

/// A connected part of a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subtopology {
    /// Its number.
    pub id: u32,
    /// Topics it reads that others write; they must exist.
    pub source_topics: Vec<String>,
    /// Internal topics it reads.
    pub repartition_sources: Vec<InternalTopic>,
    /// Internal topics it writes that some sub-topology reads.
    pub repartition_sinks: Vec<String>,
    /// Changelogs of its stores.
    pub changelogs: Vec<InternalTopic>,
    /// Sets of its source and repartition source topics that must have equal partition counts.
    pub copartition_groups: Vec<Vec<String>>,
}

/// What a member brings when it joins.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The group, which is the `application.id`.
    pub group: Arc<str>,
    /// Unique per worker and start.
    pub member: Arc<str>,
    /// The same for all workers of a process.
    pub process: Arc<str>,
    /// Tells the workers of a process apart, and is the same after a restart.
    pub worker: usize,
    /// The topology; all members of a group bring the same.
    pub subtopologies: Vec<Subtopology>,
    /// What the member's records tell beyond what those of Kafka Streams do, in a word; empty where that is nothing.
    pub dialect: Arc<str>,
    /// Standby replicas per task with state. `None` leaves it to the group where it has a setting of its own, and is none elsewhere.
    pub standby_replicas: Option<u32>,
    /// A member silent for longer than this many ms is fenced and its tasks move.
    pub session_timeout_ms: i64,
    /// A member that does not give up a revoked task within this many ms is fenced, and so is one that does not poll for so long
    /// (`max.poll.interval.ms`).
    pub rebalance_timeout_ms: i64,
    /// Where the process answers queries (`application.server`); the others of the group hear it. The same for all its members.
    pub endpoint: Option<Endpoint>,
}

impl Membership {
    /// Names must be there and times above 0.
    pub(crate) fn check(&self) -> Result<()> {
        if self.group.is_empty() || self.member.is_empty() || self.process.is_empty() {
            return Err(Error::Invalid(
                "a membership names its group, member and process".into(),
            ));
        }
        if self.session_timeout_ms <= 0 || self.rebalance_timeout_ms <= 0 {
            return Err(Error::Invalid(format!(
                "member '{}': session_timeout_ms and rebalance_timeout_ms must be above 0",
                self.member
            )));
        }
        Ok(())
    }
}

/// The tasks a member is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The member's epoch from here on.
    pub epoch: MemberEpoch,
    /// Tasks to run.
    pub active: Vec<TaskId>,
    /// Tasks whose state to follow.
    pub standby: Vec<TaskId>,
}

/// What a membership tells its member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// The whole assignment. Tasks held but not listed are to be given up: commit, close, then [`crate::Client::own`].
    Assigned(Assignment),
    /// Fenced: every task is lost at once, uncommitted work is void. The client joins anew by itself.
    Fenced(String),
    /// The group cannot run yet: source topics are missing or partition counts do not fit. Sent again when the reason changes.
    NotReady(String),
    /// Whether the group has members of another dialect ([`Membership::dialect`]), as far as is known. Sent when it changes, to
    /// members that have one; without it, and after being fenced until it comes again, there are none. Members come and go before it is
    /// heard of.
    Mixed(bool),
    /// Something a person should know; the membership goes on.
    Notice(String),
    /// The membership can never work: e.g. a topology that differs from the group's.
    Refused(String),
}
