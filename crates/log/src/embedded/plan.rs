//! From requests to operations: checks a request against what the log holds and writes what it comes to into the open entry.
//! Nothing is applied here. Invariant: a commit that fails a check has placed nothing and written nothing.

use super::{
    compaction::Outcome,
    core::{Core, lock},
    entry::{self, Op},
    options::COMMIT_BYTES_MAX,
    policy::{Policy, check_name},
    queue::{Commit, Submission, Work},
    state::Topic,
};
use crate::{
    CommitRequest, Error, NewTopic, Offset, Receipt, Request, Response, Result, TopicId,
    TopicPartition, batch,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

impl Core {
    /// Writes the operations of one request into `payload`.
    pub(super) fn plan(&self, submission: &Submission, payload: &mut Vec<u8>) -> Result<Response> {
        match &submission.work {
            Work::Ask => Ok(Response::Done),
            Work::Commit(commit)
                if submission
                    .mailbox
                    .as_ref()
                    .is_some_and(|mailbox| mailbox.refuses(commit.generation)) =>
            {
                Err(Error::Unavailable(
                    "an earlier commit of this client failed: start over from what is committed"
                        .into(),
                ))
            }
            Work::Commit(commit) => self.plan_commit(commit, payload).map(Response::Receipt),
            Work::Change(request) => self.plan_change(request, payload).map(|()| Response::Done),
            Work::Expire(starts) => {
                for (name, start) in starts {
                    // The topic may be gone since retention looked at it.
                    if let Ok(partition) = self.state.partition(name)
                        && partition.start() < *start
                    {
                        move_start(payload, partition.topic, name, *start);
                    }
                }
                Ok(Response::Done)
            }
            Work::Compacted(outcome) => {
                self.plan_compacted(outcome, payload);
                Ok(Response::Done)
            }
        }
    }

    fn plan_commit(&self, commit: &Commit, payload: &mut Vec<u8>) -> Result<Receipt> {
        self.check_commit(commit)?;
        if commit.bytes > COMMIT_BYTES_MAX {
            return Err(Error::TooLarge(format!(
                "a commit of {} bytes; at most {COMMIT_BYTES_MAX} go at once: commit more often",
                commit.bytes
            )));
        }
        let mut targets = Vec::with_capacity(commit.batches.len());
        for (name, _) in &commit.batches {
            let topic = self.known(&name.topic)?;
            match topic.partitions.get(name.partition as usize).cloned() {
                Some(partition) => targets.push((topic, partition)),
                None => return Err(Error::UnknownPartition(name.clone())),
            }
        }
        for (name, _) in &commit.request.offsets {
            self.state.partition(name)?;
        }
        let now_ms = self.world.clock.now_ms();
        let mut receipt = Receipt::default();
        for ((name, batches), (topic, partition)) in commit.batches.iter().zip(&targets) {
            let mut rest = batches.as_slice();
            let mut end = 0;
            while let Some((first, _)) = rest.first() {
                // Runs of batches that stay in one segment are one operation and one write.
                let mark = payload.len();
                let bytes_at = begin_run(payload, topic, name, now_ms);
                let mut run = 0;
                for (bytes, count) in rest {
                    let size = bytes.len() as u64;
                    let records = i64::from(*count);
                    if run > 0 && partition.would_roll(&topic.policy, now_ms, size) {
                        break;
                    }
                    let (base, roll) = partition.place(&topic.policy, now_ms, records, size);
                    if run == 0 {
                        entry::set_roll(&mut payload[mark..], roll);
                    }
                    let at = payload.len();
                    payload.extend_from_slice(bytes);
                    batch::set_base_offset(&mut payload[at..], base);
                    end = base + records;
                    run += 1;
                }
                debug_assert!(run > 0 || first.is_empty());
                entry::set_len(payload, bytes_at);
                rest = &rest[run..];
            }
            receipt.ends.push((name.clone(), end));
        }
        if let Some(group) = &commit.request.group
            && !commit.request.offsets.is_empty()
        {
            let offsets = commit.request.offsets.iter();
            Op::Offsets {
                group,
                offsets: offsets
                    .map(|(name, committed)| (name.clone(), Some(committed.clone())))
                    .collect(),
            }
            .put(payload);
        }
        receipt.ends.sort();
        Ok(receipt)
    }

    /// Fencing, decided at the moment the commit is taken from the queue: what was valid at submission may not be so any more.
    fn check_commit(&self, commit: &Commit) -> Result<()> {
        if let Some((id, number)) = &commit.producer
            && lock(&self.producers).get(id) != Some(number)
        {
            return Err(Error::Fenced(format!(
                "a later client opened transactional id '{id}'"
            )));
        }
        let CommitRequest {
            group,
            member,
            offsets,
        } = &commit.request;
        match (group, member) {
            (Some(group), Some((member, epoch))) => {
                let names: Vec<_> = offsets.iter().map(|(name, _)| name.clone()).collect();
                self.membership.validate(group, member, *epoch, &names)
            }
            _ => Ok(()),
        }
    }

    fn known(&self, topic: &str) -> Result<Arc<Topic>> {
        self.state
            .topic(topic)
            .ok_or_else(|| Error::UnknownTopic(topic.to_owned()))
    }

    fn plan_change(&self, request: &Request, payload: &mut Vec<u8>) -> Result<()> {
        match request {
            Request::CreateTopics(topics) => {
                let mut created: Vec<&str> = Vec::new();
                for topic in topics {
                    if created.contains(&topic.name.as_str()) {
                        return Err(Error::TopicExists(topic.name.clone()));
                    }
                    self.plan_topic(topic, payload)?;
                    created.push(&topic.name);
                }
            }
            Request::DeleteTopics(names) => {
                // All are looked up first: an unknown one leaves the others alone. A set: named twice is deleted once.
                let names: BTreeSet<_> = names.iter().collect();
                let topics = names.iter().map(|name| self.known(name));
                for topic in topics.collect::<Result<Vec<_>>>()? {
                    Op::DeleteTopic { topic: topic.id }.put(payload);
                }
            }
            Request::AlterTopic { topic, config } => self.plan_alter(topic, config, payload)?,
            Request::CreatePartitions { topic, partitions } => {
                let found = self.known(topic)?;
                let known = found.partitions.len();
                if (*partitions as usize) <= known || *partitions > PARTITIONS_MAX {
                    return Err(Error::Invalid(format!(
                        "topic '{topic}' has {known} partitions; their number can only grow, up to {PARTITIONS_MAX}, not become {partitions}"
                    )));
                }
                Op::Partitions {
                    topic: found.id,
                    partitions: *partitions,
                }
                .put(payload);
            }
            Request::SetOffsets { group, offsets } => {
                self.membership.require_empty(group)?;
                for (name, _) in offsets {
                    self.state.partition(name)?;
                }
                Op::Offsets {
                    group,
                    offsets: offsets.clone(),
                }
                .put(payload);
            }
            Request::DeleteGroup(group) => {
                self.membership.require_empty(group)?;
                Op::DeleteGroup { group }.put(payload);
            }
            Request::DeleteRecords(starts) => self.plan_delete_records(starts, payload)?,
            other => return Err(Error::Invalid(format!("{other:?} changes nothing"))),
        }
        Ok(())
    }

    /// Writes the creation of one topic.
    pub(super) fn plan_topic(&self, topic: &NewTopic, payload: &mut Vec<u8>) -> Result<()> {
        check_name(&topic.name)?;
        if self.state.topic(&topic.name).is_some() {
            return Err(Error::TopicExists(topic.name.clone()));
        }
        if !(1..=PARTITIONS_MAX).contains(&topic.partitions) {
            return Err(Error::Invalid(format!(
                "topic '{}': {} partitions; use 1 to {PARTITIONS_MAX}",
                topic.name, topic.partitions
            )));
        }
        Policy::parse(&topic.name, &topic.config, &self.options)?;
        let random = &self.world.random;
        let id = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
        Op::CreateTopic {
            topic: TopicId(id),
            name: &topic.name,
            partitions: topic.partitions,
            config: topic.config.clone(),
        }
        .put(payload);
        Ok(())
    }

    fn plan_alter(
        &self,
        name: &str,
        changes: &BTreeMap<String, Option<String>>,
        payload: &mut Vec<u8>,
    ) -> Result<()> {
        let topic = self.known(name)?;
        let mut config = topic.config.clone();
        for (setting, value) in changes {
            match value {
                Some(value) => config.insert(setting.clone(), value.clone()),
                None => config.remove(setting),
            };
        }
        Policy::parse(name, &config, &self.options)?;
        Op::AlterTopic {
            topic: topic.id,
            config,
        }
        .put(payload);
        Ok(())
    }

    fn plan_delete_records(
        &self,
        starts: &[(TopicPartition, Offset)],
        payload: &mut Vec<u8>,
    ) -> Result<()> {
        let mut planned = Vec::with_capacity(starts.len());
        for (name, offset) in starts {
            let partition = self.state.partition(name)?;
            let (start, end) = (partition.start(), partition.end());
            // -1 is Kafka's "up to the end".
            let offset = if *offset == -1 { end } else { *offset };
            if !(0..=end).contains(&offset) {
                return Err(Error::OffsetOutOfRange {
                    partition: name.clone(),
                    offset,
                    start,
                    end,
                });
            }
            if offset > start {
                planned.push((partition.topic, name, offset));
            }
        }
        for (topic, name, offset) in planned {
            move_start(payload, topic, name, offset);
        }
        Ok(())
    }

    fn plan_compacted(&self, outcome: &Outcome, payload: &mut Vec<u8>) {
        if outcome.still_holds() {
            outcome.op().put(payload);
        } else {
            outcome.partition.compacting.fetch_sub(1, Ordering::AcqRel);
            // Doomed as of the entry before: any checkpoint may remove it.
            lock(&self.state.doomed).push((0, outcome.path.clone()));
        }
    }
}

/// Partitions of one topic: each is a directory.
const PARTITIONS_MAX: u32 = 100_000;

fn move_start(payload: &mut Vec<u8>, topic: TopicId, name: &TopicPartition, start: Offset) {
    Op::MoveStart {
        topic,
        partition: name.partition,
        start,
    }
    .put(payload);
}

/// Opens a run of batches; returns where its bytes begin.
fn begin_run(payload: &mut Vec<u8>, topic: &Topic, name: &TopicPartition, now_ms: i64) -> usize {
    entry::put_batches(payload, topic.id, name.partition, false, now_ms, 0);
    payload.len()
}
