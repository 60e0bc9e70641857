//! Offsets looked up in partitions, and records deleted before one. Not positions of groups.
//! Invariant: answers come in the order asked, whatever order brokers answer in.

use super::{patience::Patience, refusal::of_topic};
use crate::cluster::{NodeId, RequestError};
use crate::protocol::{
    ErrorCode,
    delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic},
    list_offsets::{EARLIEST, LATEST, ListOffsetsRequest, READ_COMMITTED, READ_UNCOMMITTED},
};
use headwater_log::{Error, Offset, OffsetSpec, Result, TopicPartition};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One lookup: what is asked of a partition, by its place in the caller's list.
struct Lookup {
    place: usize,
    isolation: i8,
    timestamp: i64,
}

pub(super) async fn look_up(
    patience: &mut Patience<'_>,
    wanted: &[(TopicPartition, OffsetSpec)],
) -> Result<Vec<(TopicPartition, Offset)>> {
    require(patience, wanted.iter().map(|(partition, _)| partition)).await?;
    let mut found: Vec<Option<Offset>> = vec![None; wanted.len()];
    let mut lookups: Vec<Lookup> = wanted
        .iter()
        .enumerate()
        .map(|(place, (_, spec))| first_lookup(place, *spec))
        .collect();
    while !lookups.is_empty() {
        let mut later = Vec::new();
        let mut trouble = None;
        for ((node, isolation), batch) in batches(patience, wanted, lookups, &mut later) {
            let Some(node) = node else {
                trouble = Some("a partition has no leader".to_owned());
                later.extend(batch);
                continue;
            };
            let answered = ask(patience, node, isolation, wanted, &batch).await;
            for (lookup, answer) in batch.into_iter().zip(answered) {
                match answer {
                    Ok(-1) if lookup.timestamp >= 0 => later.push(Lookup {
                        // Nothing is as late: the end, as far as everybody may read.
                        timestamp: LATEST,
                        isolation: READ_COMMITTED,
                        ..lookup
                    }),
                    Ok(offset) => found[lookup.place] = Some(offset),
                    Err(error) => {
                        trouble = Some(judge(patience, &wanted[lookup.place].0, error)?);
                        later.push(lookup);
                    }
                }
            }
        }
        if let Some(reason) = trouble {
            patience.pause("looking up offsets", &reason).await?;
            require(patience, wanted.iter().map(|(partition, _)| partition)).await?;
        }
        lookups = later;
    }
    let offsets = wanted.iter().zip(found);
    Ok(offsets
        .filter_map(|((partition, _), offset)| Some((partition.clone(), offset?)))
        .collect())
}

fn first_lookup(place: usize, spec: OffsetSpec) -> Lookup {
    let (isolation, timestamp) = match spec {
        OffsetSpec::Start => (READ_UNCOMMITTED, EARLIEST),
        OffsetSpec::Stable => (READ_COMMITTED, LATEST),
        OffsetSpec::End => (READ_UNCOMMITTED, LATEST),
        // Below 0 are Kafka's special times.
        OffsetSpec::AtTime(ms) => (READ_COMMITTED, ms.max(0)),
    };
    Lookup {
        place,
        isolation,
        timestamp,
    }
}

/// Lookups by leader and isolation. A request may name a partition once; what is asked of it besides goes to `later`.
fn batches(
    patience: &Patience<'_>,
    wanted: &[(TopicPartition, OffsetSpec)],
    lookups: Vec<Lookup>,
    later: &mut Vec<Lookup>,
) -> BTreeMap<(Option<NodeId>, i8), Vec<Lookup>> {
    let mut batches: BTreeMap<_, Vec<Lookup>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    for lookup in lookups {
        let partition = &wanted[lookup.place].0;
        if !named.insert((lookup.isolation, partition)) {
            later.push(lookup);
            continue;
        }
        let leader = patience
            .cluster
            .leader(&partition.topic, partition.partition);
        let key = (leader.map(|leader| leader.node), lookup.isolation);
        batches.entry(key).or_default().push(lookup);
    }
    batches
}

type Answer = Result<Offset, Trouble>;

#[derive(Clone)]
enum Trouble {
    Code(ErrorCode),
    Lost(RequestError),
}

/// The answers to a batch, in its order.
async fn ask(
    patience: &Patience<'_>,
    node: NodeId,
    isolation_level: i8,
    wanted: &[(TopicPartition, OffsetSpec)],
    batch: &[Lookup],
) -> Vec<Answer> {
    let asked = batch.iter().map(|lookup| {
        let partition = &wanted[lookup.place].0;
        (&*partition.topic, index(partition), lookup.timestamp)
    });
    let request = ListOffsetsRequest::of(asked, isolation_level, patience.timeout_ms());
    let response = match patience.at(node, &request).await {
        Ok(response) => response,
        Err(error) => return vec![Err(Trouble::Lost(error)); batch.len()],
    };
    let mut told = BTreeMap::new();
    for topic in &response.topics {
        for partition in &topic.partitions {
            told.insert((topic.name.as_str(), partition.partition_index), partition);
        }
    }
    let answer = |lookup: &Lookup| {
        let partition = &wanted[lookup.place].0;
        match told.get(&(&*partition.topic, index(partition))) {
            Some(told) if told.error_code.is_ok() => Ok(told.offset),
            Some(told) => Err(Trouble::Code(told.error_code)),
            None => Err(Trouble::Code(ErrorCode::UNKNOWN_SERVER_ERROR)),
        }
    };
    batch.iter().map(answer).collect()
}

