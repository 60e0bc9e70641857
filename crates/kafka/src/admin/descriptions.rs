//! Groups of all kinds as operators see them: kind, state, topology, members with their tasks by role.
//! Not what `ListGroups` of the log's traits answers: see `groups`. Invariant: what a broker leaves out stays out.

use super::{
    groups::listed,
    java_assignment,
    patience::Patience,
    told::{Told, kind, told},
};
use crate::description::{GroupDescription, MemberDescription, SubtopologyDescription, Tasks};
use crate::membership::classic;
use crate::protocol::{consumer_group_describe, describe_groups, streams_group_describe};
use headwater_log::{Result, TaskId, TopicPartition};

/// The assignor of Kafka Streams in classic groups.
const JAVA_STREAMS: &str = "stream";

pub(super) async fn describe(
    patience: &mut Patience<'_>,
    name: Option<&str>,
) -> Result<Vec<GroupDescription>> {
    let mut listed = listed(patience).await?;
    if let Some(name) = name {
        listed.retain(|group, _| group == name);
    }
    let mut groups = Vec::with_capacity(listed.len());
    for (name, group) in listed {
        let mut description = GroupDescription {
            kind: kind(&group),
            state: group.group_state,
            group: name,
            ..GroupDescription::default()
        };
        fill_in(patience, &mut description).await?;
        description.members.sort_by(|a, b| a.member.cmp(&b.member));
        groups.push(description);
    }
    Ok(groups)
}

async fn fill_in(patience: &mut Patience<'_>, group: &mut GroupDescription) -> Result<()> {
    match told(patience, &group.group, &group.kind).await? {
        Told::Streams(told) => {
            group.state = told.group_state;
            group.epoch = Some(told.group_epoch);
            let topology = told.topology.and_then(|it| it.subtopologies);
            group.topology = topology.map(|all| all.into_iter().map(subtopology).collect());
            group.members = told.members.into_iter().map(streams_member).collect();
        }
        Told::Consumer(told) => {
            group.state = told.group_state;
            group.epoch = Some(told.group_epoch);
            group.assignor = Some(told.assignor_name);
            group.members = told.members.into_iter().map(consumer).collect();
        }
        Told::Classic(told) => {
            group.state = told.group_state;
            let members = told.members.into_iter();
            let members = members.map(|it| classic_member(it, &told.protocol_data));
            group.members = members.collect();
            group.assignor = Some(told.protocol_data).filter(|it| !it.is_empty());
        }
        Told::Nothing => {}
    }
    Ok(())
}

fn subtopology(told: streams_group_describe::Subtopology) -> SubtopologyDescription {
    let internal = |topics: Vec<streams_group_describe::TopicInfo>| {
        let topic = |topic: streams_group_describe::TopicInfo| {
            (topic.name, u32::try_from(topic.partitions).unwrap_or(0))
        };
        let mut topics: Vec<_> = topics.into_iter().map(topic).collect();
        topics.sort();
        topics
    };
    let mut description = SubtopologyDescription {
        id: told.subtopology_id,
        sources: told.source_topics,
        repartition_sources: internal(told.repartition_source_topics),
        repartition_sinks: told.repartition_sink_topics,
        changelogs: internal(told.state_changelog_topics),
    };
    description.sources.sort();
    description.repartition_sinks.sort();
    description
}

fn streams_member(told: streams_group_describe::Member) -> MemberDescription {
    MemberDescription {
        member: told.member_id,
        client_id: told.client_id,
        host: told.client_host,
        process: Some(told.process_id),
        endpoint: told.user_endpoint.map(|it| {
            let streams_group_describe::Endpoint { host, port } = it;
            headwater_log::Endpoint { host, port }.to_string()
        }),
        epoch: Some(told.member_epoch),
        tasks: Some(tasks(&told.assignment)),
        target: Some(tasks(&told.target_assignment)),
        ..MemberDescription::default()
    }
}

fn tasks(assignment: &streams_group_describe::Assignment) -> Tasks {
    Tasks {
        active: task_ids(&assignment.active_tasks),
        standby: task_ids(&assignment.standby_tasks),
        warmup: task_ids(&assignment.warmup_tasks),
    }
}

/// In order. Sub-topologies are named by their numbers, here and in Java.
pub(super) fn task_ids(told: &[streams_group_describe::TaskIds]) -> Vec<TaskId> {
    let mut tasks = Vec::new();
    for ids in told {
        let Ok(subtopology) = ids.subtopology_id.parse() else {
            continue;
        };
        let partitions = ids.partitions.iter();
        let partitions = partitions.filter_map(|it| u32::try_from(*it).ok());
        tasks.extend(partitions.map(|partition| TaskId {
            subtopology,
            partition,
        }));
    }
    tasks.sort_unstable();
    tasks
}

fn consumer(told: consumer_group_describe::Member) -> MemberDescription {
    let topics = told.assignment.topic_partitions.iter();
    let partitions = topics.flat_map(|topic| {
        let numbers = topic.partitions.iter();
        let numbers = numbers.filter_map(|it| u32::try_from(*it).ok());
        numbers.map(|it| TopicPartition::new(topic.topic_name.as_str(), it))
    });
    MemberDescription {
        partitions: partitions.collect(),
        member: told.member_id,
        client_id: told.client_id,
        host: told.client_host,
        epoch: Some(told.member_epoch),
        ..MemberDescription::default()
    }
}

/// An assignment is told only while the group is stable; one that cannot be read is left out.
fn classic_member(
    told: describe_groups::DescribedGroupMember,
    assignor: &str,
) -> MemberDescription {
    let assigned = classic::assigned(&told.member_assignment).ok();
    let (mut partitions, own) = assigned.unwrap_or_default();
    partitions.sort();
    let mut inputs = Vec::new();
    let tasks = match assignor {
        JAVA_STREAMS => java_assignment::tasks(&own).map(|(mut active, standby)| {
            if active.len() == partitions.len() {
                let pairs = active.iter().copied().zip(partitions.iter().cloned());
                inputs.extend(pairs);
            }
            active.sort_unstable();
            active.dedup();
            (active, standby)
        }),
        classic::PROTOCOL => classic::ordered(own).ok(),
        _ => None,
    };
    MemberDescription {
        member: told.member_id,
        client_id: told.client_id,
        host: told.client_host,
        tasks: tasks.map(|(active, standby)| Tasks {
            active,
            standby,
            warmup: Vec::new(),
        }),
        partitions,
        inputs,
        ..MemberDescription::default()
    }
}
