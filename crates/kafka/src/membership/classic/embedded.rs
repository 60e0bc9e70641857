//! What members of a classic group tell their leader and hear from it, inside the fields that Kafka's consumer protocol has for
//! an assignor's own data (`ConsumerProtocolSubscription.json`, `ConsumerProtocolAssignment.json`, version 0).
//! Not read by a broker, but its tools show topics and partitions from the outer layer. Invariant: a version that is not known
//! is refused, never guessed.

use super::leader::from_numbers;
use crate::protocol::message::message;
use crate::protocol::streams_group_heartbeat::Endpoint;
use crate::protocol::wire::{Field, Wire};
use crate::protocol::{Malformed, Reader};
use bytes::Bytes;
use headwater_log::{MemberEpoch, MemberInfo, TaskId, TopicPartition};

const OUTER_VERSION: i16 = 0;
const OWN_VERSION: i16 = 2;
const OWN: Wire = Wire {
    version: OWN_VERSION,
    flexible: true,
};
const OUTER: Wire = Wire {
    version: OUTER_VERSION,
    flexible: false,
};

message! {
    struct Subscription {
        topics: Vec<String>,
        user_data: Option<Bytes>,
    }

    struct Assignment {
        assigned_partitions: Vec<TopicPartitions>,
        user_data: Option<Bytes>,
    }

    struct TopicPartitions {
        topic: String,
        partitions: Vec<i32>,
    }

    /// What a member holds.
    struct Report {
        member: String,
        process: String,
        /// Of the topology: members of one group run the same.
        topology_hash: i64,
        standby_replicas: i32,
        /// The generation the tasks are held in; 0 for none.
        generation: i32,
        active: Vec<TaskNumber>,
        standby: Vec<TaskNumber>,
        /// Where its process answers queries. Tagged, as hosts below: members that do not know the field pass it over.
        endpoint: Option<Endpoint> [tag 0, 2..],
        /// All are to stop.
        stops_group: bool [tag 1, 2..],
        /// A static member needs a round: what it was told before it restarted does not suit it. A broker begins one only for a member
        /// that tells something else than before.
        insists: bool [tag 2, 2..],
    }

    /// What a member is to hold, and since which generation; the broker tells that to nobody but members.
    struct Orders {
        generation: i32,
        active: Vec<TaskNumber>,
        standby: Vec<TaskNumber>,
        not_ready: Option<String>,
        refused: Option<String>,
        /// Who of the group answers for what.
        hosts: Vec<HostTasks> [tag 0, 2..],
        /// What the leader has made it for, in hashes, 0 for unknown: a static member that was restarted is told it once more.
        topology_hash: i64 [tag 1, 2..],
        counts_hash: i64 [tag 2, 2..],
        /// The member held more than this, and others wait for the rest.
        gives_up: bool [tag 3, 2..],
    }

    /// The tasks of the members that have an endpoint in common.
    struct HostTasks {
        endpoint: Endpoint,
        active: Vec<PartTasks>,
        standby: Vec<PartTasks>,
    }

    /// Tasks of one sub-topology. Every member is told of every host's, so they are written short: a broker keeps all of it in one
    /// record.
    struct PartTasks {
        subtopology: i32,
        partitions: Vec<i32>,
    }

    struct TaskNumber {
        subtopology: i32,
        partition: i32,
    }
}

impl Report {
    pub(super) fn encode(&self, topics: Vec<String>) -> Bytes {
        let subscription = Subscription {
            topics,
            user_data: Some(own(self)),
        };
        outer(&subscription)
    }

    pub(super) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let subscription: Subscription = from_outer(bytes)?;
        from_own(subscription.user_data)
    }
}

impl Orders {
    pub(super) fn encode(&self, assigned_partitions: Vec<TopicPartitions>) -> Bytes {
        let assignment = Assignment {
            assigned_partitions,
            user_data: Some(own(self)),
        };
        outer(&assignment)
    }

    pub(super) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let assignment: Assignment = from_outer(bytes)?;
        from_own(assignment.user_data)
    }
}

/// The partitions that a member was assigned as a consumer, and its assignor's own data.
pub(crate) fn assigned(bytes: &Bytes) -> Result<(Vec<TopicPartition>, Bytes), Malformed> {
    let assignment: Assignment = from_outer(bytes)?;
    let mut partitions = Vec::new();
    for topic in &assignment.assigned_partitions {
        let numbers = topic.partitions.iter();
        let numbers = numbers.filter_map(|it| u32::try_from(*it).ok());
        partitions.extend(numbers.map(|it| TopicPartition::new(topic.topic.as_str(), it)));
    }
    Ok((partitions, assignment.user_data.unwrap_or_default()))
}

/// The tasks, active and standby, in the data of our own assignor.
pub(crate) fn ordered(own: Bytes) -> Result<(Vec<TaskId>, Vec<TaskId>), Malformed> {
    let orders: Orders = from_own(Some(own))?;
    Ok((from_numbers(&orders.active), from_numbers(&orders.standby)))
}

/// A member as others see it, by what the group's broker keeps of it; `None` if that is not ours to read.
pub(crate) fn described(metadata: &Bytes, assignment: &Bytes) -> Option<MemberInfo> {
    let report = Report::decode(metadata).ok()?;
    let orders = Orders::decode(assignment).ok()?;
    let mut tasks = from_numbers(&orders.active);
    tasks.sort_unstable();
    Some(MemberInfo {
        member: report.member.as_str().into(),
        epoch: MemberEpoch(orders.generation),
        tasks,
    })
}

fn own(value: &impl Field) -> Bytes {
    let mut bytes = Vec::new();
    OWN_VERSION.put(OWN, &mut bytes);
    value.put(OWN, &mut bytes);
    bytes.into()
}

fn outer(value: &impl Field) -> Bytes {
    let mut bytes = Vec::new();
    OUTER_VERSION.put(OUTER, &mut bytes);
    value.put(OUTER, &mut bytes);
    bytes.into()
}

fn from_outer<T: Field>(bytes: &Bytes) -> Result<T, Malformed> {
    let input = &mut Reader::new(bytes.clone());
    // Later versions only append.
    i16::take(OUTER, input)?;
    T::take(OUTER, input)
}

fn from_own<T: Field>(bytes: Option<Bytes>) -> Result<T, Malformed> {
    let input = &mut Reader::new(bytes.unwrap_or_default());
    match i16::take(OWN, input)? {
        OWN_VERSION => T::take(OWN, input),
        other => Err(Malformed(format!("an assignment of version {other}"))),
    }
}
