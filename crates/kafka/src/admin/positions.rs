//! Positions of groups read, set and forgotten from outside. Not those that go with a commit.
//! Invariant: a position under an open transaction is waited for, never passed over (`require_stable`).

use super::{
    endings,
    offsets::{index, require},
    patience::Patience,
    refusal::{of_group, of_topic},
};
use crate::protocol::{
    ErrorCode,
    offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_delete::{OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    offset_fetch::{
        OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
        OffsetFetchResponseGroup,
    },
};
use headwater_log::{CommittedOffset, Error, Result, TopicPartition};
use std::{collections::BTreeMap, time::Duration};

/// The last version that names topics; later ones have ids, which a topic that is gone no longer has.
const BY_NAME: i16 = 9;
/// A member that has just left may still be on its way out.
pub(super) const LEAVING_WAIT: Duration = Duration::from_secs(1);

type Committed = Vec<(TopicPartition, CommittedOffset)>;

/// Without `partitions`, all that have a position; commits that were decided before are waited for.
pub(super) async fn committed(
    patience: &mut Patience<'_>,
    group: &str,
    partitions: Option<&[TopicPartition]>,
) -> Result<Committed> {
    if group.is_empty() {
        return Ok(Vec::new());
    }
    if partitions.is_none() {
        endings::wait(patience, group).await?;
    }
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: partitions.map(by_topic),
            ..OffsetFetchRequestGroup::default()
        }],
        require_stable: true,
    };
    let tried = format!("reading positions of group '{group}'");
    loop {
        let mut response = match patience.coordinator(group, &request, BY_NAME).await {
            Ok(response) => response,
            Err(error) => {
                patience.survive(&tried, error).await?;
                continue;
            }
        };
        let Some(told) = response.groups.pop() else {
            return Err(Error::Unavailable(format!("{tried}: an empty answer")));
        };
        let mut found = Vec::new();
        match take(group, &told, &mut found)? {
            None => {
                let place = |wanted: &TopicPartition| {
                    partitions.and_then(|all| all.iter().position(|it| it == wanted))
                };
                found.sort_by_cached_key(|(partition, _)| (place(partition), partition.clone()));
                return Ok(found);
            }
            Some(code) => {
                if !patience.is_passing(group, code).await? {
                    return Err(of_group(code, None, "Describe", group));
                }
            }
        }
    }
}

/// Takes what is committed; a code when some of it cannot be told yet.
fn take(
    group: &str,
    told: &OffsetFetchResponseGroup,
    found: &mut Committed,
) -> Result<Option<ErrorCode>> {
    match told.error_code {
        ErrorCode::NONE => {}
        ErrorCode::GROUP_ID_NOT_FOUND => return Ok(None),
        code if code.is_retriable() => return Ok(Some(code)),
        code => return Err(of_group(code, None, "Describe", group)),
    }
    for topic in &told.topics {
        for partition in &topic.partitions {
            match partition.error_code {
                ErrorCode::NONE => {}
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => continue,
                code if code.is_retriable() => return Ok(Some(code)),
                code => return Err(of_topic(code, None, "Describe", &topic.name)),
            }
            let Ok(number) = u32::try_from(partition.partition_index) else {
                continue;
            };
            if partition.committed_offset < 0 {
                continue;
            }
            let at = CommittedOffset {
                offset: partition.committed_offset,
                leader_epoch: Some(partition.committed_leader_epoch).filter(|epoch| *epoch >= 0),
                metadata: partition.metadata.clone().unwrap_or_default(),
            };
            found.push((TopicPartition::new(topic.name.as_str(), number), at));
        }
    }
    Ok(None)
}

fn by_topic(partitions: &[TopicPartition]) -> Vec<OffsetFetchRequestTopics> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics
            .entry(&partition.topic)
            .or_default()
            .push(index(partition));
    }
    topics
        .into_iter()
        .map(|(name, partition_indexes)| OffsetFetchRequestTopics {
            name: name.into(),
            partition_indexes,
            ..OffsetFetchRequestTopics::default()
        })
        .collect()
}

