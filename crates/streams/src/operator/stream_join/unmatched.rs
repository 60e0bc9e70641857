//! Records of left and outer joins that have met nothing yet, in the store that both sides share: `time (8) | side (1) | key`,
//! with the list of their values (`ListValueStore`, `TimestampedKeyAndJoinSide`). Not the records that others may meet.
//! Invariant: a record is here until it meets another or its window has closed, and leaves by one of the two.

use crate::Result;
use crate::dsl::JoinWindows;
use crate::task::{Buffer, Context, Scratch};
use headwater_store::{Direction, KeyRange};
use std::ops::ControlFlow;
use std::{cell::Cell, rc::Rc, sync::Arc};

const LEFT: u8 = 1;
const RIGHT: u8 = 0;
/// `time (8) | side (1)`.
const PREFIX_BYTES: usize = 9;
/// `ListSerializer`: elements of any length follow, each with its own.
const VARIABLE_SIZE: u8 = 1;

/// What both sides of a join know of time, in one task (`TimeTracker`).
pub(crate) struct UnmatchedTimes {
    /// The mark with the largest time that either side has seen.
    pub(crate) stream_time: usize,
    /// No row of the left or right side is earlier; the least number until the store was read.
    bounds: [Cell<i64>; 2],
    /// Java's bound for both, which may lie behind a row.
    java: Cell<i64>,
}

impl UnmatchedTimes {
    pub(crate) fn new(stream_time: usize) -> Self {
        Self {
            stream_time,
            bounds: [Cell::new(i64::MIN), Cell::new(i64::MIN)],
            java: Cell::new(i64::MAX),
        }
    }
}

/// Stands in a store's specification for the formats of these rows, which are of no one type.
pub(crate) struct UnmatchedRows;

impl UnmatchedRows {
    /// The values of a row, each with the side in front, as Java's store shows them.
    pub(crate) fn split(row: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut rest = row.get(5..).unwrap_or_default();
        std::iter::from_fn(move || pull(&mut rest))
    }
}

pub(crate) struct Unmatched {
    pub(crate) store: usize,
    /// The changelog's name.
    pub(crate) topic: Arc<str>,
    pub(crate) times: Rc<UnmatchedTimes>,
    /// As the left side sees them.
    pub(crate) windows: JoinWindows,
    /// Whose operator this is.
    pub(crate) left: bool,
    /// Java's faults.
    pub(crate) java: bool,
    pub(crate) key: Scratch,
    pub(crate) row: Scratch,
    pub(crate) closed: Scratch,
}

/// Rows whose windows have closed, in bytes: `length (4) | store key | length (4) | list`, one after the other.
pub(crate) struct Closed {
    bytes: Buffer,
    /// Java's bound once all are emitted.
    java: i64,
}

/// A value that has met nothing.
pub(crate) struct ClosedValue<'a> {
    pub(crate) store_key: &'a [u8],
    pub(crate) time: i64,
    pub(crate) left: bool,
    pub(crate) value: &'a [u8],
}

impl Unmatched {
    /// The largest time that either side has seen, `time` included.
    pub(crate) fn observe(&self, ctx: &mut Context<'_>, time: i64) {
        let marks = &mut ctx.state.marks;
        let stream_time = marks.get(self.times.stream_time).max(time);
        marks.set(self.times.stream_time, stream_time);
    }

    /// The time by which windows close: what either side has seen, bounded behind repartition topics by what all upstream tasks
    /// have reached.
    pub(crate) fn closing_time(&self, ctx: &Context<'_>) -> i64 {
        let seen = ctx.state.marks.get(self.times.stream_time);
        ctx.state.closing.settled(seen)
    }

    /// In Java only a record that moves time on closes windows.
    pub(crate) fn closes_at(&self, time: i64, closing_time: i64) -> bool {
        !self.java || time == closing_time
    }

    fn windows_of(&self, left: bool) -> JoinWindows {
        if left {
            self.windows
        } else {
            self.windows.reversed()
        }
    }

    /// A record that has met nothing comes too late to wait. Java forgets the grace here, and may answer that there is no
    /// match before there is one.
    pub(crate) fn is_late(&self, time: i64, stream_time: i64) -> bool {
        let windows = self.windows_of(self.left);
        if self.java {
            return windows.around(time).1 < stream_time;
        }
        !windows.is_open(time, stream_time)
    }

    /// Keeps a value of this side.
    pub(crate) fn add(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        time: i64,
        value: &[u8],
    ) -> Result<()> {
        let (mut store_key, mut row) = (self.key.take(), self.row.take());
        write_key(key, time, self.left, &mut store_key);
        let known = ctx
            .state
            .store(self.store)
            .bytes
            .get(&store_key, &mut row)?;
        let count = match row.get(1..5).and_then(|count| count.first_chunk::<4>()) {
            Some(count) if known => u32::from_be_bytes(*count),
            _ => {
                row.clear();
                row.extend_from_slice(&[VARIABLE_SIZE, 0, 0, 0, 0]);
                0
            }
        };
        row[1..5].copy_from_slice(&(count + 1).to_be_bytes());
        row.extend_from_slice(&(value.len() as u32 + 1).to_be_bytes());
        row.push(side(self.left));
        row.extend_from_slice(value);
        ctx.write(self.store, &store_key, Some(&row), time)?;
        let bound = &self.times.bounds[usize::from(self.left)];
        bound.set(bound.get().min(time));
        self.times.java.set(self.times.java.get().min(time));
        self.key.give(store_key);
        self.row.give(row);
        Ok(())
    }

