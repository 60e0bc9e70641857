//! The conversation with a transaction's coordinator and, inside a transaction, with a group's: take an id, add, end.
//! Not the records: those go from the producer to their leaders. Invariant: an epoch is asked for anew only as the owner of the
//! latest one, so that a client that was replaced is refused and never replaces its successor.
//!
//! | | v2 (KIP-890, `transaction.version` 2) | v1 |
//! |---|---|---|
//! | partitions join | when written to | AddPartitionsToTxn first |
//! | offsets join | with TxnOffsetCommit | AddOffsetsToTxn first |
//! | after the end | the answer brings the next epoch | the epoch stays; after a lost EndTxn a new one is taken |

use crate::{
    cluster::{Cluster, CoordinatorKind},
    coordinator::{Asking, Refusal},
    membership::incarnation_of,
    producer::{Failure, Identity, UNKNOWN_PATIENCE_MS},
    protocol::{
        Capped, ErrorCode,
        add_offsets_to_txn::AddOffsetsToTxnRequest,
        add_partitions_to_txn::{
            AddPartitionsToTxnRequest, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
        },
        end_txn::{EndTxnRequest, EndTxnResponse},
        init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
        txn_offset_commit::{
            TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
            TxnOffsetCommitResponse,
        },
    },
};
use headwater_log::{CommitRequest, CommittedOffset, Error, TopicPartition};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};
use tokio::time::Instant;

/// The finalised level of this feature tells which protocol a cluster speaks.
const FEATURE: &str = "transaction.version";

/// One transactional id.
pub(crate) struct Transaction {
    cluster: Rc<Cluster>,
    /// As the first member of the client has it.
    base: String,
    id: RefCell<Rc<str>>,
    timeout_ms: i32,
    /// As of the last taking of the id: a transaction is ended as it was begun, whatever the cluster learns meanwhile.
    is_v2: Cell<bool>,
}

/// How EndTxn ended.
pub(crate) enum End {
    /// As asked; with the identity of the next transaction.
    Done {
        next: Identity,
        lost: bool,
    },
    /// The broker refused. With `lost`, an earlier try may have ended the transaction.
    Refused {
        code: ErrorCode,
        lost: bool,
    },
    /// No answer by the deadline.
    Unknown,
    /// It never left.
    NotSent(String),
    Fatal(Error),
}

impl Transaction {
    pub(crate) fn new(cluster: Rc<Cluster>, id: String, timeout_ms: u64) -> Self {
        Self {
            cluster,
            id: RefCell::new(id.as_str().into()),
            base: id,
            timeout_ms: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
            is_v2: Cell::new(false),
        }
    }

    /// Takes another name for what is written from here on; it is returned. The present one is never used again.
    pub(crate) fn rename(&self, incarnation: u32) -> String {
        let id = incarnation_of(&self.base, incarnation);
        *self.id.borrow_mut() = id.as_str().into();
        id
    }

    fn id(&self) -> Rc<str> {
        Rc::clone(&self.id.borrow())
    }

    /// True when the transaction at hand follows the newer protocol.
    pub(crate) fn is_v2(&self) -> bool {
        self.is_v2.get()
    }

    fn look_at_protocol(&self) {
        let level = self.cluster.feature(FEATURE);
        self.is_v2.set(level.is_some_and(|level| level >= 2));
    }

    fn asking<'a>(&'a self, kind: CoordinatorKind, key: &'a str, deadline: Instant) -> Asking<'a> {
        Asking {
            cluster: &self.cluster,
            kind,
            key,
            deadline,
            lost: Cell::new(false),
        }
    }

    fn asking_own<'a>(&'a self, id: &'a str, deadline: Instant) -> Asking<'a> {
        self.asking(CoordinatorKind::Transaction, id, deadline)
    }

