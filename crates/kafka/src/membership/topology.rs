//! A topology as the coordinator compares it: equal, list by list, to what Java sends for the same program
//! (`StreamsGroupHeartbeatRequestManager`, `InternalTopologyBuilder.copartitionGroups`).
//! Not a check of the topology. Invariant: the order of what came does not show, but where two things share a bucket of a hash set.
//!
//! Lists are sorted by name, settings by key. Copartition groups alone stand in the order of Java's hash sets, inside and among
//! themselves, and a broker refuses a second member that has them in another.

use crate::protocol::streams_group_heartbeat::{
    CopartitionGroup, KeyValue, Subtopology as SubtopologyData, TopicInfo, Topology,
};
use headwater_log::{InternalTopic, Subtopology};
use std::collections::BTreeSet;

/// Buckets of an empty `java.util.HashSet`.
const BUCKETS_MIN: usize = 16;

/// What a member sends when it joins.
pub(super) fn topology(subtopologies: &[Subtopology], replication_factor: i16) -> Topology {
    let groups = subtopologies.iter().flat_map(|part| {
        let id = part.id;
        part.copartition_groups.iter().map(move |group| (id, group))
    });
    let groups = in_hash_order(groups.collect());
    let mut parts: Vec<_> = subtopologies
        .iter()
        .map(|part| {
            let own = groups.iter().filter(|(id, _)| *id == part.id);
            subtopology(part, own.map(|(_, group)| *group), replication_factor)
        })
        .collect();
    parts.sort_by(|a, b| a.subtopology_id.cmp(&b.subtopology_id));
    Topology {
        epoch: 0,
        subtopologies: parts,
    }
}

fn subtopology<'a>(
    part: &'a Subtopology,
    groups: impl Iterator<Item = &'a Vec<String>>,
    replication_factor: i16,
) -> SubtopologyData {
    let mut data = SubtopologyData {
        subtopology_id: part.id.to_string(),
        source_topics: sorted(&part.source_topics),
        state_changelog_topics: internal(&part.changelogs, replication_factor),
        repartition_sink_topics: sorted(&part.repartition_sinks),
        repartition_source_topics: internal(&part.repartition_sources, replication_factor),
        ..SubtopologyData::default()
    };
    data.copartition_groups = groups
        .map(|group| copartition_group(group, &data))
        .collect();
    data
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names
}

fn internal(topics: &[InternalTopic], replication_factor: i16) -> Vec<TopicInfo> {
    let mut topics: Vec<_> = topics
        .iter()
        .map(|topic| TopicInfo {
            name: topic.name.clone(),
            partitions: i32::try_from(topic.partitions).unwrap_or(i32::MAX),
            replication_factor,
            topic_configs: topic
                .config
                .iter()
                .map(|(key, value)| KeyValue {
                    key: key.clone(),
                    value: value.clone(),
                })
                .collect(),
        })
        .collect();
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics
}

/// Topics by their places in the lists of sources; one that is in neither is left out and refused by the broker.
fn copartition_group(topics: &[String], of: &SubtopologyData) -> CopartitionGroup {
    let mut topics: Vec<_> = topics.iter().collect();
    let buckets = buckets_for(topics.len());
    topics.sort_by_key(|topic| bucket(hash(topic), buckets));
    let mut group = CopartitionGroup::default();
    for topic in topics {
        let source = of.source_topics.iter().position(|name| name == topic);
        let mut repartitions = of.repartition_source_topics.iter();
        if let Some(place) = source {
            group.source_topics.push(place as i16);
        } else if let Some(place) = repartitions.position(|known| known.name == *topic) {
            group.repartition_source_topics.push(place as i16);
        }
    }
    group
}

/// The groups of all sub-topologies in the order of one `HashSet` of them, made with room for as many as there are topics.
fn in_hash_order(mut groups: Vec<(u32, &Vec<String>)>) -> Vec<(u32, &Vec<String>)> {
    let topics: BTreeSet<_> = groups.iter().flat_map(|(_, group)| *group).collect();
    let room = topics.len() * 4 / 3 + 1;
    let buckets = room.max(BUCKETS_MIN).next_power_of_two();
    groups.sort_by_key(|(_, group)| {
        let sum = group
            .iter()
            .fold(0u32, |sum, topic| sum.wrapping_add(hash(topic)));
        bucket(sum, buckets)
    });
    groups
}

/// Buckets of a `HashSet` that has grown to this many elements.
fn buckets_for(elements: usize) -> usize {
    let mut buckets = BUCKETS_MIN;
    while elements > buckets / 4 * 3 {
        buckets *= 2;
    }
    buckets
}

fn bucket(hash: u32, buckets: usize) -> usize {
    (hash ^ (hash >> 16)) as usize & (buckets - 1)
}

/// `String.hashCode`.
fn hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    })
}
