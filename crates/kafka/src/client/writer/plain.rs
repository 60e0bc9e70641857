//! Commits at least once: records first, then offsets. Not a transaction: a crash in between replays.
//! Invariant: offsets are sent only after every record before them is acknowledged.

use super::{Doubt, Trouble, Writer};
use crate::{
    cluster::CoordinatorKind,
    coordinator::{Asking, Refusal},
    producer::{Failure, Identity},
    protocol::{
        Capped, ErrorCode,
        init_producer_id::InitProducerIdRequest,
        offset_commit::{
            OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
            OffsetCommitResponse,
        },
    },
    transaction::{failure_of, worst},
};
use headwater_log::{CommitRequest, Error, Receipt, Result};
use std::{cell::Cell, collections::BTreeMap};
use tokio::time::{Instant, sleep_until};

impl Writer {
    /// A producer id of its own for an idempotent producer.
    pub(super) async fn take_plain_identity(&self, deadline: Instant) -> Result<Identity, Failure> {
        let request = InitProducerIdRequest {
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        let mut attempt = 0;
        loop {
            let reason = match self.cluster.any(&request).await {
                Ok(answer) if answer.error_code.is_ok() => {
                    return Ok(Identity {
                        id: answer.producer_id,
                        epoch: answer.producer_epoch,
                    });
                }
                Ok(answer) if answer.error_code.is_retriable() => answer.error_code.to_string(),
                Ok(answer) => return Err(failure_of(answer.error_code, "InitProducerId")),
                Err(error) if !error.is_retriable() => {
                    return Err(Failure::Refused(error.to_log("InitProducerId")));
                }
                Err(error) => error.to_string(),
            };
            let until = Instant::now() + self.cluster.backoff(attempt);
            attempt += 1;
            if until >= deadline {
                return Err(Failure::Aborted(format!("no producer id: {reason}")));
            }
            sleep_until(until).await;
        }
    }

    pub(super) async fn commit_plainly(
        &self,
        request: CommitRequest,
        deadline: Instant,
    ) -> Result<Receipt, Trouble> {
        let written = self.producer.flush(deadline).await?;
        let receipt = self.receipt(&written, deadline).await?;
        if request.group.is_none() || request.offsets.is_empty() {
            return Ok(receipt);
        }
        match self.commit_offsets(&request, deadline).await {
            Ok(()) => Ok(receipt),
            Err((Refusal::Late(_), true)) => Err(Trouble::Unknown(Box::new(Doubt {
                identity: Identity { id: -1, epoch: -1 },
                request,
                written,
                receipt,
            }))),
            Err((Refusal::Late(reason), false)) => {
                Err(Failure::Aborted(format!("OffsetCommit: {reason}")).into())
            }
            Err((Refusal::Code(code), _)) => Err(failure_of(code, &offset_commit(&request)).into()),
            Err((Refusal::Fatal(error), _)) => Err(Failure::Refused(error).into()),
        }
    }

    /// The offsets again: they are the same, whether they arrived the first time or not.
    pub(super) async fn settle_plainly(&self, doubt: &Doubt) -> Result<()> {
        match self.commit_offsets(&doubt.request, self.deadline()).await {
            Ok(()) => Ok(()),
            Err((Refusal::Late(reason), _)) => Err(Error::TimedOut(reason)),
            Err((Refusal::Fatal(error), _)) => Err(error),
            Err((Refusal::Code(code), _)) => {
                Err(match failure_of(code, &offset_commit(&doubt.request)) {
                    Failure::Refused(error) => error,
                    Failure::Member(reason) => Error::Fenced(reason),
                    Failure::Aborted(reason) | Failure::Epoch(reason) => Error::Aborted(reason),
                })
            }
        }
    }

    /// With an error, whether a try may have arrived.
    async fn commit_offsets(
        &self,
        commit: &CommitRequest,
        deadline: Instant,
    ) -> Result<(), (Refusal, bool)> {
        let badged = (self.badge)(commit);
        let badged = badged.map_err(|_| (Refusal::Code(ErrorCode::FENCED_MEMBER_EPOCH), false))?;
        let is_classic = badged.as_ref().is_some_and(|badged| badged.is_classic);
        let commit = badged.as_ref().map_or(commit, |badged| &badged.commit);
        let group = commit.group.as_deref().unwrap_or_default();
        let (member, epoch) = match &commit.member {
            Some((member, epoch)) => (member.to_string(), epoch.0),
            None => (String::new(), -1),
        };
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (name, committed) in &commit.offsets {
            let of_topic = topics.entry(&name.topic).or_default();
            of_topic.push(OffsetCommitRequestPartition {
                partition_index: name.partition as i32,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch.unwrap_or(-1),
                committed_metadata: Some(committed.metadata.clone()),
            });
        }
        let request = OffsetCommitRequest {
            group_id: group.to_owned(),
            generation_id_or_member_epoch: epoch,
            member_id: member,
            group_instance_id: badged.as_ref().and_then(|badged| badged.instance.clone()),
            topics: topics
                .into_iter()
                .map(|(name, partitions)| OffsetCommitRequestTopic {
                    name: name.to_owned(),
                    partitions,
                    ..OffsetCommitRequestTopic::default()
                })
                .collect(),
        };
        let asking = Asking {
            cluster: &self.cluster,
            kind: CoordinatorKind::Group,
            key: group,
            deadline,
            lost: Cell::new(false),
        };
        let code = |answer: &OffsetCommitResponse| {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            worst(partitions.map(|partition| partition.error_code))
        };
        // Version 10 names topics by ids, which a position of a topic not yet heard of would lack.
        match asking.ask(&Capped::<_, 9>(request), code).await {
            Ok(_) => Ok(()),
            // A round of a classic group is under way: the worker still holds what it commits. Where it has been evicted, or another
            // is there under its instance id, its next heartbeat says so.
            Err(Refusal::Code(
                ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::FENCED_INSTANCE_ID,
            )) if is_classic => {
                let passing = Refusal::Code(ErrorCode::REBALANCE_IN_PROGRESS);
                Err((passing, asking.lost.get()))
            }
            Err(refusal) => Err((refusal, asking.lost.get())),
        }
    }
}

/// For messages.
fn offset_commit(request: &CommitRequest) -> String {
    let group = request.group.as_deref().unwrap_or_default();
    format!("OffsetCommit for group '{group}'")
}