    /// Takes the id, or as its owner (`held`) the next epoch. Ends a transaction that is open. `Failure::Epoch`: somebody else
    /// is the owner.
    pub(crate) async fn take(
        &self,
        held: Option<Identity>,
        deadline: Instant,
    ) -> Result<Identity, Failure> {
        if let Some(held) = held {
            // On v1 a broker that finds the transaction open fences the epoch that asks, and then refuses it for ever; on v2 so does
            // one that became coordinator meanwhile, since the log of transactions keeps no former epoch. An end it repeats. Where
            // somebody else is the owner it says so, and the answer below decides.
            let ended = self.end(held, false, deadline).await;
            if let End::Done { next, .. } = ended
                && self.is_v2()
            {
                return Ok(next);
            }
        }
        let id = self.id();
        let asking = self.asking_own(&id, deadline);
        let mut request = InitProducerIdRequest {
            transactional_id: Some(self.id().to_string()),
            transaction_timeout_ms: self.timeout_ms,
            producer_id: held.map_or(-1, |held| held.id),
            producer_epoch: held.map_or(-1, |held| held.epoch),
        };
        loop {
            let answer = asking.ask(&request, |answer: &InitProducerIdResponse| {
                answer.error_code
            });
            return match answer.await {
                Ok(answer) => {
                    self.look_at_protocol();
                    Ok(Identity {
                        id: answer.producer_id,
                        epoch: answer.producer_epoch,
                    })
                }
                // The broker has forgotten the id altogether (transactional.id.expiration.ms): nobody else holds it.
                Err(Refusal::Code(ErrorCode::INVALID_PRODUCER_ID_MAPPING)) if held.is_some() => {
                    request.producer_id = -1;
                    request.producer_epoch = -1;
                    continue;
                }
                Err(refusal) => Err(self.failure(refusal, "InitProducerId")),
            };
        }
    }

    /// v1: partitions join the transaction before anything is written to them.
    pub(crate) async fn add_partitions<'p>(
        &self,
        identity: Identity,
        partitions: impl Iterator<Item = &'p TopicPartition>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            let numbers = topics.entry(partition.topic.to_string()).or_default();
            numbers.push(partition.partition as i32);
        }
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.id().to_string(),
            v3_and_below_producer_id: identity.id,
            v3_and_below_producer_epoch: identity.epoch,
            v3_and_below_topics: topics
                .into_iter()
                .map(|(name, partitions)| AddPartitionsToTxnTopic { name, partitions })
                .collect(),
        };
        let id = self.id();
        let asking = self.asking_own(&id, deadline);
        let judge = Judge::default();
        let answer = asking.ask(&request, |answer| {
            let topics = &answer.results_by_topic_v3_and_below;
            let partitions = topics.iter().flat_map(|topic| &topic.results_by_partition);
            // OPERATION_NOT_ATTEMPTED only says that another one has the reason.
            let code = worst(partitions.map(|partition| partition.partition_error_code));
            judge.judge(topics, code)
        });
        match answer.await {
            Ok(_) => Ok(()),
            Err(refusal) => Err(match judge.error(&self.cluster, &id) {
                Some(error) => Failure::Refused(error),
                None => self.failure(refusal, "AddPartitionsToTxn"),
            }),
        }
    }

    /// The offsets join the transaction; here the group's coordinator checks the member, with its instance id where it is static.
    pub(crate) async fn add_offsets(
        &self,
        identity: Identity,
        group: &str,
        commit: (&CommitRequest, Option<String>),
        deadline: Instant,
    ) -> Result<(), Failure> {
        let (commit, instance) = commit;
        if !self.is_v2() {
            let request = AddOffsetsToTxnRequest {
                transactional_id: self.id().to_string(),
                producer_id: identity.id,
                producer_epoch: identity.epoch,
                group_id: group.to_owned(),
            };
            let id = self.id();
            let asking = self.asking_own(&id, deadline);
            if let Err(refusal) = asking.ask(&request, |answer| answer.error_code).await {
                return Err(self.failure(refusal, &format!("AddOffsetsToTxn for group '{group}'")));
            }
        }
        let (member, epoch) = match &commit.member {
            Some((member, epoch)) => (member.to_string(), epoch.0),
            None => (String::new(), -1),
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.id().to_string(),
            group_id: group.to_owned(),
            producer_id: identity.id,
            producer_epoch: identity.epoch,
            generation_id: epoch,
            member_id: member,
            group_instance_id: instance,
            topics: by_topic(&commit.offsets),
        };
        let asking = self.asking(CoordinatorKind::Group, group, deadline);
        let code = |answer: &TxnOffsetCommitResponse| {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            worst(partitions.map(|partition| partition.error_code))
        };
        let answer = match self.is_v2() {
            true => asking.ask(&request, code).await,
            false => asking.ask(&Capped::<_, 4>(request), code).await,
        };
        match answer {
            Ok(_) => Ok(()),
            Err(refusal) => {
                Err(self.failure(refusal, &format!("TxnOffsetCommit for group '{group}'")))
            }
        }
    }

    /// Ends the transaction.
    pub(crate) async fn end(&self, identity: Identity, committed: bool, deadline: Instant) -> End {
        let id = self.id();
        let asking = self.asking_own(&id, deadline);
        let request = EndTxnRequest {
            transactional_id: self.id().to_string(),
            producer_id: identity.id,
            producer_epoch: identity.epoch,
            committed,
        };
        let code = |answer: &EndTxnResponse| answer.error_code;
        let answer = match self.is_v2() {
            true => asking.ask(&request, code).await,
            false => asking.ask(&Capped::<_, 4>(request), code).await,
        };
        let lost = asking.lost.get();
        match answer {
            Ok(answer) if answer.producer_epoch >= 0 && answer.producer_id >= 0 => End::Done {
                next: Identity {
                    id: answer.producer_id,
                    epoch: answer.producer_epoch,
                },
                lost,
            },
            Ok(_) => End::Done {
                next: identity,
                lost,
            },
            Err(Refusal::Code(code)) => End::Refused { code, lost },
            Err(Refusal::Late(_)) if lost => End::Unknown,
            Err(Refusal::Late(reason)) => End::NotSent(reason),
            Err(Refusal::Fatal(_)) if lost => End::Unknown,
            Err(Refusal::Fatal(error)) => End::Fatal(error),
        }
    }

    fn failure(&self, refusal: Refusal, what: &str) -> Failure {
        match refusal {
            Refusal::Code(code) => failure_of(code, &format!("{what} of '{}'", self.id())),
            Refusal::Late(reason) => {
                Failure::Aborted(format!("{what} of '{}' got no answer: {reason}", self.id()))
            }
            Refusal::Fatal(error) => Failure::Refused(error),
        }
    }
}

