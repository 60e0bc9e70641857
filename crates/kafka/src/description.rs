//! What brokers know of a group and of the replicas of a topic, in the shape that operators' tools take.
//! Not what a worker needs: that is `GroupInfo` of the log's traits. Invariant: what no broker tells is absent here, never guessed.

use headwater_log::{TaskId, TopicPartition};

/// A group of any kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its name; for a stream application its `application.id`.
    pub group: String,
    /// `streams` (KIP-1071), `consumer` (KIP-848), `classic` or `share`.
    pub kind: String,
    /// Kafka's word, for instance `Stable`, `Empty`, `NotReady`.
    pub state: String,
    /// The assignor of a classic or consumer group: `stream` is Kafka Streams', `headwater` ours.
    pub assignor: Option<String>,
    /// The group's epoch, where its kind has one.
    pub epoch: Option<i32>,
    /// Of a streams group: what its members run, in the order of the broker.
    pub topology: Option<Vec<SubtopologyDescription>>,
    /// Its members, by id.
    pub members: Vec<MemberDescription>,
}

/// A sub-topology as its group's coordinator knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubtopologyDescription {
    /// Its number, as text.
    pub id: String,
    /// Topics of others that it reads.
    pub sources: Vec<String>,
    /// Internal topics that it reads, with their partitions.
    pub repartition_sources: Vec<(String, u32)>,
    /// Internal topics that it writes for other sub-topologies.
    pub repartition_sinks: Vec<String>,
    /// Changelogs of its stores, with their partitions.
    pub changelogs: Vec<(String, u32)>,
}

/// A member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberDescription {
    /// Its id.
    pub member: String,
    /// What its client calls itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// Which process of the application it is in; streams groups only.
    pub process: Option<String>,
    /// `application.server`, where given.
    pub endpoint: Option<String>,
    /// Its epoch, where the kind of group has one.
    pub epoch: Option<i32>,
    /// What it does at this moment; `None` where no broker knows of tasks or the assignment cannot be read.
    pub tasks: Option<Tasks>,
    /// What it is to do in the end; differs from `tasks` while tasks move. Streams groups only.
    pub target: Option<Tasks>,
    /// Partitions it reads as a consumer, in order; empty in streams groups.
    pub partitions: Vec<TopicPartition>,
    /// Which of them which active task reads, where the assignor tells: Kafka Streams' in classic groups does.
    pub inputs: Vec<(TaskId, TopicPartition)>,
}

/// Tasks by role, each list in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// Those that process.
    pub active: Vec<TaskId>,
    /// Those that keep a copy of the state.
    pub standby: Vec<TaskId>,
    /// Those that build up a copy in order to become active.
    pub warmup: Vec<TaskId>,
}

/// A partition and the brokers that keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionReplicas {
    /// Its number.
    pub partition: u32,
    /// The broker that leads it; `None` while there is none.
    pub leader: Option<i32>,
    /// All that keep it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
}
