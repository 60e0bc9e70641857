//! Which broker leads or coordinates at this moment, asked through our own client. Not who did when the cluster started.
//! Invariant: what is told is a broker that the metadata name as the leader, never a guess.

use super::script::Target;
use headwater::{Kafka, PartitionReplicas};
use headwater_broker::Cluster;
use std::time::{Duration, Instant};

/// A partition whose broker just went may be without a leader for so long.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
const APPLICATION: &str = "fire";

/// Asks the brokers.
pub(crate) struct Leaders {
    kafka: Kafka,
}

/// A broker, and what it is at this moment.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its number in the [`Cluster`], from 0.
    pub(crate) node: usize,
    pub(crate) role: String,
}

impl Leaders {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let kafka = Kafka::at(&cluster.bootstrap()).expect("an address");
        Self { kafka }
    }

    /// The broker that is the target now.
    pub(crate) fn find(&self, target: Target) -> Found {
        let begun = Instant::now();
        loop {
            let found = self.look(target);
            if let Ok(Some(found)) = found {
                return found;
            }
            assert!(begun.elapsed() < FOUND_WITHIN, "{target:?}: {found:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn look(&self, target: Target) -> headwater::log::Result<Option<Found>> {
        let (topic, name, role) = match target {
            Target::Leader(topic, partition) => {
                let partitions = self.kafka.replicas(topic)?;
                let role = format!("leader of {topic}-{partition}");
                return Ok(found(&partitions, partition, role));
            }
            Target::Transactions(number) => {
                let Some(id) = self.transactional_id(number)? else {
                    return Ok(None);
                };
                let role = format!("coordinator of the transactions of {id}");
                ("__transaction_state", id, role)
            }
            Target::Group => {
                let role = format!("coordinator of group {APPLICATION}");
                ("__consumer_offsets", APPLICATION.to_owned(), role)
            }
        };
        let partitions = self.kafka.replicas(topic)?;
        let partition = partition_of(&name, partitions.len());
        Ok(found(&partitions, partition, role))
    }

    /// The id under which one of the group's members writes. One that was just killed may be among them, until it is put out.
    fn transactional_id(&self, number: usize) -> headwater::log::Result<Option<String>> {
        let groups = self.kafka.describe_groups(Some(APPLICATION))?;
        let members = groups.into_iter().flat_map(|group| group.members);
        let is_at_work = |tasks: &headwater::Tasks| !tasks.active.is_empty();
        let members = members.filter(|member| member.tasks.as_ref().is_some_and(is_at_work));
        // A member that started over writes under an id of its own as well: both names end alike.
        let mut ids: Vec<_> = members
            .map(|member| format!("{APPLICATION}-{}", member.member))
            .collect();
        ids.sort();
        let at = number.checked_rem(ids.len());
        Ok(at.map(|at| ids.swap_remove(at)))
    }
}

fn found(partitions: &[PartitionReplicas], partition: u32, role: String) -> Option<Found> {
    let mut partitions = partitions.iter();
    let leader = partitions.find(|it| it.partition == partition)?.leader?;
    let node = usize::try_from(leader - 1).ok()?;
    Some(Found { node, role })
}

/// The partition of an internal topic that keeps a name: Java's `hashCode` of it, without its sign (`partitionFor` of
/// `TransactionStateManager` and `GroupCoordinatorService`).
fn partition_of(name: &str, partitions: usize) -> u32 {
    let hash = name.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    let partitions = u32::try_from(partitions.max(1)).expect("as many as a topic has");
    hash.checked_abs().unwrap_or(0).unsigned_abs() % partitions
}

#[test]
fn a_name_lies_in_the_partition_that_java_says() {
    // `hashCode` is 3143222, -779815301 and `Integer.MIN_VALUE`.
    assert_eq!(partition_of("fire", 50), 22);
    assert_eq!(partition_of("headwater-state", 50), 1);
    assert_eq!(partition_of("polygenelubricants", 50), 0);
}