/// What a coordinator says of single partitions, for whoever adds them.
#[derive(Default)]
struct Judge {
    /// Since when one is not known: one that was just created it may hear of a little later.
    since: Cell<Option<Instant>>,
    unknown: RefCell<Option<TopicPartition>>,
    /// Topics that may not be written to.
    denied: RefCell<Vec<String>>,
}

impl Judge {
    /// The code, or where patience has ended one after which nothing is asked again.
    fn judge(&self, topics: &[AddPartitionsToTxnTopicResult], code: ErrorCode) -> ErrorCode {
        if code == ErrorCode::TOPIC_AUTHORIZATION_FAILED {
            let is_denied = |topic: &&AddPartitionsToTxnTopicResult| {
                let mut partitions = topic.results_by_partition.iter();
                partitions.any(|partition| partition.partition_error_code == code)
            };
            let denied = topics.iter().filter(is_denied);
            *self.denied.borrow_mut() = denied.map(|topic| format!("'{}'", topic.name)).collect();
        }
        if code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
            self.since.set(None);
            return code;
        }
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        if since.elapsed().as_millis() < u128::from(UNKNOWN_PATIENCE_MS) {
            return code;
        }
        let mut partitions = topics.iter().flat_map(|topic| {
            let of_topic = topic.results_by_partition.iter();
            of_topic.map(|partition| (topic.name.as_str(), partition))
        });
        let unknown = partitions.find(|(_, partition)| partition.partition_error_code == code);
        *self.unknown.borrow_mut() = unknown.map(|(topic, partition)| {
            TopicPartition::new(topic, u32::try_from(partition.partition_index).unwrap_or(0))
        });
        ErrorCode::OPERATION_NOT_ATTEMPTED
    }

    /// Once patience has ended, or where there is nothing to be patient for.
    fn error(self, cluster: &Cluster, id: &str) -> Option<Error> {
        let denied = self.denied.into_inner();
        if !denied.is_empty() {
            return Some(Error::Invalid(format!(
                "the principal may not Write to {}: AddPartitionsToTxn of '{id}': {}",
                denied.join(", "),
                ErrorCode::TOPIC_AUTHORIZATION_FAILED
            )));
        }
        let partition = self.unknown.into_inner()?;
        Some(match cluster.partitions(&partition.topic) {
            Some(_) => Error::UnknownPartition(partition),
            None => Error::UnknownTopic(partition.topic.to_string()),
        })
    }
}

