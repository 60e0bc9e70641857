//! One client of the embedded log: open batches, requests under way, answers. Not the reading of partitions: see [`super::reader`].
//! Invariant: what was appended goes with the next commit submitted, whole, or is dropped whole.

use super::{
    EmbeddedLog,
    core::{Core, lock},
    queue::{Commit, Sealed, Submission, Work},
    reader::Reading,
};
use crate::{
    AppendRecord, Chunk, Client, ClientOptions, CommitRequest, Completion, Error, GroupEvent, Host,
    Membership, Offset, Receipt, Request, Response, Result, Slot, TaskId, Ticket, TopicPartition,
    batch::BatchBuilder,
};
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};

/// Where the log leaves a client's answers.
pub(super) struct Mailbox {
    done: Mutex<VecDeque<(Ticket, Result<Response>)>>,
    /// Bytes of commits under way.
    committing: AtomicUsize,
    /// One more than the generation of the last commit that failed; 0 without one.
    failed: AtomicU64,
    waker: Option<Waker>,
}

impl Mailbox {
    pub(super) fn complete(&self, ticket: Ticket, result: Result<Response>, freed: usize) {
        self.committing.fetch_sub(freed, Ordering::AcqRel);
        lock(&self.done).push_back((ticket, result));
        self.wake();
    }

    /// True for a commit that was submitted before an earlier one's failure was handed out: it was computed from state that does not hold.
    pub(super) fn refuses(&self, generation: u64) -> bool {
        self.failed.load(Ordering::Acquire) > generation
    }

    /// Notes a failed commit. Called by the turn.
    pub(super) fn fail(&self, generation: u64) {
        self.failed.fetch_max(generation + 1, Ordering::AcqRel);
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// One partition as this client knows it.
pub(super) struct SlotState {
    pub(super) name: TopicPartition,
    open: BatchBuilder,
    sealed: Vec<(Vec<u8>, u32)>,
    pub(super) reading: Reading,
}

/// A client.
pub(super) struct EmbeddedClient {
    /// Keeps the log open.
    log: Arc<EmbeddedLog>,
    pub(super) options: ClientOptions,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) slots: Vec<SlotState>,
    numbers: FxHashMap<TopicPartition, Slot>,
    /// Slots with records since the last commit.
    appended: Vec<Slot>,
    /// Bytes of those records.
    open_bytes: usize,
    tickets: u64,
    /// Questions whose turn has not come.
    asked: FxHashMap<Ticket, Request>,
    /// Commits under way, each with whether it was a member's.
    commits: FxHashMap<Ticket, bool>,
    generation: u64,
    last_commit: Option<(Ticket, Option<Result<Receipt>>)>,
    producer: Option<(Arc<str>, u64)>,
    pub(super) member: super::membership::Member,
    pub(super) next_read: usize,
    pub(super) spare: Vec<Vec<u8>>,
}

impl EmbeddedClient {
    pub(super) fn new(log: Arc<EmbeddedLog>, options: ClientOptions) -> Self {
        let producer = options.transactional_id.as_deref().map(|id| {
            let mut producers = lock(&log.core.producers);
            let id: Arc<str> = id.into();
            let number = producers.entry(Arc::clone(&id)).or_insert(0);
            *number += 1;
            (id, *number)
        });
        let mailbox = Mailbox {
            done: Mutex::default(),
            committing: AtomicUsize::new(0),
            failed: AtomicU64::new(0),
            waker: options.waker.clone(),
        };
        Self {
            log,
            options,
            mailbox: Arc::new(mailbox),
            slots: Vec::new(),
            numbers: FxHashMap::default(),
            appended: Vec::new(),
            open_bytes: 0,
            tickets: 0,
            asked: FxHashMap::default(),
            commits: FxHashMap::default(),
            generation: 0,
            last_commit: None,
            producer,
            member: super::membership::Member::default(),
            next_read: 0,
            spare: Vec::new(),
        }
    }

