//! Topics made, changed, described and deleted. Not their records.
//! Invariant: a topic that was created is known to every broker that answers before its creation is told.

use super::{patience::Patience, refusal::of_topic};
use crate::description::PartitionReplicas;
use crate::protocol::{
    ErrorCode, Uuid,
    create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic},
    create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest},
    delete_topics::{DeleteTopicState, DeleteTopicsRequest},
    describe_configs::{DescribeConfigsRequest, DescribeConfigsResource},
    incremental_alter_configs::{
        AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    },
    metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic},
};
use headwater_log::{Error, NewTopic, Result, TopicConfig, TopicId, TopicInfo};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// `ConfigResource.Type.TOPIC`.
const TOPIC_RESOURCE: i8 = 2;
/// `ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG`: set for this topic, not a default.
const SET_FOR_TOPIC: i8 = 1;
/// `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
/// Topics whose settings are asked for at once.
const DESCRIBED_AT_ONCE: usize = 200;

/// One after the other, so that those before a refused one are there and those after it are not.
pub(super) async fn create(
    patience: &mut Patience<'_>,
    replication_factor: i16,
    topics: &[NewTopic],
) -> Result<()> {
    let mut refused = None;
    let mut created = 0;
    while created < topics.len() && refused.is_none() {
        match create_one(patience, replication_factor, &topics[created]).await {
            Ok(()) => created += 1,
            Err(error) => refused = Some(error),
        }
    }
    // Those before a refused one stay, and are known like any other when the refusal is told.
    for topic in &topics[..created] {
        wait_until_known(patience, topic).await?;
    }
    if let Some(error) = refused {
        if let Error::TopicExists(_) = error {
            // Somebody else may have made it a moment ago; who asked will use it next. That brokers are slow is no refusal.
            let topic = NewTopic {
                partitions: 1,
                ..topics[created].clone()
            };
            let _ = wait_until_known(patience, &topic).await;
        }
        return Err(error);
    }
    let names: Vec<Arc<str>> = topics
        .iter()
        .map(|topic| topic.name.as_str().into())
        .collect();
    patience.know(&names).await
}

async fn create_one(
    patience: &mut Patience<'_>,
    replication_factor: i16,
    topic: &NewTopic,
) -> Result<()> {
    let name = topic.name.as_str();
    let tried = format!("creating topic '{name}'");
    patience.is_lost = false;
    loop {
        let request = CreateTopicsRequest {
            topics: vec![creation(topic, replication_factor)?],
            timeout_ms: patience.timeout_ms(),
            validate_only: false,
        };
        let response = patience.any(&tried, &request).await?;
        let Some(result) = response.topics.first() else {
            return Err(Error::Unavailable(format!("{tried}: an empty answer")));
        };
        match result.error_code {
            ErrorCode::NONE => return Ok(()),
            // An earlier try of ours may have made it.
            ErrorCode::TOPIC_ALREADY_EXISTS if patience.is_lost => return Ok(()),
            code if code.is_retriable() || code == ErrorCode::THROTTLING_QUOTA_EXCEEDED => {
                patience.pause(&tried, &code.to_string()).await?;
            }
            code => {
                return Err(of_topic(
                    code,
                    result.error_message.as_deref(),
                    "Create",
                    name,
                ));
            }
        }
    }
}

/// What makes the topic.
pub(crate) fn creation(topic: &NewTopic, replication_factor: i16) -> Result<CreatableTopic> {
    let configs = topic.config.iter();
    Ok(CreatableTopic {
        name: topic.name.clone(),
        num_partitions: count(&topic.name, topic.partitions)?,
        replication_factor,
        configs: configs
            .map(|(name, value)| CreatableTopicConfig {
                name: name.clone(),
                value: Some(value.clone()),
            })
            .collect(),
        ..CreatableTopic::default()
    })
}

/// 0 is refused by the broker; what no broker can hold is refused here.
fn count(topic: &str, partitions: u32) -> Result<i32> {
    i32::try_from(partitions).map_err(|_| {
        Error::Invalid(format!(
            "topic '{topic}': {partitions} partitions are too many"
        ))
    })
}

