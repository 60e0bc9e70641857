//! What a coordinator tells of the group's endpoints, as hosts and tasks. Not the endpoints' own heartbeats.
//! Invariant: a partition that no sub-topology of ours reads says nothing of a task.

use crate::protocol::streams_group_heartbeat::{EndpointToPartitions, TopicPartition};
use headwater_log::{Host, Subtopology, TaskId};
use std::collections::BTreeMap;

/// The answer names partitions of source topics; each topic is read by one sub-topology, so they name tasks.
pub(super) fn hosts(
    subtopologies: &[Subtopology],
    endpoints: &[EndpointToPartitions],
) -> Vec<Host> {
    let mut reader_of: BTreeMap<&str, u32> = BTreeMap::new();
    for part in subtopologies {
        let repartitions = part.repartition_sources.iter().map(|topic| &topic.name);
        for topic in part.source_topics.iter().chain(repartitions) {
            reader_of.insert(topic, part.id);
        }
    }
    let tasks = |read: &[TopicPartition]| {
        let of_topic = |it: &TopicPartition| {
            let subtopology = reader_of.get(it.topic.as_str()).copied();
            let partitions = it.partitions.iter();
            let partitions = partitions.filter_map(|number| u32::try_from(*number).ok());
            let tasks = partitions.filter_map(|partition| {
                Some(TaskId {
                    subtopology: subtopology?,
                    partition,
                })
            });
            tasks.collect::<Vec<_>>()
        };
        read.iter().flat_map(of_topic).collect()
    };
    Host::merged(endpoints.iter().map(|told| Host {
        endpoint: told.user_endpoint.clone().into(),
        active: tasks(&told.active_partitions),
        standby: tasks(&told.standby_partitions),
    }))
}
