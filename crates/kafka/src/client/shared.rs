//! What the worker's side and the I/O thread of one client share: commands one way, news the other, and counters of bytes.
//! Not the work itself. Invariant: a lock is held for a few moves of whole batches or chunks, never across anything that waits.

use crate::spare::Spare;
use headwater_log::{
    Chunk, CommitRequest, Completion, Error, GroupEvent, Host, Membership, Offset, Request,
    Response, Result, Slot, TaskId, Ticket, TopicPartition,
};
use rustc_hash::FxHashMap;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Waker,
    time::Duration,
};
use tokio::sync::Notify;

/// Requests of one client that may be under way at once; one more ends at once with `Unavailable`.
pub(crate) const REQUESTS_UNDER_WAY_MAX: usize = 1_024;
/// Buffers kept for the next batch or chunk, each way, and the bytes in them.
const SPARE_BUFFERS_MAX: usize = 16;
const SPARE_BYTES_MAX: usize = 8 << 20;
/// Bytes that slots on hold may keep, what is on its way for them included. They count apart from what is read ahead for the
/// others: else slots on hold could use all of that up, and those that a task waits for would not be read.
const HELD_BYTES_MAX: usize = 16 << 20;

/// One thing for the I/O thread to do, in the order given.
pub(crate) enum Command {
    /// The next slot's name; slots are numbered in this order.
    Name(TopicPartition),
    /// Something for the writer, with the generation it was computed in.
    Write(u64, Write),
    /// A question or a change of the log.
    Ask(Ticket, Request),
    /// Reads from a position; chunks carry the generation back.
    Read {
        slot: Slot,
        position: Offset,
        /// Of the record before, where it is known.
        leader_epoch: Option<i32>,
        generation: u64,
    },
    StopReading(Slot),
    /// Keeps the number of partitions of a topic known.
    Watch(Arc<str>),
    Join(Membership),
    /// What the worker holds, having taken so many of the lists that it was told.
    Own {
        lists: u64,
        active: Vec<TaskId>,
        standby: Vec<TaskId>,
    },
    Leave,
    /// Leaves unless it is a static member, whose place is kept.
    End,
    /// Leaves, and has every member of the group stop.
    StopGroup,
    /// The commit of a member was refused: it leaves and joins anew, or stays out when the client itself was replaced.
    MemberFenced,
}

/// What the writer does, one after the other.
pub(crate) enum Write {
    /// A full batch, not stamped.
    Batch(Slot, Vec<u8>),
    Commit(Ticket, CommitRequest),
    Abort(Ticket),
    Settle(Ticket),
    /// A failed commit was handed out: what was written since is void.
    Discard,
}

/// Something for the reader of a slot.
pub(crate) enum Arrival {
    Chunk(Chunk),
    Failed(Error),
}

/// What the I/O thread has to tell.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) done: VecDeque<Completion>,
    /// By slot and generation, in order; bounded by the bytes that may be read ahead.
    pub(crate) arrivals: VecDeque<(Slot, u64, Arrival)>,
    /// The latest readable ends, with their generations.
    pub(crate) ends: FxHashMap<Slot, (u64, Offset)>,
    pub(crate) counts: FxHashMap<Arc<str>, u32>,
    pub(crate) events: VecDeque<GroupEvent>,
    /// The newest of the group's hosts.
    pub(crate) hosts: Option<Vec<Host>>,
    /// The thread has ended: nothing more will come.
    pub(crate) over: Option<String>,
}

#[derive(Default)]
struct Inbox {
    commands: VecDeque<Command>,
    closed: bool,
}

/// Bytes read ahead, in all without those on hold, and by slot.
#[derive(Default)]
struct Ahead {
    total: usize,
    /// Bytes set aside for slots on hold.
    held: usize,
    by_slot: Vec<OfSlot>,
}

#[derive(Clone, Copy, Default)]
struct OfSlot {
    bytes: usize,
    /// Set aside, while it is on hold.
    held: Option<usize>,
}

