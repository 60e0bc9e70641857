//! The internal topics of an application that is new, made before its first member joins the streams group. Not a duty: what is not
//! made here the group's coordinator makes (KIP-1071).
//! Invariant: topics are what the coordinator would make, by the same rules as in a classic group.
//!
//! A coordinator that finds topics missing gives the member nothing, and assigns again only after
//! `group.streams.assignment.interval.ms`, a second by default, however soon the topics are there. It hears of new topics last of
//! all in a broker: metadata shows them first, then their partitions get leaders, then coordinators are told
//! (`BrokerMetadataPublisher`). So a member joins when the leaders serve, and a moment later.

use crate::{
    admin::creation,
    cluster::{Cluster, NodeId, Purpose},
    membership::classic,
    protocol::{
        ErrorCode,
        create_topics::CreateTopicsRequest,
        list_offsets::{LATEST, ListOffsetsRequest, READ_UNCOMMITTED},
    },
};
use headwater_log::{Membership, NewTopic};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// Between two looks at the leaders of what was made.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// From the last leader's service until the coordinator, told by the same thread of the broker, has heard.
const MOMENT: Duration = Duration::from_millis(25);
/// What a broker may take to make topics.
const MAKING_MS_MAX: i32 = 1_500;

/// Makes those that are missing, if all sources are there; failures are the coordinator's to tell.
pub(super) async fn make(cluster: &Cluster, replication_factor: i16, membership: &Membership) {
    let names = classic::topics(&membership.subtopologies);
    let names: Vec<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
    if cluster.refresh(&names).await.is_err() {
        return;
    }
    let counts = names.iter().filter_map(|name| {
        let partitions = cluster.partitions(name)?;
        Some((name.to_string(), partitions))
    });
    let missing = classic::missing(&membership.subtopologies, &counts.collect());
    if missing.is_empty() {
        return;
    }
    let creations = missing
        .iter()
        .map(|topic| creation(topic, replication_factor));
    let Ok(topics) = creations.collect() else {
        return;
    };
    let request = CreateTopicsRequest {
        topics,
        timeout_ms: MAKING_MS_MAX,
        validate_only: false,
    };
    let Ok(answer) = cluster.any(&request).await else {
        return;
    };
    let is_there = |code| code == ErrorCode::NONE || code == ErrorCode::TOPIC_ALREADY_EXISTS;
    if !answer.topics.iter().all(|told| is_there(told.error_code)) {
        return;
    }
    let names: Vec<Arc<str>> = missing
        .iter()
        .map(|topic| topic.name.as_str().into())
        .collect();
    loop {
        let known = cluster.refresh(&names).await.is_ok();
        if known && serve(cluster, &missing).await {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    sleep(MOMENT).await;
}

/// True when each partition has a leader that answers for it.
async fn serve(cluster: &Cluster, topics: &[NewTopic]) -> bool {
    let mut led: BTreeMap<NodeId, Vec<(&str, i32, i64)>> = BTreeMap::new();
    for topic in topics {
        for partition in 0..topic.partitions {
            let Some(leader) = cluster.leader(&topic.name, partition) else {
                return false;
            };
            let index = partition.try_into().unwrap_or(i32::MAX);
            let asked = led.entry(leader.node).or_default();
            asked.push((&topic.name, index, LATEST));
        }
    }
    for (node, asked) in led {
        let asked = asked.into_iter();
        let request = ListOffsetsRequest::of(asked, READ_UNCOMMITTED, MAKING_MS_MAX);
        let Ok(answer) = cluster.request(node, Purpose::Admin, &request).await else {
            return false;
        };
        let mut told = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if !told.all(|partition| partition.error_code.is_ok()) {
            return false;
        }
    }
    true
}
