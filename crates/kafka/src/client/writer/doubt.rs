//! A commit whose end was not heard of, and how its outcome is found. Not how it came about. Invariant: an outcome once found
//! is what the log holds: it is looked up only after the transaction has ended for good.
//!
//! 1. v2: EndTxn again. The broker answers a repetition as it answered the first.
//! 2. Refused, or v1: take the id as its owner; that ends whatever was open, and fences late copies. Refused again: replaced.
//! 3. Then the log tells: the partitions written list the transaction as aborted or not; without any, the committed offsets.

use super::{Last, Trouble, Writer};
use crate::{
    admin,
    cluster::Purpose,
    producer::{Failure, Identity, Written},
    protocol::{
        ErrorCode,
        fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData},
    },
    transaction::{End, Transaction},
};
use headwater_log::{
    CommitRequest, Error, Offset, OffsetSpec, Receipt, Request, Response, Result, TopicPartition,
};
use tokio::time::{Instant, sleep, timeout_at};

/// What has to be remembered of a commit to find its outcome.
#[derive(Clone)]
pub(super) struct Doubt {
    pub(super) identity: Identity,
    pub(super) request: CommitRequest,
    pub(super) written: Vec<Written>,
    pub(super) receipt: Receipt,
}

impl Writer {
    pub(super) async fn settle(&self) -> Result<Response> {
        let doubt = match &*self.last.borrow() {
            Last::None => return Ok(Response::Aborted),
            Last::Done(receipt) => return Ok(Response::Receipt(receipt.clone())),
            Last::InDoubt(doubt) => doubt.clone(),
        };
        let took_effect = match &self.transaction {
            Some(transaction) => self.settle_transaction(transaction, &doubt).await,
            None => self.settle_plainly(&doubt).await.map(|()| true),
        };
        let (last, answer) = match took_effect {
            Ok(true) => {
                let receipt = doubt.receipt.clone();
                (Last::Done(doubt.receipt), Ok(Response::Receipt(receipt)))
            }
            Ok(false) => (Last::None, Ok(Response::Aborted)),
            Err(error) => return Err(error),
        };
        *self.last.borrow_mut() = last;
        answer
    }

    async fn settle_transaction(&self, transaction: &Transaction, doubt: &Doubt) -> Result<bool> {
        let deadline = self.deadline();
        if transaction.is_v2() {
            match transaction.end(doubt.identity, true, deadline).await {
                End::Done { next, lost } => {
                    self.go_on(transaction, next, lost);
                    return Ok(true);
                }
                End::Refused { .. } => {}
                End::Unknown => return Err(Error::TimedOut("EndTxn, to settle".into())),
                End::NotSent(reason) => return Err(Error::TimedOut(reason)),
                End::Fatal(error) => return Err(error),
            }
        }
        self.identity.set(None);
        match self.take_identity(self.deadline()).await {
            Ok(_) => self.look(doubt).await,
            Err(Failure::Epoch(reason)) => Err(Error::Fenced(reason)),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Aborted(reason) | Failure::Member(reason)) => Err(Error::TimedOut(reason)),
        }
    }

    /// Finds in the log what has become of an ended transaction.
    async fn look(&self, doubt: &Doubt) -> Result<bool> {
        let deadline = self.deadline();
        for written in doubt.written.iter().filter(|written| written.first >= 0) {
            if let Some(outcome) = self
                .is_committed(written, doubt.identity.id, deadline)
                .await?
            {
                return Ok(outcome);
            }
        }
        let Some(group) = doubt.request.group.clone() else {
            return Err(Error::UnknownOutcome);
        };
        let partitions = doubt.request.offsets.iter();
        let question = Request::CommittedOffsets {
            group,
            partitions: Some(partitions.map(|(name, _)| name.clone()).collect()),
        };
        match admin::ask(&self.cluster, &self.settings, question).await? {
            Response::Committed(found) => Ok(doubt
                .request
                .offsets
                .iter()
                .all(|(name, wanted)| found.iter().any(|(it, at)| it == name && at == wanted))),
            other => Err(Error::Unavailable(format!(
                "no answer about offsets but {other:?}"
            ))),
        }
    }

    /// Whether a partition lists the transaction that began at `written.first` as aborted; `None` when its records are gone.
    async fn is_committed(
        &self,
        written: &Written,
        producer_id: i64,
        deadline: Instant,
    ) -> Result<Option<bool>> {
        let name = &written.partition;
        let mut attempt = 0;
        while Instant::now() < deadline {
            match self.peek(name, written.first, deadline).await {
                Some(found) if found.error_code == ErrorCode::OFFSET_OUT_OF_RANGE => {
                    return Ok(None);
                }
                Some(found)
                    if found.error_code.is_ok() && found.last_stable_offset > written.first =>
                {
                    let aborted = found.aborted_transactions.unwrap_or_default();
                    let is_aborted = aborted.iter().any(|transaction| {
                        transaction.producer_id == producer_id
                            && transaction.first_offset == written.first
                    });
                    return Ok(Some(!is_aborted));
                }
                _ => {}
            }
            self.cluster.stale(&name.topic, name.partition);
            drop(
                self.cluster
                    .refresh(std::slice::from_ref(&name.topic))
                    .await,
            );
            sleep(self.cluster.backoff(attempt)).await;
            attempt += 1;
        }
        Err(Error::TimedOut(format!(
            "{name}: looking for the outcome of a commit"
        )))
    }

    async fn peek(
        &self,
        name: &TopicPartition,
        offset: Offset,
        deadline: Instant,
    ) -> Option<PartitionData> {
        let leader = self.cluster.leader(&name.topic, name.partition)?;
        let request = FetchRequest {
            min_bytes: 0,
            max_bytes: 1,
            isolation_level: 1,
            topics: vec![FetchTopic {
                topic: name.topic.to_string(),
                topic_id: self.cluster.topic_id(&name.topic).unwrap_or_default(),
                partitions: vec![FetchPartition {
                    partition: name.partition as i32,
                    current_leader_epoch: leader.epoch,
                    fetch_offset: offset,
                    partition_max_bytes: 1,
                    ..FetchPartition::default()
                }],
            }],
            ..FetchRequest::default()
        };
        let asked = self.cluster.request(leader.node, Purpose::Admin, &request);
        let answer = timeout_at(deadline, asked).await.ok()?.ok()?;
        let topic = answer.responses.into_iter().next()?;
        topic.partitions.into_iter().next()
    }

    /// Where a partition ends, when the broker acknowledged a batch without saying where it is.
    pub(super) async fn end_of(
        &self,
        name: &TopicPartition,
        deadline: Instant,
    ) -> Result<Offset, Trouble> {
        let question = Request::Offsets(vec![(name.clone(), OffsetSpec::End)]);
        let asked = admin::ask(&self.cluster, &self.settings, question);
        match timeout_at(deadline, asked).await {
            Ok(Ok(Response::Offsets(found))) if found.len() == 1 => Ok(found[0].1),
            other => {
                Err(Failure::Aborted(format!("{name}: its end is not known: {other:?}")).into())
            }
        }
    }
}