/// Why to try again, or that there is no use.
fn judge(patience: &Patience<'_>, partition: &TopicPartition, trouble: Trouble) -> Result<String> {
    patience
        .cluster
        .stale(&partition.topic, partition.partition);
    match trouble {
        Trouble::Lost(error) if error.is_retriable() => Ok(error.to_string()),
        Trouble::Lost(error) => Err(error.to_log("looking up offsets")),
        Trouble::Code(code) if code.is_retriable() => Ok(format!("{partition}: {code}")),
        Trouble::Code(code) => Err(of_topic(code, None, "Describe", &partition.topic)),
    }
}

/// All topics and partitions exist; the answers name the one that does not.
pub(super) async fn require<'a>(
    patience: &mut Patience<'_>,
    partitions: impl Iterator<Item = &'a TopicPartition>,
) -> Result<()> {
    let partitions: Vec<&TopicPartition> = partitions.collect();
    let topics: BTreeSet<Arc<str>> = partitions.iter().map(|it| it.topic.clone()).collect();
    let topics: Vec<Arc<str>> = topics.into_iter().collect();
    if !topics.is_empty() {
        patience.know(&topics).await?;
    }
    let beyond = partitions.into_iter().find(|partition| {
        let count = patience.cluster.partitions(&partition.topic);
        count.is_some_and(|count| partition.partition >= count)
    });
    match beyond {
        Some(partition) => Err(Error::UnknownPartition(partition.clone())),
        None => Ok(()),
    }
}

pub(super) fn index(partition: &TopicPartition) -> i32 {
    i32::try_from(partition.partition).unwrap_or(i32::MAX)
}

/// Deletes the records before each offset.
pub(super) async fn delete_before(
    patience: &mut Patience<'_>,
    starts: &[(TopicPartition, Offset)],
) -> Result<()> {
    require(patience, starts.iter().map(|(partition, _)| partition)).await?;
    for (partition, offset) in starts {
        // -1 is Kafka's word for the end.
        if *offset < 0 {
            return Err(out_of_range(patience, partition, *offset).await?);
        }
        delete_in(patience, partition, *offset).await?;
    }
    Ok(())
}

async fn delete_in(
    patience: &mut Patience<'_>,
    partition: &TopicPartition,
    offset: Offset,
) -> Result<()> {
    let tried = format!("deleting records of {partition}");
    loop {
        let code = match patience
            .cluster
            .leader(&partition.topic, partition.partition)
        {
            None => ErrorCode::LEADER_NOT_AVAILABLE,
            Some(leader) => {
                let request = DeleteRecordsRequest {
                    topics: vec![DeleteRecordsTopic {
                        name: partition.topic.to_string(),
                        partitions: vec![DeleteRecordsPartition {
                            partition_index: index(partition),
                            offset,
                        }],
                    }],
                    timeout_ms: patience.timeout_ms(),
                };
                match patience.at(leader.node, &request).await {
                    Ok(response) => {
                        let mut results = response.topics.iter().flat_map(|it| &it.partitions);
                        results
                            .next()
                            .map_or(ErrorCode::UNKNOWN_SERVER_ERROR, |it| it.error_code)
                    }
                    Err(error) => {
                        patience.survive(&tried, error).await?;
                        ErrorCode::NETWORK_EXCEPTION
                    }
                }
            }
        };
        match code {
            ErrorCode::NONE => return Ok(()),
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                return Err(out_of_range(patience, partition, offset).await?);
            }
            code if !code.is_retriable() => {
                return Err(of_topic(code, None, "Delete", &partition.topic));
            }
            code => {
                patience.pause(&tried, &code.to_string()).await?;
                require(patience, std::iter::once(partition)).await?;
            }
        }
    }
}

/// The error with the range that is held.
async fn out_of_range(
    patience: &mut Patience<'_>,
    partition: &TopicPartition,
    offset: Offset,
) -> Result<Error> {
    let wanted = [OffsetSpec::Start, OffsetSpec::End].map(|spec| (partition.clone(), spec));
    let held = look_up(patience, &wanted).await?;
    let at = |place: usize| held.get(place).map_or(0, |(_, offset)| *offset);
    Ok(Error::OffsetOutOfRange {
        partition: partition.clone(),
        offset,
        start: at(0),
        end: at(1),
    })
}