pub(super) async fn set(
    patience: &mut Patience<'_>,
    group: &str,
    offsets: &[(TopicPartition, Option<CommittedOffset>)],
) -> Result<()> {
    if group.is_empty() {
        return Err(Error::Invalid("a group has a name".into()));
    }
    require(patience, offsets.iter().map(|(partition, _)| partition)).await?;
    let mut written: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    let mut forgotten: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for (partition, at) in offsets {
        let partition_index = index(partition);
        match at {
            Some(at) => {
                written
                    .entry(&partition.topic)
                    .or_default()
                    .push(OffsetCommitRequestPartition {
                        partition_index,
                        committed_offset: at.offset,
                        committed_leader_epoch: at.leader_epoch.unwrap_or(-1),
                        committed_metadata: Some(at.metadata.clone()),
                    })
            }
            None => forgotten
                .entry(&partition.topic)
                .or_default()
                .push(OffsetDeleteRequestPartition { partition_index }),
        }
    }
    if !written.is_empty() {
        write(patience, group, written).await?;
    }
    if !forgotten.is_empty() {
        forget(patience, group, forgotten).await?;
    }
    Ok(())
}

async fn write(
    patience: &mut Patience<'_>,
    group: &str,
    topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>>,
) -> Result<()> {
    let request = OffsetCommitRequest {
        group_id: group.into(),
        topics: topics
            .into_iter()
            .map(|(name, partitions)| OffsetCommitRequestTopic {
                name: name.into(),
                partitions,
                ..OffsetCommitRequestTopic::default()
            })
            .collect(),
        ..OffsetCommitRequest::default()
    };
    let tried = format!("setting positions of group '{group}'");
    loop {
        let response = match patience.coordinator(group, &request, BY_NAME).await {
            Ok(response) => response,
            Err(error) => {
                patience.survive(&tried, error).await?;
                continue;
            }
        };
        let refused = response.topics.iter().find_map(|topic| {
            let partition = topic.partitions.iter().find(|it| !it.error_code.is_ok())?;
            Some((topic.name.as_str(), partition.error_code))
        });
        let Some((topic, code)) = refused else {
            return Ok(());
        };
        if code == ErrorCode::TOPIC_AUTHORIZATION_FAILED {
            return Err(of_topic(code, None, "Read", topic));
        }
        if !is_worth_waiting(patience, group, code).await? {
            return Err(of_group(code, None, "Read", group));
        }
    }
}

async fn forget(
    patience: &mut Patience<'_>,
    group: &str,
    topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>>,
) -> Result<()> {
    let request = OffsetDeleteRequest {
        group_id: group.into(),
        topics: topics
            .into_iter()
            .map(|(name, partitions)| OffsetDeleteRequestTopic {
                name: name.into(),
                partitions,
            })
            .collect(),
    };
    let tried = format!("forgetting positions of group '{group}'");
    loop {
        let response = match patience.coordinator(group, &request, i16::MAX).await {
            Ok(response) => response,
            Err(error) => {
                patience.survive(&tried, error).await?;
                continue;
            }
        };
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let code = std::iter::once(response.error_code)
            .chain(partitions.map(|partition| partition.error_code))
            .find(|code| !code.is_ok());
        match code {
            // A group that never was has no positions.
            None | Some(ErrorCode::GROUP_ID_NOT_FOUND) => return Ok(()),
            Some(code) => {
                if !is_worth_waiting(patience, group, code).await? {
                    return Err(of_group(code, None, "Delete", group));
                }
            }
        }
    }
}

/// Waits for a coordinator, or shortly for members that are leaving.
pub(super) async fn is_worth_waiting(
    patience: &mut Patience<'_>,
    group: &str,
    code: ErrorCode,
) -> Result<bool> {
    let has_members = matches!(
        code,
        ErrorCode::NON_EMPTY_GROUP
            | ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
            | ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::REBALANCE_IN_PROGRESS
    );
    if has_members && patience.elapsed() < LEAVING_WAIT {
        patience
            .pause(&format!("group '{group}'"), &code.to_string())
            .await?;
        return Ok(true);
    }
    Ok(!has_members && patience.is_passing(group, code).await?)
}