/// Until each broker that answers knows the topic and a leader of each partition.
async fn wait_until_known(patience: &mut Patience<'_>, topic: &NewTopic) -> Result<()> {
    let tried = format!("waiting for topic '{}'", topic.name);
    let request = metadata_of(Some(std::slice::from_ref(&topic.name)));
    patience.know_brokers().await?;
    for node in patience.cluster.brokers() {
        loop {
            let Ok(response) = patience.at(node, &request).await else {
                break;
            };
            let is_known = response.topics.iter().all(|told| {
                told.error_code.is_ok()
                    && told.partitions.len() >= topic.partitions as usize
                    && told
                        .partitions
                        .iter()
                        .all(|partition| partition.leader_id >= 0)
            });
            if is_known {
                break;
            }
            patience
                .pause(&tried, "not known to every broker yet")
                .await?;
        }
    }
    Ok(())
}

pub(super) async fn delete(patience: &mut Patience<'_>, names: &[String]) -> Result<()> {
    for name in names {
        delete_one(patience, name).await?;
    }
    let names: Vec<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
    // What is gone is to be forgotten; that metadata may lag is no failure of the deletion.
    let _ = patience
        .cluster
        .refresh_by(&names, patience.deadline())
        .await;
    Ok(())
}

async fn delete_one(patience: &mut Patience<'_>, name: &str) -> Result<()> {
    let tried = format!("deleting topic '{name}'");
    patience.is_lost = false;
    loop {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.into()),
                topic_id: Uuid::ZERO,
            }],
            timeout_ms: patience.timeout_ms(),
        };
        let response = patience.any(&tried, &request).await?;
        let Some(result) = response.responses.first() else {
            return Err(Error::Unavailable(format!("{tried}: an empty answer")));
        };
        match result.error_code {
            ErrorCode::NONE => return Ok(()),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION if patience.is_lost => return Ok(()),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => return Err(Error::UnknownTopic(name.into())),
            code if code.is_retriable() || code == ErrorCode::THROTTLING_QUOTA_EXCEEDED => {
                patience.pause(&tried, &code.to_string()).await?;
            }
            code => {
                return Err(of_topic(
                    code,
                    result.error_message.as_deref(),
                    "Delete",
                    name,
                ));
            }
        }
    }
}

pub(super) async fn alter(
    patience: &mut Patience<'_>,
    topic: &str,
    changes: &BTreeMap<String, Option<String>>,
) -> Result<()> {
    patience.know(&[topic.into()]).await?;
    let tried = format!("changing topic '{topic}'");
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: topic.into(),
            configs: changes
                .iter()
                .map(|(name, value)| AlterableConfig {
                    name: name.clone(),
                    config_operation: if value.is_some() { SET } else { DELETE },
                    value: value.clone(),
                })
                .collect(),
        }],
        validate_only: false,
    };
    loop {
        let response = patience.any(&tried, &request).await?;
        let refused = response.responses.iter().find(|it| !it.error_code.is_ok());
        let Some(refused) = refused else {
            return Ok(());
        };
        let code = refused.error_code;
        if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION || !code.is_retriable() {
            return Err(of_topic(
                code,
                refused.error_message.as_deref(),
                "AlterConfigs",
                topic,
            ));
        }
        patience.pause(&tried, &code.to_string()).await?;
    }
}

pub(super) async fn grow(patience: &mut Patience<'_>, topic: &str, partitions: u32) -> Result<()> {
    patience.know(&[topic.into()]).await?;
    let tried = format!("adding partitions to topic '{topic}'");
    patience.is_lost = false;
    loop {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic.into(),
                count: count(topic, partitions)?,
                assignments: None,
            }],
            timeout_ms: patience.timeout_ms(),
            validate_only: false,
        };
        let response = patience.any(&tried, &request).await?;
        let Some(result) = response.results.first() else {
            return Err(Error::Unavailable(format!("{tried}: an empty answer")));
        };
        let code = result.error_code;
        if code == ErrorCode::INVALID_PARTITIONS && patience.is_lost {
            patience.know(&[topic.into()]).await?;
            if patience.cluster.partitions(topic) == Some(partitions) {
                return Ok(());
            }
        }
        if code.is_ok() {
            break;
        }
        let is_passing = code.is_retriable() || code == ErrorCode::THROTTLING_QUOTA_EXCEEDED;
        if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION || !is_passing {
            return Err(of_topic(
                code,
                result.error_message.as_deref(),
                "Alter",
                topic,
            ));
        }
        patience.pause(&tried, &code.to_string()).await?;
    }
    let grown = NewTopic {
        name: topic.into(),
        partitions,
        config: TopicConfig::new(),
    };
    wait_until_known(patience, &grown).await?;
    patience.know(&[topic.into()]).await
}

