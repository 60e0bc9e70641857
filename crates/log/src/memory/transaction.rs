//! Producers and their transactions: who may write, what is stored but open, and how it ends.
//! Not the requests that lead here: see [`super::request`]. Invariant: a transaction ends once, and of one transactional id
//! only the newest client writes; the older ones are fenced at their next write.

use super::{marker::What, state::State};
use crate::{CommitRequest, CommittedOffset, Error, Receipt, Result, TopicPartition};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A producer as the log knows it.
pub(super) struct Producer {
    transactional_id: Option<String>,
    epoch: i16,
    open: Option<Transaction>,
    /// Its transaction was open for too long and is aborted, which it does not know yet.
    timed_out: bool,
}

/// Stored and neither committed nor aborted.
struct Transaction {
    since: Duration,
    /// One past the last record written, by partition.
    ends: BTreeMap<TopicPartition, i64>,
    /// Positions that become a group's with the commit.
    offsets: Vec<(Arc<str>, TopicPartition, CommittedOffset)>,
}

/// What a client calls itself when it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerKey {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// A producer's id and epoch in a batch or marker.
pub(super) type Producing = (i64, i16);

/// Sealed batches with their partitions.
pub(super) type Batches = Vec<(TopicPartition, Vec<u8>)>;

impl State {
    /// Registers a producer; an earlier one of the same transactional id is fenced and its open transaction aborted.
    pub(super) fn open_producer(
        &mut self,
        transactional_id: Option<&str>,
        now_ms: i64,
    ) -> ProducerKey {
        let known = transactional_id.and_then(|wanted| {
            let mut known = self.producers.iter();
            known.find(|(_, producer)| producer.transactional_id.as_deref() == Some(wanted))
        });
        let id = known.map_or(self.producers.len() as i64, |(id, _)| *id);
        let producer = self.producers.entry(id).or_insert_with(|| Producer {
            transactional_id: transactional_id.map(str::to_owned),
            epoch: -1,
            open: None,
            timed_out: false,
        });
        let (open, old_epoch) = (producer.open.take(), producer.epoch);
        // Wraps around after 32767 clients of one id, which no test opens.
        producer.epoch = producer.epoch.wrapping_add(1).max(0);
        producer.timed_out = false;
        let key = ProducerKey {
            id,
            epoch: producer.epoch,
        };
        if let Some(open) = open {
            self.end(
                ProducerKey {
                    id,
                    epoch: old_epoch,
                },
                open,
                false,
                now_ms,
            );
        }
        self.settle_all_of(id);
        key
    }

    /// Is this producer still the newest of its id, and its transaction still open?
    pub(super) fn check_producer(&self, key: ProducerKey) -> Result<()> {
        match self.producers.get(&key.id) {
            Some(producer) if producer.epoch == key.epoch => match producer.timed_out {
                true => Err(Error::Aborted(format!(
                    "the transaction was open for more than {} ms",
                    self.dice.faults.transaction_timeout_ms
                ))),
                false => Ok(()),
            },
            Some(Producer {
                transactional_id, ..
            }) => Err(Error::Fenced(format!(
                "a later client opened transactional id '{}'",
                transactional_id.as_deref().unwrap_or("none")
            ))),
            None => Err(Error::Fenced("the log does not know this producer".into())),
        }
    }

    /// Every partition of the batches and offsets must be there.
    pub(super) fn check_partitions(
        &self,
        batches: &Batches,
        request: &CommitRequest,
    ) -> Result<()> {
        let written = batches.iter().map(|(name, _)| name);
        let read = request.offsets.iter().map(|(name, _)| name);
        for name in written.chain(read) {
            self.partition(name)?;
        }
        match request.group {
            None if !request.offsets.is_empty() => {
                Err(Error::Invalid("offsets without a group".into()))
            }
            _ => Ok(()),
        }
    }

    /// Is the member that commits still the owner of what it commits?
    pub(super) fn check_member(&self, request: &CommitRequest) -> Result<()> {
        let (Some(group), Some((member, epoch))) = (&request.group, &request.member) else {
            return Ok(());
        };
        let partitions: Vec<_> = request
            .offsets
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        self.coordinator
            .validate(group, member, *epoch, &partitions)
    }

    /// Stores batches outside transactions and returns where they end.
    pub(super) fn store(
        &mut self,
        batches: Batches,
        ends: &mut BTreeMap<TopicPartition, i64>,
    ) -> Result<()> {
        self.news |= !batches.is_empty();
        for (name, bytes) in batches {
            let end = self.partition_mut(&name)?.append(bytes);
            ends.insert(name, end);
        }
        Ok(())
    }