    /// The other side's values of `key` and `time` have met a record of time `now`.
    pub(crate) fn matched(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        time: i64,
        now: i64,
    ) -> Result<()> {
        if time < self.times.bounds[usize::from(!self.left)].get() {
            return Ok(());
        }
        let mut store_key = self.key.take();
        write_key(key, time, !self.left, &mut store_key);
        if ctx.holds(self.store, &store_key)? {
            ctx.write(self.store, &store_key, None, now)?;
        }
        self.key.give(store_key);
        Ok(())
    }

    /// Deletes a row at time `now`.
    pub(crate) fn delete(&self, ctx: &mut Context<'_>, store_key: &[u8], now: i64) -> Result<()> {
        Ok(ctx.write(self.store, store_key, None, now)?)
    }

    /// The rows whose windows have closed; `None` when there can be none.
    pub(crate) fn closed(&self, ctx: &mut Context<'_>, stream_time: i64) -> Result<Option<Closed>> {
        if self.java {
            return self.closed_as_in_java(ctx, stream_time);
        }
        let (left, right) = (self.windows_of(true), self.windows_of(false));
        let [right_bound, left_bound] = &self.times.bounds;
        if left.is_open(left_bound.get(), stream_time)
            && right.is_open(right_bound.get(), stream_time)
        {
            return Ok(None);
        }
        let mut bytes = self.closed.take();
        let mut bounds = [None, None];
        let store = &ctx.state.store(self.store).bytes;
        store.scan(KeyRange::ALL, Direction::Forward, &mut |store_key, row| {
            let Some((time, is_left)) = read_key(store_key) else {
                return ControlFlow::Continue(());
            };
            if left.is_open(time, stream_time) && right.is_open(time, stream_time) {
                // So are all that follow.
                bounds = bounds.map(|bound: Option<i64>| bound.or(Some(time)));
                return ControlFlow::Break(());
            }
            if self.windows_of(is_left).is_open(time, stream_time) {
                bounds[usize::from(is_left)].get_or_insert(time);
            } else {
                push(&mut bytes, store_key);
                push(&mut bytes, row);
            }
            ControlFlow::Continue(())
        })?;
        right_bound.set(bounds[0].unwrap_or(i64::MAX));
        left_bound.set(bounds[1].unwrap_or(i64::MAX));
        let java = i64::MAX;
        Ok(Some(Closed { bytes, java }))
    }

    /// With Java's faults: rows of one side wait for the other side's window, and behind an open row for those after it.
    fn closed_as_in_java(&self, ctx: &mut Context<'_>, stream_time: i64) -> Result<Option<Closed>> {
        let JoinWindows {
            after_ms, grace_ms, ..
        } = self.windows_of(self.left);
        // The bound begins as the largest number; that the sum wraps around makes the first look.
        let bound = self.times.java.get();
        if bound.wrapping_add(after_ms).wrapping_add(grace_ms) >= stream_time {
            return Ok(None);
        }
        self.times.java.set(i64::MAX);
        let mut bytes = self.closed.take();
        let (mut java, mut open) = (i64::MAX, [false, false]);
        let store = &ctx.state.store(self.store).bytes;
        store.scan(KeyRange::ALL, Direction::Forward, &mut |store_key, row| {
            let Some((time, is_left)) = read_key(store_key) else {
                return ControlFlow::Continue(());
            };
            // Java sees a row once for each of its values.
            for _ in values(row) {
                java = time;
                if open == [true, true] {
                    return ControlFlow::Break(());
                }
                if self.windows_of(is_left).is_open(time, stream_time) {
                    open[usize::from(is_left)] = true;
                    continue;
                }
                push(&mut bytes, store_key);
                push(&mut bytes, row);
                break;
            }
            ControlFlow::Continue(())
        })?;
        Ok(Some(Closed { bytes, java }))
    }

    /// Before a value of these is emitted.
    pub(crate) fn emitting(&self, value: &ClosedValue<'_>) {
        self.times.java.set(value.time);
    }

    /// All of these are emitted and deleted.
    pub(crate) fn emitted(&self, closed: Closed) {
        self.times.java.set(closed.java);
        self.closed.give(closed.bytes);
    }
}

impl Closed {
    pub(crate) fn values(&self) -> impl Iterator<Item = ClosedValue<'_>> {
        let mut rest = self.bytes.as_slice();
        let rows = std::iter::from_fn(move || Some((pull(&mut rest)?, pull(&mut rest)?)));
        rows.flat_map(|(store_key, row)| {
            let time = read_key(store_key).map_or(0, |(time, _)| time);
            values(row).map(move |(left, value)| ClosedValue {
                store_key,
                time,
                left,
                value,
            })
        })
    }
}

impl ClosedValue<'_> {
    /// The bytes of the record's key.
    pub(crate) fn key(&self) -> &[u8] {
        self.store_key.get(PREFIX_BYTES..).unwrap_or_default()
    }
}

fn side(left: bool) -> u8 {
    if left { LEFT } else { RIGHT }
}

fn write_key(key: &[u8], time: i64, left: bool, bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(&time.to_be_bytes());
    bytes.push(side(left));
    bytes.extend_from_slice(key);
}

/// Time and side.
fn read_key(store_key: &[u8]) -> Option<(i64, bool)> {
    let (time, rest) = store_key.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*time), *rest.first()? == LEFT))
}

/// The values of a row and their sides; ends early where the row is damaged.
fn values(row: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    UnmatchedRows::split(row).filter_map(|element| {
        let (side, value) = element.split_first()?;
        Some((*side == LEFT, value))
    })
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
    bytes.extend_from_slice(part);
}

fn pull<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    *bytes = rest;
    Some(part)
}
