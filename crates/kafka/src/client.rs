//! The `Client` of Apache Kafka: the side the worker sees. Open batches, chunks that have come, completions.
//! Not the network: a background thread does that, see [`io`]. Invariant: nothing here blocks, and no record costs a lock.

pub(crate) mod io;
mod reading;
pub(crate) mod shared;
#[cfg(test)]
mod tests;
pub(crate) mod writer;

use crate::{settings::Settings, watch::Watches};
use headwater_log::{
    AppendRecord, Chunk, Client, ClientOptions, Completion, Error, GroupEvent, Guarantee, Host,
    Membership, Offset, Request, Result, Slot, TaskId, Ticket, TopicPartition,
    batch::{BatchBuilder, HEADER_LEN},
};
use reading::Reading;
use rustc_hash::{FxHashMap, FxHashSet};
use shared::{Command, News, REQUESTS_UNDER_WAY_MAX, Shared, Write};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Bytes of a record beyond key, value and headers, at most: lengths, deltas, attributes.
const RECORD_OVERHEAD_BYTES: usize = 48;
/// How long dropping a client that left its group waits for the broker to be told.
const LEAVE_WAIT_MS_MAX: u64 = 1_000;
/// The same for one that has the whole group stop: see [`io`].
const STOP_WAIT_MS_MAX: u64 = 5_500;

/// A partition as the worker writes it.
struct Place {
    name: TopicPartition,
    open: BatchBuilder,
}

/// One client.
pub(crate) struct KafkaClient {
    shared: Arc<Shared>,
    append_bytes_max: usize,
    batch_bytes_max: usize,
    /// What one answer may bring of one partition, a single larger batch apart.
    partition_bytes_max: usize,
    slots: Vec<Place>,
    numbers: FxHashMap<TopicPartition, Slot>,
    /// Slots with records in their open batch.
    dirty: Vec<Slot>,
    /// Bytes of open batches.
    open_bytes: usize,
    tickets: u64,
    /// Requests without a completion.
    under_way: BTreeSet<Ticket>,
    commits: FxHashSet<Ticket>,
    done: VecDeque<Completion>,
    /// Grows with each failed commit handed out; what an earlier generation wrote is void.
    generation: u64,
    /// The caller was told that the outcome of its last commit is unknown, and has not settled it.
    in_doubt: bool,
    /// Readers need not wait for a commit.
    is_at_least_once: bool,
    reading: Reading,
    counts: FxHashMap<Arc<str>, Option<u32>>,
    events: VecDeque<GroupEvent>,
    /// Lists of tasks that the worker has taken, since the client was made.
    lists_taken: u64,
    hosts: Option<Vec<Host>>,
    /// How long dropping the client waits; `None` before it has left its group.
    leave_wait: Option<Duration>,
    over: Option<String>,
}

impl KafkaClient {
    /// Starts the background thread. Whether a broker can be reached shows in the first completion.
    pub(crate) fn open(
        settings: &Settings,
        mut options: ClientOptions,
        watches: &Watches,
    ) -> Result<Self> {
        if let Some(timeout) = settings.transaction_timeout {
            options.transaction_timeout_ms = timeout.as_millis().try_into().unwrap_or(u64::MAX);
        }
        let shared = Shared::new(options.waker.clone());
        let client = Self {
            shared: Arc::clone(&shared),
            append_bytes_max: options.append_bytes_max,
            batch_bytes_max: settings.batch_bytes_max.min(settings.request_bytes_max),
            partition_bytes_max: settings.fetch_partition_max_bytes.max(1) as usize,
            slots: Vec::new(),
            numbers: FxHashMap::default(),
            dirty: Vec::new(),
            open_bytes: 0,
            tickets: 0,
            under_way: BTreeSet::new(),
            commits: FxHashSet::default(),
            done: VecDeque::new(),
            generation: 0,
            in_doubt: false,
            is_at_least_once: options.guarantee == Guarantee::AtLeastOnce,
            reading: Reading::default(),
            counts: FxHashMap::default(),
            events: VecDeque::new(),
            lists_taken: 0,
            hosts: None,
            leave_wait: None,
            over: None,
        };
        io::start(settings.clone(), options, shared, watches.clone())?;
        Ok(client)
    }

    fn write(&self, write: Write) {
        self.shared.send(Command::Write(self.generation, write));
    }

    /// Ends the open batch of a slot and hands it over.
    #[cold]
    fn seal(&mut self, slot: Slot) -> Option<Command> {
        let open = &mut self.slots[slot.0 as usize].open;
        if open.is_empty() {
            return None;
        }
        let batch = open.take();
        self.open_bytes -= batch.len();
        self.shared.add_unacknowledged(batch.len());
        Some(Command::Write(self.generation, Write::Batch(slot, batch)))
    }