/// What a coordinator's code means for the commit.
pub(crate) fn failure_of(code: ErrorCode, what: &str) -> Failure {
    let said = format!("{what}: {code}");
    match code {
        ErrorCode::PRODUCER_FENCED | ErrorCode::INVALID_PRODUCER_EPOCH => Failure::Epoch(said),
        ErrorCode::UNKNOWN_MEMBER_ID
        | ErrorCode::ILLEGAL_GENERATION
        | ErrorCode::FENCED_MEMBER_EPOCH
        | ErrorCode::STALE_MEMBER_EPOCH
        | ErrorCode::FENCED_INSTANCE_ID
        | ErrorCode::GROUP_ID_NOT_FOUND => Failure::Member(said),
        ErrorCode::INVALID_TXN_STATE
        | ErrorCode::INVALID_PRODUCER_ID_MAPPING
        | ErrorCode::UNKNOWN_PRODUCER_ID
        | ErrorCode::TRANSACTION_ABORTABLE
        | ErrorCode::OPERATION_NOT_ATTEMPTED
        | ErrorCode::REBALANCE_IN_PROGRESS => Failure::Aborted(said),
        ErrorCode::GROUP_AUTHORIZATION_FAILED => Failure::Refused(Error::Invalid(format!(
            "the principal may not Read the group: {said}"
        ))),
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => Failure::Refused(Error::Invalid(format!(
            "the principal lacks a right on a topic: {said}"
        ))),
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => Failure::Refused(Error::Invalid(format!(
            "the principal may neither IdempotentWrite on the cluster nor Write to any topic: {said}"
        ))),
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => Failure::Refused(Error::Invalid(
            format!("the principal may not Write with its transactional id: {said}"),
        )),
        ErrorCode::OFFSET_METADATA_TOO_LARGE => Failure::Refused(Error::TooLarge(format!(
            "{said} (the broker's offset.metadata.max.bytes)"
        ))),
        _ => Failure::Refused(Error::Invalid(said)),
    }
}

/// The code that decides for all: a final one before a passing one.
pub(crate) fn worst(codes: impl Iterator<Item = ErrorCode>) -> ErrorCode {
    let rank = |code: &ErrorCode| match *code {
        ErrorCode::NONE => 0,
        ErrorCode::OPERATION_NOT_ATTEMPTED => 1,
        code if code.is_retriable() || code == ErrorCode::CONCURRENT_TRANSACTIONS => 2,
        _ => 3,
    };
    codes.max_by_key(rank).unwrap_or(ErrorCode::NONE)
}

fn by_topic(offsets: &[(TopicPartition, CommittedOffset)]) -> Vec<TxnOffsetCommitRequestTopic> {
    let mut topics: BTreeMap<&str, Vec<TxnOffsetCommitRequestPartition>> = BTreeMap::new();
    for (partition, committed) in offsets {
        let of_topic = topics.entry(&partition.topic).or_default();
        of_topic.push(TxnOffsetCommitRequestPartition {
            partition_index: partition.partition as i32,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch.unwrap_or(-1),
            committed_metadata: Some(committed.metadata.clone()),
        });
    }
    let topics = topics.into_iter();
    topics
        .map(|(name, partitions)| TxnOffsetCommitRequestTopic {
            name: name.to_owned(),
            partitions,
        })
        .collect()
}