    pub(super) fn core(&self) -> &Core {
        &self.log.core
    }

    fn commit(&mut self, request: CommitRequest) -> Work {
        let mut batches: Vec<Sealed> = Vec::with_capacity(self.appended.len());
        let mut bytes = 0;
        for slot in self.appended.drain(..) {
            let slot = &mut self.slots[slot.0 as usize];
            slot.seal();
            let sealed = std::mem::take(&mut slot.sealed);
            bytes += sealed.iter().map(|(batch, _)| batch.len()).sum::<usize>();
            batches.push((slot.name.clone(), sealed));
        }
        self.open_bytes = 0;
        self.mailbox.committing.fetch_add(bytes, Ordering::AcqRel);
        Work::Commit(Box::new(Commit {
            request,
            batches,
            bytes,
            generation: self.generation,
            producer: self.producer.clone(),
        }))
    }

    fn abort(&mut self) {
        for slot in self.appended.drain(..) {
            let slot = &mut self.slots[slot.0 as usize];
            slot.open.clear();
            slot.sealed.clear();
        }
        self.open_bytes = 0;
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// How the last commit ended. Everything before the question has been served, so the answer is known.
    fn settle(&self) -> Result<Response> {
        match &self.last_commit {
            Some((_, Some(Ok(receipt)))) => Ok(Response::Receipt(receipt.clone())),
            // It may be in the journal or not: only recovery tells.
            Some((_, Some(Err(error @ Error::Poisoned(_))))) => Err(error.clone()),
            Some((_, Some(Err(_)))) | None => Ok(Response::Aborted),
            Some((_, None)) => Err(Error::UnknownOutcome),
        }
    }

    /// A member whose commit was fenced starts over, unless it was its transactional id that another client took.
    fn fenced(&mut self, of_member: bool, reason: &str) {
        let producer = self.producer.as_ref();
        let replaced = producer
            .is_some_and(|(id, number)| lock(&self.core().producers).get(id) != Some(number));
        if replaced {
            self.stop_member(reason);
        } else if of_member {
            self.restart_member();
        }
    }

    fn finish(&mut self, ticket: Ticket, result: Result<Response>) -> Completion {
        if let Some((last, outcome)) = &mut self.last_commit
            && *last == ticket
        {
            *outcome = Some(match &result {
                Ok(Response::Receipt(receipt)) => Ok(receipt.clone()),
                Ok(_) => Ok(Receipt::default()),
                Err(error) => Err(error.clone()),
            });
        }
        if let (Some(of_member), Err(error)) = (self.commits.remove(&ticket), &result) {
            // Whatever was appended since was computed from state that does not hold.
            self.abort();
            self.generation += 1;
            if matches!(error, Error::Fenced(_)) {
                self.fenced(of_member, &error.to_string());
            }
        }
        let result = match (self.asked.remove(&ticket), result) {
            (Some(Request::Settle), Ok(_)) => self.settle(),
            (Some(question), Ok(_)) => self.core().answer(question),
            (_, result) => result,
        };
        Completion { ticket, result }
    }
}

impl SlotState {
    fn seal(&mut self) {
        let count = self.open.count();
        if count > 0 {
            self.sealed.push((self.open.finish(), count));
        }
    }
}

impl Client for EmbeddedClient {
    fn submit(&mut self, request: Request) -> Ticket {
        let ticket = self.next_ticket();
        let work = match request {
            Request::Commit(commit) => {
                self.last_commit = Some((ticket, None));
                self.commits.insert(ticket, commit.member.is_some());
                self.commit(commit)
            }
            Request::Abort => {
                self.abort();
                self.mailbox.complete(ticket, Ok(Response::Done), 0);
                return ticket;
            }
            question @ (Request::DescribeTopics(_)
            | Request::Offsets(_)
            | Request::CommittedOffsets { .. }
            | Request::ListGroups
            | Request::Settle) => {
                self.asked.insert(ticket, question);
                Work::Ask
            }
            change => Work::Change(change),
        };
        self.core().submit(Submission {
            mailbox: Some(Arc::clone(&self.mailbox)),
            ticket,
            work,
        });
        ticket
    }