    /// Ends all open batches.
    fn seal_dirty(&mut self) -> Vec<Command> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.iter().filter_map(|slot| self.seal(*slot)).collect()
    }

    /// Hands over all open batches and what ends them, under one lock.
    fn seal_all(&mut self, then: Write) {
        let mut commands = self.seal_dirty();
        commands.push(Command::Write(self.generation, then));
        self.shared.send_all(commands);
    }

    fn clear_open(&mut self) {
        for slot in self.dirty.drain(..) {
            self.slots[slot.0 as usize].open.clear();
        }
        self.open_bytes = 0;
    }

    /// Takes in what the I/O thread told.
    fn hear(&mut self) {
        let Some(news) = self.shared.take_news() else {
            return;
        };
        let News {
            done,
            arrivals,
            ends,
            counts,
            events,
            hosts,
            over,
        } = news;
        self.done.extend(done);
        self.reading.hear(arrivals, &ends, &self.shared);
        for (topic, count) in counts {
            self.counts.insert(topic, Some(count));
        }
        self.events.extend(events);
        self.hosts = hosts.or(self.hosts.take());
        if let Some(reason) = over {
            self.end(reason);
        }
    }

    /// The thread has ended: so does every request.
    fn end(&mut self, reason: String) {
        let answered: BTreeSet<_> = self.done.iter().map(|done| done.ticket).collect();
        for ticket in self.under_way.difference(&answered) {
            self.done.push_back(Completion {
                ticket: *ticket,
                result: Err(Error::Unavailable(reason.clone())),
            });
        }
        self.over = Some(reason);
    }

    /// What a completion does at the moment the caller learns of it.
    fn hand_out(&mut self, done: &Completion) {
        self.under_way.remove(&done.ticket);
        use headwater_log::Response::{Aborted, Receipt};
        if let Ok(Receipt(_) | Aborted) = done.result {
            self.in_doubt = false;
        }
        let is_commit = self.commits.remove(&done.ticket);
        let (true, Err(error)) = (is_commit, &done.result) else {
            return;
        };
        // What was appended meanwhile was computed from what has failed.
        self.clear_open();
        self.generation += 1;
        self.write(Write::Discard);
        match error {
            Error::UnknownOutcome | Error::TimedOut(_) => self.in_doubt = true,
            Error::Fenced(_) => self.shared.send(Command::MemberFenced),
            _ => {}
        }
    }

    fn refuse(&mut self, ticket: Ticket, error: Error) {
        self.done.push_back(Completion {
            ticket,
            result: Err(error),
        });
    }
}

impl Client for KafkaClient {
    fn submit(&mut self, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        if let Request::Commit(_) = request {
            self.commits.insert(ticket);
        }
        if let Some(reason) = &self.over {
            let error = Error::Unavailable(reason.clone());
            self.refuse(ticket, error);
            return ticket;
        }
        if self.under_way.len() >= REQUESTS_UNDER_WAY_MAX {
            let error =
                Error::Unavailable(format!("{REQUESTS_UNDER_WAY_MAX} requests are under way"));
            self.refuse(ticket, error);
            return ticket;
        }
        self.under_way.insert(ticket);
        match request {
            Request::Commit(request) => self.seal_all(Write::Commit(ticket, request)),
            Request::Abort => {
                self.clear_open();
                self.write(Write::Abort(ticket));
            }
            Request::Settle => self.write(Write::Settle(ticket)),
            other => self.shared.send(Command::Ask(ticket, other)),
        }
        ticket
    }

    fn poll(&mut self) -> Option<Completion> {
        self.shared.sign_of_life();
        self.hear();
        let done = self.done.pop_front()?;
        self.hand_out(&done);
        Some(done)
    }

    fn slot(&mut self, partition: &TopicPartition) -> Slot {
        if let Some(slot) = self.numbers.get(partition) {
            return *slot;
        }
        let slot = Slot(self.slots.len() as u32);
        self.slots.push(Place {
            name: partition.clone(),
            open: BatchBuilder::default(),
        });
        self.reading.add();
        self.numbers.insert(partition.clone(), slot);
        self.shared.send(Command::Name(partition.clone()));
        slot
    }

    fn partitions(&mut self, topic: &str) -> Option<u32> {
        self.hear();
        if let Some(count) = self.counts.get(topic) {
            return *count;
        }
        let topic: Arc<str> = topic.into();
        self.counts.insert(Arc::clone(&topic), None);
        self.shared.send(Command::Watch(topic));
        None
    }

    fn read_from(&mut self, slot: Slot, position: Offset) {
        self.read_behind(slot, position, None);
    }

    fn read_behind(&mut self, slot: Slot, position: Offset, leader_epoch: Option<i32>) {
        self.hear();
        let generation = self.reading.start(slot, &self.shared);
        self.shared.send(Command::Read {
            slot,
            position,
            leader_epoch,
            generation,
        });
    }

    fn stop_reading(&mut self, slot: Slot) {
        self.hear();
        if self.reading.stop(slot, &self.shared) {
            self.shared.send(Command::StopReading(slot));
        }
    }

