//! The batches of one partition on their way: stamped once, sent in order, kept until acknowledged.
//! Not the sending. Invariant: a batch is sent again only when nothing of its partition is in flight, from the first one that is
//! not acknowledged, with the bytes it had.

use bytes::Bytes;
use headwater_log::{Offset, TopicPartition};
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// One batch.
pub(super) struct Pending {
    /// Stamped; the same in every try.
    pub(super) bytes: Bytes,
    pub(super) count: i32,
    is_acknowledged: bool,
    handed_over: Instant,
    /// Bytes that the worker's side counts for it.
    pub(super) counted: usize,
}

/// A partition's batches.
pub(super) struct Queue {
    pub(super) name: TopicPartition,
    batches: VecDeque<Pending>,
    /// The number of the first batch; batches are numbered as they come.
    first: u64,
    /// How many of `batches`, from the front, have been sent since the last restart.
    sent: usize,
    in_flight: usize,
    /// Something failed: no more is sent until nothing is in flight.
    is_broken: bool,
    /// The leader has taken a batch. Before that only one is in flight: a leader that does not know the partition yet, since it was just
    /// created, could refuse the first and take the second, and nothing would bring them in order again.
    is_known: bool,
    pub(super) attempt: u32,
    not_before: Option<Instant>,
    /// What a batch that was too large is replaced by, once nothing is in flight.
    halves: Option<(u64, [(Bytes, i32); 2])>,
    /// The sequence of the next batch.
    pub(super) sequence: i32,
    /// Where this transaction's (or commit's) first batch went, and one past its last.
    pub(super) written: Option<(Offset, Offset)>,
    /// An acknowledgement came without an offset, so the end is not known from it.
    pub(super) lacks_end: bool,
    /// Since when metadata do not know the partition.
    pub(super) unknown_since: Option<Instant>,
}

impl Queue {
    pub(super) fn new(name: TopicPartition) -> Self {
        Self {
            name,
            batches: VecDeque::new(),
            first: 0,
            sent: 0,
            in_flight: 0,
            is_broken: false,
            is_known: false,
            attempt: 0,
            not_before: None,
            halves: None,
            sequence: 0,
            written: None,
            lacks_end: false,
            unknown_since: None,
        }
    }

    pub(super) fn push(&mut self, bytes: Bytes, count: i32, counted: usize) {
        self.batches.push_back(Pending {
            bytes,
            count,
            is_acknowledged: false,
            handed_over: Instant::now(),
            counted,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// True when a batch could go out, if its leader has room.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        !self.is_broken
            && (self.is_known || self.in_flight == 0)
            && self.sent < self.batches.len()
            && self.not_before.is_none_or(|at| at <= now)
    }

    /// When a batch that waits for its next try may go out. None once that is past: then it waits for its leader, or for room
    /// there, and whatever brings these looks again.
    pub(super) fn waits_until(&self, now: Instant) -> Option<Instant> {
        self.not_before
            .filter(|at| *at > now && !self.batches.is_empty())
    }

    /// Bytes of the batch that is next.
    pub(super) fn next_len(&self) -> usize {
        self.batches
            .get(self.sent)
            .map_or(0, |batch| batch.bytes.len())
    }

    /// Takes the next batch out for sending: its number and bytes.
    pub(super) fn send(&mut self) -> Option<(u64, Bytes)> {
        while self.batches.get(self.sent)?.is_acknowledged {
            self.sent += 1;
        }
        let batch = self.batches.get(self.sent)?;
        let number = self.first + self.sent as u64;
        self.sent += 1;
        self.in_flight += 1;
        self.not_before = None;
        Some((number, batch.bytes.clone()))
    }

    /// A batch was written at `base`, or was there already at a place the broker forgot. Returns what needs no keeping any more.
    pub(super) fn acknowledge(&mut self, number: u64, base: Option<Offset>) -> Vec<Pending> {
        self.in_flight -= 1;
        self.is_known = true;
        self.attempt = 0;
        self.unknown_since = None;
        let index = (number - self.first) as usize;
        if let Some(batch) = self.batches.get_mut(index) {
            batch.is_acknowledged = true;
            match (base, &mut self.written) {
                (Some(base), Some((_, end))) => *end = (*end).max(base + i64::from(batch.count)),
                (Some(base), none) => *none = Some((base, base + i64::from(batch.count))),
                (None, _) => self.lacks_end = true,
            }
        }
        let mut done = Vec::new();
        while self
            .batches
            .front()
            .is_some_and(|batch| batch.is_acknowledged)
        {
            done.extend(self.batches.pop_front());
            self.first += 1;
            self.sent = self.sent.saturating_sub(1);
        }
        self.restart_when_quiet(Duration::ZERO);
        done
    }

    /// A try failed: sent again, after `wait`, once nothing is in flight.
    pub(super) fn break_off(&mut self, wait: Duration) {
        self.in_flight -= 1;
        self.is_broken = true;
        self.restart_when_quiet(wait);
    }

    /// A batch was too large: two take its place when its try is broken off. What was sent behind it comes back, since its sequence is
    /// not the next one for the broker; if that is too large as well, it will be told again.
    pub(super) fn split(&mut self, number: u64, halves: [(Bytes, i32); 2]) {
        if self
            .halves
            .as_ref()
            .is_none_or(|(other, _)| number < *other)
        {
            self.halves = Some((number, halves));
        }
    }

    fn replace_by_halves(&mut self) {
        let Some((number, halves)) = self.halves.take() else {
            return;
        };
        let index = (number - self.first) as usize;
        let Some(whole) = self.batches.remove(index) else {
            return;
        };
        // In turn, so that the first one comes to lie before the second; the whole's bytes are given back with the last.
        let mut counted = whole.counted;
        for (bytes, count) in halves.into_iter().rev() {
            self.batches.insert(
                index,
                Pending {
                    bytes,
                    count,
                    is_acknowledged: false,
                    handed_over: whole.handed_over,
                    counted: std::mem::take(&mut counted),
                },
            );
        }
    }

    fn restart_when_quiet(&mut self, wait: Duration) {
        if !wait.is_zero() {
            let at = Instant::now() + wait;
            self.not_before = Some(self.not_before.map_or(at, |before| before.max(at)));
        }
        if self.is_broken && self.in_flight == 0 {
            self.is_broken = false;
            self.replace_by_halves();
            self.sent = 0;
        }
    }

    /// True for the first batch that is not acknowledged.
    pub(super) fn is_first(&self, number: u64) -> bool {
        number == self.first
    }

    /// How long the oldest batch has waited.
    pub(super) fn age(&self, now: Instant) -> Duration {
        self.batches
            .front()
            .map_or(Duration::ZERO, |batch| now - batch.handed_over)
    }

    /// Drops everything, for a new transaction or after a failure; answers to what is in flight belong to an era that is over.
    pub(super) fn clear(&mut self) -> usize {
        let counted = self.batches.iter().map(|batch| batch.counted).sum();
        let name = self.name.clone();
        let (sequence, is_known) = (self.sequence, self.is_known);
        *self = Self::new(name);
        (self.sequence, self.is_known) = (sequence, is_known);
        counted
    }
}