    fn poll(&mut self) -> Option<Completion> {
        if !self.core().threaded {
            self.core().turn();
        }
        self.heartbeat();
        let (ticket, result) = lock(&self.mailbox.done).pop_front()?;
        Some(self.finish(ticket, result))
    }

    fn slot(&mut self, partition: &TopicPartition) -> Slot {
        if let Some(slot) = self.numbers.get(partition) {
            return *slot;
        }
        let slot = Slot(self.slots.len() as u32);
        self.numbers.insert(partition.clone(), slot);
        self.slots.push(SlotState {
            name: partition.clone(),
            open: BatchBuilder::default(),
            sealed: Vec::new(),
            reading: Reading::default(),
        });
        slot
    }

    fn partitions(&mut self, topic: &str) -> Option<u32> {
        let topic = self.core().state.topic(topic)?;
        Some(topic.partitions.len() as u32)
    }

    fn read_from(&mut self, slot: Slot, position: Offset) {
        self.start_reading(slot, position);
    }

    fn stop_reading(&mut self, slot: Slot) {
        self.end_reading(slot);
    }

    fn fetch(&mut self) -> Result<Option<Chunk>> {
        self.fetch_next()
    }

    fn end_offset(&self, slot: Slot) -> Option<Offset> {
        let slot = self.slots.get(slot.0 as usize)?;
        let partition = self.core().state.partition(&slot.name).ok()?;
        Some(partition.end())
    }

    fn recycle(&mut self, chunk: Chunk) {
        self.keep_buffer(chunk.bytes);
    }

    #[inline]
    fn append(&mut self, slot: Slot, record: &AppendRecord<'_>) -> Result<()> {
        let size = record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + record.headers.bytes.len();
        let options = &self.log.core.options;
        let Some(state) = self.slots.get_mut(slot.0 as usize) else {
            return Err(Error::Invalid(format!(
                "slot {} is not this client's",
                slot.0
            )));
        };
        if size > options.record_bytes_max {
            return Err(Error::TooLarge(format!(
                "a record of {size} bytes for {}; at most {} fit (record_bytes_max)",
                state.name, options.record_bytes_max
            )));
        }
        let waiting = self.open_bytes + self.mailbox.committing.load(Ordering::Relaxed);
        if waiting + size > self.options.append_bytes_max && waiting > 0 {
            return Err(Error::Unavailable(format!(
                "{waiting} bytes wait to be committed, at most {} may (append_bytes_max): commit first",
                self.options.append_bytes_max
            )));
        }
        // A batch over its limit only when one record is.
        if state.open.count() > 0 && state.open.len() + size > options.batch_bytes {
            state.seal();
        }
        if state.open.is_empty() && state.sealed.is_empty() {
            self.appended.push(slot);
        }
        let before = state.open.len();
        state.open.append(record);
        self.open_bytes += state.open.len() - before;
        Ok(())
    }

    fn appended_bytes(&self) -> usize {
        self.open_bytes + self.mailbox.committing.load(Ordering::Acquire)
    }

    fn join(&mut self, membership: Membership) -> Result<()> {
        self.join_group(membership)
    }

    fn own(&mut self, active: &[TaskId], standby: &[TaskId]) {
        self.own_tasks(active, standby);
    }

    fn leave(&mut self) {
        self.leave_group();
    }

    fn stop_group(&mut self) {
        self.stop_whole_group();
    }

    fn group_event(&mut self) -> Option<GroupEvent> {
        self.next_group_event()
    }

    fn hosts(&mut self) -> Option<Vec<Host>> {
        self.take_hosts()
    }
}

impl Drop for EmbeddedClient {
    fn drop(&mut self) {
        for number in 0..self.slots.len() {
            self.end_reading(Slot(number as u32));
        }
    }
}