impl Ahead {
    fn of_slot(&mut self, slot: Slot) -> &mut OfSlot {
        let number = slot.0 as usize;
        if self.by_slot.len() <= number {
            self.by_slot.resize(number + 1, OfSlot::default());
        }
        &mut self.by_slot[number]
    }
}

/// Both sides hold it.
#[derive(Default)]
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    bell: Notify,
    news: Mutex<News>,
    has_news: AtomicBool,
    waker: Option<Waker>,
    /// Bytes of batches handed over and not yet acknowledged or dropped.
    unacknowledged: AtomicUsize,
    ahead: Mutex<Ahead>,
    /// Rung when bytes read ahead were taken.
    pub(crate) space: Notify,
    spare_batches: Spare<SPARE_BUFFERS_MAX, SPARE_BYTES_MAX>,
    spare_chunks: Spare<SPARE_BUFFERS_MAX, SPARE_BYTES_MAX>,
    /// The worker came by since the I/O thread last looked.
    is_alive: AtomicBool,
    ended: Mutex<bool>,
    end: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked moved whole values only.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(waker: Option<Waker>) -> Arc<Self> {
        Arc::new(Self {
            waker,
            ..Self::default()
        })
    }

    // The worker's side.

    pub(crate) fn send(&self, command: Command) {
        lock(&self.inbox).commands.push_back(command);
        self.bell.notify_one();
    }

    /// Several at once, under one lock.
    pub(crate) fn send_all(&self, commands: impl IntoIterator<Item = Command>) {
        lock(&self.inbox).commands.extend(commands);
        self.bell.notify_one();
    }

    /// Everything told since the last time; cheap when there is nothing.
    pub(crate) fn take_news(&self) -> Option<News> {
        // Acquire: pairs with the release in `tell`, so that whoever sees the flag sees the news.
        if !self.has_news.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(std::mem::take(&mut *lock(&self.news)))
    }

    pub(crate) fn unacknowledged_bytes(&self) -> usize {
        self.unacknowledged.load(Ordering::Acquire)
    }

    pub(crate) fn add_unacknowledged(&self, bytes: usize) {
        self.unacknowledged.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Bytes read ahead were handed out or dropped.
    pub(crate) fn taken(&self, slot: Slot, bytes: usize) {
        let mut ahead = lock(&self.ahead);
        let of_slot = ahead.of_slot(slot);
        of_slot.bytes = of_slot.bytes.saturating_sub(bytes);
        if of_slot.held.is_none() {
            ahead.total = ahead.total.saturating_sub(bytes);
        }
        drop(ahead);
        self.space.notify_one();
    }

    /// Puts a slot on hold, for which up to `coming` more bytes may be on their way; false when that is too much to keep.
    pub(crate) fn hold(&self, slot: Slot, coming: usize) -> bool {
        let mut ahead = lock(&self.ahead);
        let of_slot = ahead.of_slot(slot);
        let (bytes, is_held) = (of_slot.bytes, of_slot.held.is_some());
        let aside = bytes + coming;
        if is_held || ahead.held + aside > HELD_BYTES_MAX {
            return is_held;
        }
        ahead.of_slot(slot).held = Some(aside);
        ahead.held += aside;
        ahead.total = ahead.total.saturating_sub(bytes);
        true
    }

    /// Ends [`Shared::hold`]; false when there was none.
    pub(crate) fn release(&self, slot: Slot) -> bool {
        let mut ahead = lock(&self.ahead);
        let of_slot = ahead.of_slot(slot);
        let bytes = of_slot.bytes;
        let Some(aside) = of_slot.held.take() else {
            return false;
        };
        ahead.held -= aside;
        ahead.total += bytes;
        drop(ahead);
        self.space.notify_one();
        true
    }

    /// The worker is still there.
    pub(crate) fn sign_of_life(&self) {
        self.is_alive.store(true, Ordering::Relaxed);
    }

    pub(crate) fn close(&self) {
        lock(&self.inbox).closed = true;
        self.bell.notify_one();
    }

    /// Waits until the thread has ended, at most so long.
    pub(crate) fn wait_for_end(&self, at_most: Duration) {
        let ended = lock(&self.ended);
        if !*ended {
            drop(self.end.wait_timeout_while(ended, at_most, |ended| !*ended));
        }
    }

    pub(crate) fn spare_batch(&self, bytes: usize) -> Vec<u8> {
        self.spare_batches.take(bytes)
    }

    pub(crate) fn keep_chunk(&self, bytes: Vec<u8>) {
        self.spare_chunks.keep(bytes);
    }

    // The I/O thread's side.

    /// The commands that wait; `None` once the client was dropped and nothing waits.
    pub(crate) async fn commands(&self) -> Option<VecDeque<Command>> {
        loop {
            let heard = self.bell.notified();
            {
                let mut inbox = lock(&self.inbox);
                if !inbox.commands.is_empty() {
                    return Some(std::mem::take(&mut inbox.commands));
                }
                if inbox.closed {
                    return None;
                }
            }
            heard.await;
        }
    }

    pub(crate) fn take_sign_of_life(&self) -> bool {
        self.is_alive.swap(false, Ordering::Relaxed)
    }

    fn tell(&self, tell: impl FnOnce(&mut News)) {
        tell(&mut lock(&self.news));
        self.has_news.store(true, Ordering::Release);
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn complete(&self, ticket: Ticket, result: Result<Response>) {
        self.tell(|news| news.done.push_back(Completion { ticket, result }));
    }

    pub(crate) fn event(&self, event: GroupEvent) {
        self.tell(|news| news.events.push_back(event));
    }

    pub(crate) fn hosts(&self, hosts: Vec<Host>) {
        self.tell(|news| news.hosts = Some(hosts));
    }

    pub(crate) fn count(&self, topic: &Arc<str>, partitions: u32) {
        self.tell(|news| {
            news.counts.insert(Arc::clone(topic), partitions);
        });
    }

    pub(crate) fn arrived(&self, slot: Slot, generation: u64, arrivals: Vec<Arrival>) {
        let bytes_of = |arrival: &Arrival| match arrival {
            Arrival::Chunk(chunk) => chunk.bytes.len(),
            Arrival::Failed(_) => 0,
        };
        let bytes: usize = arrivals.iter().map(bytes_of).sum();
        let mut ahead = lock(&self.ahead);
        let of_slot = ahead.of_slot(slot);
        of_slot.bytes += bytes;
        if of_slot.held.is_none() {
            ahead.total += bytes;
        }
        drop(ahead);
        self.tell(|news| {
            let arrivals = arrivals.into_iter();
            news.arrivals
                .extend(arrivals.map(|arrival| (slot, generation, arrival)));
        });
    }

    pub(crate) fn ends_at(&self, slot: Slot, generation: u64, end: Offset) {
        self.tell(|news| {
            news.ends.insert(slot, (generation, end));
        });
    }

    /// Bytes read ahead: in all, and of this slot; `None` for one on hold, which is not to be read further.
    pub(crate) fn ahead(&self, slot: Slot) -> (usize, Option<usize>) {
        let ahead = lock(&self.ahead);
        let of_slot = ahead.by_slot.get(slot.0 as usize).copied();
        let of_slot = of_slot.unwrap_or_default();
        (ahead.total, of_slot.held.is_none().then_some(of_slot.bytes))
    }

    pub(crate) fn acknowledged(&self, bytes: usize) {
        self.unacknowledged.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(crate) fn keep_batch(&self, bytes: Vec<u8>) {
        self.spare_batches.keep(bytes);
    }

    pub(crate) fn spare_chunk(&self, bytes: usize) -> Vec<u8> {
        self.spare_chunks.take(bytes)
    }

    /// The thread ends, for this reason. What waited in the inbox is dropped.
    pub(crate) fn over(&self, reason: String) {
        self.tell(|news| news.over = Some(reason));
        *lock(&self.ended) = true;
        self.end.notify_all();
    }
}