/// The topics that exist, by name, with what is set for them; all but the brokers' own when no names are given.
pub(super) async fn describe(
    patience: &mut Patience<'_>,
    names: Option<&[String]>,
) -> Result<Vec<TopicInfo>> {
    let request = metadata_of(names);
    let told = loop {
        let response = patience.any("describing topics", &request).await?;
        match passing(&response.topics) {
            Some((name, code)) => {
                let tried = format!("describing topic '{name}'");
                patience.pause(&tried, &code.to_string()).await?;
            }
            None => break response.topics,
        }
    };
    let mut topics = Vec::new();
    for topic in told {
        let Some(name) = topic.name else { continue };
        match topic.error_code {
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => continue,
            ErrorCode::NONE => {}
            // No topic can have such a name.
            ErrorCode::INVALID_TOPIC_EXCEPTION => continue,
            code => return Err(of_topic(code, None, "Describe", &name)),
        }
        if names.is_none() && topic.is_internal {
            continue;
        }
        topics.push(TopicInfo {
            name: name.into(),
            id: TopicId(topic.topic_id.0),
            partitions: u32::try_from(topic.partitions.len()).unwrap_or(0),
            config: TopicConfig::new(),
        });
    }
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    topics.dedup_by(|a, b| a.name == b.name);
    for some in topics.chunks_mut(DESCRIBED_AT_ONCE) {
        fill_in_settings(patience, some).await?;
    }
    Ok(topics)
}

/// Which brokers keep the partitions of a topic.
pub(super) async fn replicas(
    patience: &mut Patience<'_>,
    topic: &str,
) -> Result<Vec<PartitionReplicas>> {
    patience.know(&[topic.into()]).await?;
    let request = metadata_of(Some(&[topic.to_owned()]));
    let response = patience.any("describing topics", &request).await?;
    let told = response.topics.into_iter().flat_map(|it| it.partitions);
    let mut partitions: Vec<PartitionReplicas> = told
        .filter_map(|told| {
            Some(PartitionReplicas {
                partition: u32::try_from(told.partition_index).ok()?,
                leader: Some(told.leader_id).filter(|leader| *leader >= 0),
                replicas: told.replica_nodes,
                in_sync: told.isr_nodes,
            })
        })
        .collect();
    partitions.sort_by_key(|it| it.partition);
    Ok(partitions)
}

/// A topic that cannot be described yet.
fn passing(topics: &[MetadataResponseTopic]) -> Option<(String, ErrorCode)> {
    let passing = topics.iter().find(|topic| {
        topic.error_code.is_retriable() && topic.error_code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    })?;
    Some((passing.name.clone().unwrap_or_default(), passing.error_code))
}

async fn fill_in_settings(patience: &mut Patience<'_>, topics: &mut [TopicInfo]) -> Result<()> {
    let request = DescribeConfigsRequest {
        resources: topics
            .iter()
            .map(|topic| DescribeConfigsResource {
                resource_type: TOPIC_RESOURCE,
                resource_name: topic.name.to_string(),
                configuration_keys: None,
            })
            .collect(),
        ..DescribeConfigsRequest::default()
    };
    let tried = "describing settings of topics";
    let results = loop {
        let response = patience.any(tried, &request).await?;
        let passing = response.results.iter().find(|result| {
            result.error_code.is_retriable()
                && result.error_code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        });
        match passing {
            Some(result) => {
                let code = result.error_code.to_string();
                patience.pause(tried, &code).await?;
            }
            None => break response.results,
        }
    };
    let mut configs: HashMap<String, TopicConfig> = HashMap::new();
    for result in results {
        let name = result.resource_name;
        match result.error_code {
            // Deleted since, or not known to this broker yet: described without settings.
            ErrorCode::NONE | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {}
            code => {
                let message = result.error_message.as_deref();
                return Err(of_topic(code, message, "DescribeConfigs", &name));
            }
        }
        let set = result
            .configs
            .into_iter()
            .filter(|config| config.config_source == SET_FOR_TOPIC)
            .map(|config| (config.name, config.value.unwrap_or_default()));
        configs.insert(name, set.collect());
    }
    for topic in topics {
        topic.config = configs.remove(&*topic.name).unwrap_or_default();
    }
    Ok(())
}

fn metadata_of(names: Option<&[String]>) -> MetadataRequest {
    let topics = names.map(|names| {
        names
            .iter()
            .map(|name| MetadataRequestTopic {
                topic_id: Uuid::ZERO,
                name: Some(name.clone()),
            })
            .collect()
    });
    MetadataRequest {
        topics,
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}
