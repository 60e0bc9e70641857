//! One client of a memory log: its open batches, the positions it reads at, its requests under way, its membership.
//! Not shared: what others can see is in [`super::state`]. Invariant: all effects on the log happen in `poll`, `fetch`,
//! `group_event` and `leave`, never in `submit` or `append`.

mod failure;
mod reading;

use super::{
    Shared,
    hit::Hit,
    member::Member,
    request::{Context, Pending, Work, Writer},
    state::State,
    transaction::Batches,
};
use crate::{
    AppendRecord, Chunk, Client, ClientOptions, Completion, Error, GroupEvent, Guarantee, Host,
    Membership, Offset, Request, Result, Slot, TaskId, Ticket, TopicPartition,
    batch::{BatchBuilder, HEADER_LEN},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Bytes at which the open batch of a partition is sealed; Kafka's default of `max.message.bytes`.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes of the largest record, as in the embedded log.
const RECORD_BYTES_MAX: usize = 16 << 20;
/// Bytes of a record beyond key, value and headers, at most: lengths, deltas, attributes.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// One client.
pub(super) struct MemoryClient {
    shared: Arc<Shared>,
    number: u64,
    options: ClientOptions,
    writer: Writer,
    slots: Vec<Place>,
    names: BTreeMap<TopicPartition, Slot>,
    /// Slots with records that are not sent.
    dirty: Vec<Slot>,
    reading: Vec<Slot>,
    turn: usize,
    pending: Vec<Pending>,
    done: VecDeque<Completion>,
    /// Answers that were handed out before.
    repeated: VecDeque<Completion>,
    tickets: u64,
    open_bytes: usize,
    /// Bytes of commits under way, with their tickets.
    committing_bytes: VecDeque<(Ticket, usize)>,
    member: Option<Member>,
    /// The client was told that the outcome of its last commit is unknown, and has not settled it.
    in_doubt: bool,
}

/// A partition as this client sees it.
struct Place {
    name: TopicPartition,
    open: BatchBuilder,
    sealed: Vec<Vec<u8>>,
    position: Offset,
    end: Option<Offset>,
}

impl MemoryClient {
    pub(super) fn open(shared: &Arc<Shared>, options: ClientOptions) -> Self {
        let exactly_once = options.guarantee == Guarantee::ExactlyOnce;
        let now_ms = shared.world.clock.now_ms();
        let (number, writer) = shared.with(|state| {
            let id = options.transactional_id.as_deref();
            let key = (exactly_once || id.is_some()).then(|| state.open_producer(id, now_ms));
            let number = state.add_client(options.waker.clone());
            (number, Writer::new(key, exactly_once, state.kafka_like))
        });
        Self {
            shared: Arc::clone(shared),
            number,
            options,
            writer,
            slots: Vec::new(),
            names: BTreeMap::new(),
            dirty: Vec::new(),
            reading: Vec::new(),
            turn: 0,
            pending: Vec::new(),
            done: VecDeque::new(),
            repeated: VecDeque::new(),
            tickets: 0,
            open_bytes: 0,
            committing_bytes: VecDeque::new(),
            member: None,
            in_doubt: false,
        }
    }

    fn place(&mut self, slot: Slot) -> &mut Place {
        &mut self.slots[slot.0 as usize]
    }

    /// Takes all appended records as batches, in the order in which their partitions were first written.
    fn take_batches(&mut self) -> Batches {
        let key = self
            .writer
            .key
            .filter(|_| self.writer.eager && self.writer.exactly_once);
        let mut batches = Batches::new();
        for slot in std::mem::take(&mut self.dirty) {
            let place = &mut self.slots[slot.0 as usize];
            place.seal(key.map(|key| (key.id, key.epoch)));
            let sealed = place.sealed.drain(..);
            batches.extend(sealed.map(|bytes| (place.name.clone(), bytes)));
        }
        self.open_bytes = 0;
        batches
    }

    fn is_frozen(&self) -> bool {
        self.shared
            .with(|state| state.is_frozen(&self.options.client_id))
    }

    fn wake(&self) {
        if let Some(waker) = &self.options.waker {
            waker.wake_by_ref();
        }
    }

    /// Everything that moves at a poll.
    fn work(&mut self) {
        let shared = Arc::clone(&self.shared);
        let (now, now_ms) = (shared.world.clock.elapsed(), shared.world.clock.now_ms());
        let random = &*shared.world.random;
        shared.with(|state| {
            if state.is_frozen(&self.options.client_id) {
                return;
            }
            state.tick(now, now_ms, random);
            if let Some(member) = &mut self.member {
                member.beat(state, now, now_ms, random);
            }
            let ahead = self.sends_ahead(state);
            let batches = match ahead {
                true => self.take_batches(),
                false => Batches::new(),
            };
            let mut ctx = Context {
                state,
                writer: &mut self.writer,
                now,
                now_ms,
                random,
            };
            if ahead {
                ctx.send_ahead(batches);
            }
            let mut busy = false;
            let mut doomed = None;
            self.pending.retain_mut(|pending| {
                if busy && pending.is_ordered() {
                    return true;
                }
                if let (Some(error), true) = (&doomed, pending.is_commit()) {
                    pending.refuse(Error::clone(error));
                }
                let done = pending.poll(&mut ctx);
                busy |= pending.is_ordered() && done.is_none();
                if let (Some(Err(error)), true) =
                    (done.as_ref().map(|it| &it.result), pending.is_commit())
                {
                    doomed.get_or_insert_with(|| failure::after(error));
                }
                let stays = done.is_none();
                self.done.extend(done);
                stays
            });
            let mut pending = self.pending.iter();
            let moment = pending
                .find(|pending| pending.is_ordered())
                .map(|pending| pending.moment(&self.writer));
            state.stands(self.number, &self.options.client_id, moment);
            self.hear_ends(state);
        });
        let unheard = self.member.as_ref().is_some_and(Member::is_waiting);
        if !self.pending.is_empty() || !self.done.is_empty() || unheard {
            self.wake();
        }
    }

    /// Records go out ahead of their commit only where nothing of an earlier one is under way or in doubt.
    fn sends_ahead(&self, state: &State) -> bool {
        let mut names = self
            .dirty
            .iter()
            .map(|slot| &self.slots[slot.0 as usize].name);
        self.writer.eager
            && !self.writer.unsettled
            && !self.dirty.is_empty()
            && !self.pending.iter().any(Pending::is_ordered)
            && self.unheard_failure().is_none()
            && names.all(|name| state.is_available(name))
    }
}

impl Client for MemoryClient {
    fn submit(&mut self, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let mut refused = None;
        let work = match request {
            Request::Commit(request) => {
                self.committing_bytes.push_back((ticket, self.open_bytes));
                refused = self.unheard_failure();
                Work::Commit(request, self.take_batches())
            }
            Request::Abort => {
                self.take_batches();
                Work::Abort
            }
            Request::Settle => Work::Settle,
            other => Work::Ask(other),
        };
        let mut pending = Pending::new(ticket, work);
        if let Some(error) = refused {
            pending.refuse(error);
        }
        self.pending.push(pending);
        self.wake();
        ticket
    }

    fn poll(&mut self) -> Option<Completion> {
        self.work();
        if self.is_frozen() {
            return None;
        }
        let Some(done) = self.done.pop_front() else {
            return self.repeated.pop_front();
        };
        let moment = self.moment_of(&done);
        self.hand_out(&done);
        let repeats = |state: &mut State| {
            let repeats = state.dice.repeats_answer();
            if repeats {
                state.hit(Hit::RepeatedAnswer, moment);
            }
            repeats
        };
        if self.shared.with(repeats) {
            self.repeated.push_back(done.clone());
            self.wake();
        }
        Some(done)
    }

    fn slot(&mut self, partition: &TopicPartition) -> Slot {
        if let Some(slot) = self.names.get(partition) {
            return *slot;
        }
        let slot = Slot(self.slots.len() as u32);
        self.slots.push(Place {
            name: partition.clone(),
            open: BatchBuilder::default(),
            sealed: Vec::new(),
            position: 0,
            end: None,
        });
        self.names.insert(partition.clone(), slot);
        slot
    }

    fn partitions(&mut self, topic: &str) -> Option<u32> {
        let count = |state: &mut State| Some(state.topics.get(topic)?.partitions.len() as u32);
        self.shared.with(count)
    }

    fn read_from(&mut self, slot: Slot, position: Offset) {
        self.place(slot).position = position;
        if !self.reading.contains(&slot) {
            self.reading.push(slot);
        }
        self.wake();
    }

    fn stop_reading(&mut self, slot: Slot) {
        self.reading.retain(|reading| *reading != slot);
    }

    fn fetch(&mut self) -> Result<Option<Chunk>> {
        let shared = Arc::clone(&self.shared);
        let mut late = false;
        let chunk = shared.with(|state| match state.is_frozen(&self.options.client_id) {
            true => Ok(None),
            false => self.take_chunk(state, &mut late),
        });
        if late {
            self.wake();
        }
        chunk
    }

    fn end_offset(&self, slot: Slot) -> Option<Offset> {
        self.slots[slot.0 as usize].end
    }

    fn append(&mut self, slot: Slot, record: &AppendRecord<'_>) -> Result<()> {
        if self.in_doubt {
            return Err(Error::UnknownOutcome);
        }
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let bytes = RECORD_OVERHEAD_BYTES
            + length(record.key)
            + length(record.value)
            + record.headers.bytes.len();
        if bytes > RECORD_BYTES_MAX {
            return Err(Error::TooLarge(format!(
                "a record of {bytes} bytes for {}; {RECORD_BYTES_MAX} are allowed",
                self.place(slot).name
            )));
        }
        let (waiting, max) = (self.appended_bytes(), self.options.append_bytes_max);
        if waiting + bytes > max {
            return Err(Error::Unavailable(format!(
                "{waiting} of {max} bytes of appended records wait for their commit"
            )));
        }
        let key = self
            .writer
            .key
            .filter(|_| self.writer.eager && self.writer.exactly_once);
        let place = self.place(slot);
        let is_clean = place.open.is_empty() && place.sealed.is_empty();
        if place.open.len() + bytes > BATCH_BYTES {
            place.seal(key.map(|key| (key.id, key.epoch)));
        }
        let before = place.open.len();
        place.open.append(record);
        let grown = place.open.len() - before;
        self.open_bytes += grown;
        if is_clean {
            self.dirty.push(slot);
            if self.writer.eager {
                self.wake();
            }
        }
        Ok(())
    }

    fn appended_bytes(&self) -> usize {
        let committing = self.committing_bytes.iter().map(|(_, bytes)| bytes);
        self.open_bytes + committing.sum::<usize>()
    }

    fn join(&mut self, membership: Membership) -> Result<()> {
        membership.check()?;
        match &mut self.member {
            Some(member) if member.is(&membership) => member.change(membership),
            _ => {
                self.leave();
                self.member = Some(Member::new(membership));
            }
        }
        self.wake();
        Ok(())
    }

    fn own(&mut self, active: &[TaskId], standby: &[TaskId]) {
        if let Some(member) = &mut self.member {
            member.own(active, standby);
        }
        self.wake();
    }

    fn leave(&mut self) {
        if let Some(member) = self.member.take() {
            self.shared.with(|state| {
                if !state.is_frozen(&self.options.client_id) {
                    member.leave(state);
                }
            });
        }
    }

    fn stop_group(&mut self) {
        let now = self.shared.world.clock.elapsed();
        if let Some(member) = self.member.take() {
            self.shared.with(|state| {
                if !state.is_frozen(&self.options.client_id) {
                    member.stop_group(now, state);
                }
            });
        }
    }

    fn group_event(&mut self) -> Option<GroupEvent> {
        match self.is_frozen() {
            true => None,
            false => self.member.as_mut()?.next_event(),
        }
    }

    fn hosts(&mut self) -> Option<Vec<Host>> {
        match self.is_frozen() {
            true => None,
            false => self.member.as_mut()?.hosts(),
        }
    }
}

impl Drop for MemoryClient {
    /// A client that is dropped is a process that died: nobody is told, its transaction stays open and its member silent.
    fn drop(&mut self) {
        self.shared.with(|state| {
            state.stands(self.number, "", None);
            state.wakers.remove(&self.number)
        });
    }
}

impl Place {
    /// Ends the open batch, as the producer's where transactions are stored open.
    fn seal(&mut self, producer: Option<(i64, i16)>) {
        if self.open.is_empty() {
            return;
        }
        debug_assert!(self.open.len() > HEADER_LEN);
        self.sealed.push(match producer {
            Some((id, epoch)) => self.open.finish_as(id, epoch, -1, true),
            None => self.open.finish(),
        });
    }
}