    /// Stores batches in the producer's open transaction, which begins with the first.
    pub(super) fn store_open(
        &mut self,
        key: ProducerKey,
        batches: Batches,
        now: Duration,
    ) -> Result<()> {
        self.check_producer(key)?;
        self.settle_all_of(key.id);
        for (name, bytes) in batches {
            let end = self.partition_mut(&name)?.append_open(key.id, bytes);
            self.transaction(key, now).ends.insert(name, end);
            self.news = true;
        }
        Ok(())
    }

    /// Adds positions to the producer's open transaction.
    pub(super) fn add_offsets(
        &mut self,
        key: ProducerKey,
        request: &CommitRequest,
        now: Duration,
    ) -> Result<()> {
        self.check_producer(key)?;
        if let Some(group) = &request.group {
            let offsets = request.offsets.iter();
            let offsets = offsets.map(|(name, at)| (Arc::clone(group), name.clone(), at.clone()));
            let offsets: Vec<_> = offsets.collect();
            if !offsets.is_empty() {
                self.transaction(key, now).offsets.extend(offsets);
            }
        }
        Ok(())
    }

    /// Commits the producer's open transaction, if there is one.
    pub(super) fn commit_transaction(&mut self, key: ProducerKey, now_ms: i64) -> Result<Receipt> {
        self.check_producer(key)?;
        Ok(self
            .take_open(key)
            .map_or_else(Receipt::default, |open| self.end(key, open, true, now_ms)))
    }

    /// Aborts the producer's open transaction, if there is one. A fenced producer has none: whoever fenced it aborted that.
    pub(super) fn abort_transaction(&mut self, key: ProducerKey, now_ms: i64) {
        if let Some(producer) = self.producers.get_mut(&key.id)
            && producer.epoch == key.epoch
        {
            producer.timed_out = false;
            if let Some(open) = self.take_open(key) {
                self.end(key, open, false, now_ms);
            }
        }
    }

    fn take_open(&mut self, key: ProducerKey) -> Option<Transaction> {
        self.producers.get_mut(&key.id)?.open.take()
    }

    pub(super) fn set_positions(&mut self, request: &CommitRequest) {
        if let Some(group) = &request.group
            && !request.offsets.is_empty()
        {
            let positions = self.positions.entry(Arc::clone(group)).or_default();
            positions.extend(request.offsets.iter().cloned());
        }
    }

    /// True while a transaction holds positions of this group: a reader of positions has to wait for its end.
    pub(super) fn has_open_offsets(&self, group: &str) -> bool {
        let open = self
            .producers
            .values()
            .filter_map(|producer| producer.open.as_ref());
        self.owes_positions(group)
            || open
                .flat_map(|open| &open.offsets)
                .any(|(of, ..)| **of == *group)
    }

    /// Aborts what is open for too long. Its producer learns of it at its next write, which must not begin another transaction.
    pub(super) fn expire_transactions(&mut self, now: Duration, now_ms: i64) {
        let limit = Duration::from_millis(self.dice.faults.transaction_timeout_ms);
        let is_late = |open: &Transaction| now.saturating_sub(open.since) > limit;
        let mut ended = Vec::new();
        for (id, producer) in &mut self.producers {
            if let Some(open) = producer.open.take_if(|open| is_late(open)) {
                producer.timed_out = true;
                let epoch = producer.epoch;
                ended.push((ProducerKey { id: *id, epoch }, open));
            }
        }
        for (key, open) in ended {
            self.end(key, open, false, now_ms);
        }
    }

    fn transaction(&mut self, key: ProducerKey, now: Duration) -> &mut Transaction {
        let producer = self.producers.get_mut(&key.id);
        let producer = producer.expect("check_producer found it");
        producer.open.get_or_insert_with(|| Transaction {
            since: now,
            ends: BTreeMap::new(),
            offsets: Vec::new(),
        })
    }

    fn end(&mut self, key: ProducerKey, open: Transaction, commit: bool, now_ms: i64) -> Receipt {
        let producer = (key.id, key.epoch);
        for name in open.ends.keys() {
            self.settle(producer, commit, now_ms, What::Marker(name.clone()));
        }
        for (group, name, at) in open.offsets {
            self.settle(producer, commit, now_ms, What::Position(group, name, at));
        }
        self.news = true;
        Receipt {
            ends: open.ends.into_iter().collect(),
        }
    }
}
