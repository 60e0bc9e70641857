//! Timers of a processor: calls for a key at a time, kept in a store and its changelog. Not schedules, which a processor asks for
//! anew with every start.
//! Invariant: a timer is called once, since its row goes with the commit of what its call did; calls are in the order of time,
//! then of the keys' bytes.
//!
//! ```text
//! row: clock (1: 0 stream time, 1 wall clock) | time (8) | key      value: 1 (1)
//! ```

use crate::Result;
use crate::task::{Context, PunctuationKind};
use crate::topology::StoreSpec;
use headwater_store::{Direction, KeyRange};
use std::ops::{Bound, ControlFlow};

/// `clock (1) | time (8)`.
pub(super) const PREFIX_BYTES: usize = 9;
/// What the rows hold: a row that is there is set.
pub(super) const SET: &[u8] = &[1];
/// Rows that one scan of the store copies.
const ROWS_PER_SCAN_MAX: usize = 64;

/// A timer that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer<K> {
    /// Whose it is.
    pub key: K,
    /// The time it was set for, ms since the epoch.
    pub at: i64,
    /// The clock it was set by.
    pub clock: PunctuationKind,
}

pub(super) fn clock_number(clock: PunctuationKind) -> usize {
    match clock {
        PunctuationKind::StreamTime => 0,
        PunctuationKind::WallClock => 1,
    }
}

/// The row of a timer of the key with these bytes.
pub(super) fn write_row(clock: PunctuationKind, at: i64, key: &[u8], row: &mut Vec<u8>) {
    row.clear();
    row.push(clock_number(clock) as u8);
    row.extend_from_slice(&at.to_be_bytes());
    row.extend_from_slice(key);
}

fn time_of(row: &[u8]) -> i64 {
    let time = row.get(1..).and_then(|rest| rest.first_chunk::<8>());
    time.map_or(i64::MIN, |time| i64::from_be_bytes(*time))
}

/// The key's bytes in a row, and its time.
pub(super) fn parse_row(row: &[u8]) -> (&[u8], i64) {
    (row.get(PREFIX_BYTES..).unwrap_or_default(), time_of(row))
}

/// Copies the rows of `clock` that are due at `time`, as many as one scan takes, and notes when the next is.
pub(super) fn due(
    ctx: &mut Context<'_>,
    store: usize,
    clock: PunctuationKind,
    time: i64,
) -> Result<Vec<Vec<u8>>> {
    let number = clock_number(clock);
    let (from, to) = ([number as u8], [number as u8 + 1]);
    let range = KeyRange {
        from: Bound::Included(&from),
        to: Bound::Excluded(&to),
    };
    let (mut rows, mut next) = (Vec::new(), i64::MAX);
    ctx.scan(store, range, Direction::Forward, &mut |row, _| {
        let at = time_of(row);
        if at > time || rows.len() == ROWS_PER_SCAN_MAX {
            next = at;
            return ControlFlow::Break(());
        }
        rows.push(row.to_vec());
        ControlFlow::Continue(())
    })?;
    ctx.state.store(store).first_timers[number] = next;
    Ok(rows)
}

/// After a restart: notes when the first timers are due.
pub(super) fn restore(ctx: &mut Context<'_>, store: usize) -> Result<()> {
    for clock in [PunctuationKind::StreamTime, PunctuationKind::WallClock] {
        due(ctx, store, clock, i64::MIN)?;
    }
    Ok(())
}

/// True for the store of timers.
pub(super) fn are_in(spec: &StoreSpec) -> bool {
    spec.timer_keys.is_some()
}