    fn hold(&mut self, slot: Slot) {
        self.hear();
        if !(self.reading).hold(slot, self.partition_bytes_max, &self.shared) {
            self.stop_reading(slot);
        }
    }

    fn release(&mut self, slot: Slot, position: Offset) {
        if !self.reading.release(slot, &self.shared) {
            self.read_from(slot, position);
        }
    }

    fn fetch(&mut self) -> Result<Option<Chunk>> {
        self.hear();
        self.reading.next(&self.shared)
    }

    fn end_offset(&self, slot: Slot) -> Option<Offset> {
        self.reading.end(slot)
    }

    fn recycle(&mut self, chunk: Chunk) {
        self.shared.keep_chunk(chunk.bytes);
    }

    #[inline]
    fn append(&mut self, slot: Slot, record: &AppendRecord<'_>) -> Result<()> {
        let size = record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + record.headers.bytes.len()
            + RECORD_OVERHEAD_BYTES;
        let Some(place) = self.slots.get_mut(slot.0 as usize) else {
            return Err(Error::Invalid(format!(
                "slot {} is not this client's",
                slot.0
            )));
        };
        let before = place.open.len();
        if before + size > self.batch_bytes_max || self.in_doubt {
            return self.append_slowly(slot, record, size);
        }
        let is_clean = place.open.is_empty();
        let held = self.open_bytes + self.shared.unacknowledged_bytes();
        if held + size + HEADER_LEN > self.append_bytes_max {
            return Err(too_much(held, self.append_bytes_max));
        }
        if let Some(bytes) = place.open.wants_bytes() {
            place.open.reuse(self.shared.spare_batch(bytes));
        }
        place.open.append(record);
        self.open_bytes += place.open.len() - if is_clean { 0 } else { before };
        if is_clean {
            self.dirty.push(slot);
        }
        Ok(())
    }

    fn holds_back(&self) -> bool {
        self.is_at_least_once && !self.in_doubt && !self.dirty.is_empty()
    }

    fn send_appended(&mut self) {
        if !self.holds_back() {
            return;
        }
        let batches = self.seal_dirty();
        self.shared.send_all(batches);
    }

    fn appended_bytes(&self) -> usize {
        self.open_bytes + self.shared.unacknowledged_bytes()
    }

    fn join(&mut self, membership: Membership) -> Result<()> {
        self.leave_wait = None;
        self.shared.send(Command::Join(membership));
        Ok(())
    }

    fn own(&mut self, active: &[TaskId], standby: &[TaskId]) {
        self.shared.send(Command::Own {
            lists: self.lists_taken,
            active: active.to_vec(),
            standby: standby.to_vec(),
        });
    }

    fn leave(&mut self) {
        self.leave_wait = Some(Duration::from_millis(LEAVE_WAIT_MS_MAX));
        self.shared.send(Command::Leave);
    }

    fn end_membership(&mut self) {
        self.leave_wait = Some(Duration::from_millis(LEAVE_WAIT_MS_MAX));
        self.shared.send(Command::End);
    }

    fn stop_group(&mut self) {
        self.leave_wait = Some(Duration::from_millis(STOP_WAIT_MS_MAX));
        self.shared.send(Command::StopGroup);
    }

    fn group_event(&mut self) -> Option<GroupEvent> {
        self.hear();
        let event = self.events.pop_front();
        self.lists_taken += u64::from(matches!(event, Some(GroupEvent::Assigned(_))));
        event
    }

    fn hosts(&mut self) -> Option<Vec<Host>> {
        self.hear();
        self.hosts.take()
    }
}

impl KafkaClient {
    /// The open batch is full, or nothing may be appended.
    #[cold]
    fn append_slowly(&mut self, slot: Slot, record: &AppendRecord<'_>, size: usize) -> Result<()> {
        if self.in_doubt {
            return Err(Error::UnknownOutcome);
        }
        if size + HEADER_LEN > self.batch_bytes_max {
            return Err(Error::TooLarge(format!(
                "a record of {size} bytes for {}; a batch holds at most {} (max.request.size, batch.size)",
                self.slots[slot.0 as usize].name, self.batch_bytes_max
            )));
        }
        if let Some(batch) = self.seal(slot) {
            self.dirty.retain(|dirty| *dirty != slot);
            self.shared.send(batch);
        }
        self.append(slot, record)
    }
}

#[cold]
fn too_much(held: usize, max: usize) -> Error {
    Error::Unavailable(format!(
        "{held} of {max} bytes of appended records wait to be acknowledged (append_bytes_max): commit, or wait"
    ))
}

impl Drop for KafkaClient {
    /// A client that is dropped is a process that died: nobody is told, unless it said that it leaves.
    fn drop(&mut self) {
        self.shared.close();
        if let Some(wait) = self.leave_wait {
            self.shared.wait_for_end(wait);
        }
    }
}
