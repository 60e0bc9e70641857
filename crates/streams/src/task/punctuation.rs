//! Punctuation: calls that a processor asked for, by stream time or by the wall clock. Not durable timers.
//! Invariant: missed intervals collapse into one call, as in Kafka Streams; equal times are called in the order of Java's
//! priority queue.

use super::Context;
use crate::Result;
use std::{cell::Cell, rc::Rc};

/// Which clock drives a punctuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PunctuationKind {
    /// The largest timestamp the task has processed; aligned to the epoch, first when it becomes known.
    StreamTime,
    /// The wall clock; first after one interval.
    WallClock,
}

/// A call of [`crate::Processor::punctuate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Punctuation {
    /// The clock.
    pub kind: PunctuationKind,
    /// Its time, ms since the epoch.
    pub time: i64,
    /// The interval asked for, in ms.
    pub interval_ms: i64,
    /// The schedule; [`crate::Scheduled::made`] compares it.
    pub(crate) schedule: usize,
}

/// A processor of the application behind its types.
pub(crate) trait Punctuate {
    fn open(&self, ctx: &mut Context<'_>, processor: usize) -> Result<()>;
    fn punctuate(&self, ctx: &mut Context<'_>, punctuation: Punctuation) -> Result<()>;
    fn close(&self, ctx: &mut Context<'_>) -> Result<()>;
}

/// A processor with timers.
pub(crate) trait FireTimers {
    /// Calls the timers of `clock` that are due at `time`; answers how many.
    fn fire(&self, ctx: &mut Context<'_>, clock: PunctuationKind, time: i64) -> Result<u64>;
}

/// A call that is to come.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) processor: usize,
    pub(crate) kind: PunctuationKind,
    pub(crate) interval_ms: i64,
    pub(crate) next: i64,
    /// Given by [`Schedules::add`].
    pub(crate) number: usize,
    pub(crate) cancelled: Rc<Cell<bool>>,
}

impl Schedule {
    /// True when a call is due at `time`; an unknown time, -1, makes none due, nor does the end of time.
    #[inline]
    fn is_due(&self, time: i64) -> bool {
        time >= self.next && time >= 0 && self.next < i64::MAX
    }

    /// The call that is due at `time`; moves on to the first one after `time`.
    pub(crate) fn take(&mut self, time: i64) -> Punctuation {
        let missed = (time - self.next) / self.interval_ms;
        self.next = self
            .next
            .saturating_add((missed + 1).saturating_mul(self.interval_ms));
        Punctuation {
            kind: self.kind,
            time,
            interval_ms: self.interval_ms,
            schedule: self.number,
        }
    }
}

/// The schedules of a task: one `java.util.PriorityQueue` per clock (`PunctuationQueue`). As many as its processors ask for.
#[derive(Default)]
pub(crate) struct Schedules {
    stream_time: Vec<Schedule>,
    wall_clock: Vec<Schedule>,
    added: usize,
}

impl Schedules {
    /// A schedule that was not there; answers its number.
    pub(crate) fn add(&mut self, mut schedule: Schedule) -> usize {
        schedule.number = self.added;
        self.added += 1;
        self.put_back(schedule);
        self.added - 1
    }

    /// A schedule that was taken, unless it was cancelled meanwhile.
    pub(crate) fn put_back(&mut self, schedule: Schedule) {
        if !schedule.cancelled.get() {
            let heap = self.heap(schedule.kind);
            heap.push(schedule);
            sift_up(heap);
        }
    }

    /// Takes the schedule that has been due longest at `time`, if one is.
    #[inline]
    pub(crate) fn take_due(&mut self, kind: PunctuationKind, time: i64) -> Option<Schedule> {
        let heap = self.heap(kind);
        while heap.first().is_some_and(|schedule| schedule.is_due(time)) {
            let schedule = heap.swap_remove(0);
            sift_down(heap);
            if !schedule.cancelled.get() {
                return Some(schedule);
            }
        }
        None
    }

    /// Moves every schedule on to its first call after `time`, without a call.
    pub(crate) fn pass(&mut self, kind: PunctuationKind, time: i64) {
        while let Some(mut schedule) = self.take_due(kind, time) {
            schedule.take(time);
            self.put_back(schedule);
        }
    }

    fn heap(&mut self, kind: PunctuationKind) -> &mut Vec<Schedule> {
        match kind {
            PunctuationKind::StreamTime => &mut self.stream_time,
            PunctuationKind::WallClock => &mut self.wall_clock,
        }
    }
}

/// `PriorityQueue.siftUp` of the last element: up while strictly earlier than its parent.
fn sift_up(heap: &mut [Schedule]) {
    let mut at = heap.len() - 1;
    while at > 0 {
        let parent = (at - 1) / 2;
        if heap[at].next >= heap[parent].next {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

/// `PriorityQueue.siftDown` of the root: to the left unless the right is strictly earlier, while strictly later than the child.
fn sift_down(heap: &mut [Schedule]) {
    let mut at = 0;
    while 2 * at + 1 < heap.len() {
        let left = 2 * at + 1;
        let right = left + 1;
        let child = match heap.get(right) {
            Some(schedule) if schedule.next < heap[left].next => right,
            _ => left,
        };
        if heap[at].next <= heap[child].next {
            break;
        }
        heap.swap(at, child);
        at = child;
    }
}
