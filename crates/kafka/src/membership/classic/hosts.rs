//! Who of a classic group answers for what, as its leader tells the members (`SubscriptionInfo.userEndPoint` and
//! `AssignmentInfo.partitionsByHost` of Kafka Streams). Not read by Java's members, nor theirs by ours. Invariant: what is told and
//! heard again is the same.

use super::embedded::{HostTasks, PartTasks};
use headwater_log::{Host, TaskId};
use std::collections::BTreeMap;

/// As it goes to members.
pub(super) fn told(hosts: &[Host]) -> Vec<HostTasks> {
    let hosts = hosts.iter();
    hosts
        .map(|host| HostTasks {
            endpoint: host.endpoint.clone().into(),
            active: parts(&host.active),
            standby: parts(&host.standby),
        })
        .collect()
}

/// As a member takes it.
pub(super) fn heard(told: Vec<HostTasks>) -> Vec<Host> {
    Host::merged(told.into_iter().map(|host| Host {
        endpoint: host.endpoint.into(),
        active: tasks(&host.active),
        standby: tasks(&host.standby),
    }))
}

fn parts(tasks: &[TaskId]) -> Vec<PartTasks> {
    let mut parts: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
    for task in tasks {
        let partition = i32::try_from(task.partition).unwrap_or(i32::MAX);
        parts.entry(task.subtopology).or_default().push(partition);
    }
    let parts = parts.into_iter();
    parts
        .map(|(subtopology, partitions)| PartTasks {
            subtopology: i32::try_from(subtopology).unwrap_or(i32::MAX),
            partitions,
        })
        .collect()
}

fn tasks(parts: &[PartTasks]) -> Vec<TaskId> {
    let tasks = parts.iter().flat_map(|part| {
        let partitions = part.partitions.iter();
        partitions.filter_map(|partition| {
            Some(TaskId {
                subtopology: u32::try_from(part.subtopology).ok()?,
                partition: u32::try_from(*partition).ok()?,
            })
        })
    });
    tasks.collect()
}
