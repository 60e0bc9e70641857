//! The keys of session stores: `k | end i64 BE | start i64 BE`. Not typed, and no merging of sessions.
//! Invariant: an entry belongs to `k` only if its key is exactly 16 bytes longer; keys that are prefixes of one another stay apart.

use crate::{Direction, KeyRange, ReadBytes, Result};
use std::ops::ControlFlow;

/// The bytes after `k`.
pub const SUFFIX_BYTES: usize = 16;

/// What a find calls for each session: key, start, end, value; `Break` ends the find.
pub type VisitSession<'a> = dyn FnMut(&[u8], i64, i64, &[u8]) -> ControlFlow<()> + 'a;

/// Writes the store key of a session into `out` (cleared first).
pub fn key(key: &[u8], start_ms: i64, end_ms: i64, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(key);
    out.extend_from_slice(&end_ms.to_be_bytes());
    out.extend_from_slice(&start_ms.to_be_bytes());
}

/// The parts of a store key: key, start, end; `None` when it is too short.
pub fn parse(bytes: &[u8]) -> Option<(&[u8], i64, i64)> {
    let (rest, start) = bytes.split_last_chunk::<8>()?;
    let (key, end) = rest.split_last_chunk::<8>()?;
    Some((key, i64::from_be_bytes(*start), i64::from_be_bytes(*end)))
}

/// Visits the sessions of `wanted` that end at or after `earliest_end_ms` and start at or before `latest_start_ms`, by end.
pub fn find(
    store: &dyn ReadBytes,
    wanted: &[u8],
    earliest_end_ms: i64,
    latest_start_ms: i64,
    visit: &mut VisitSession<'_>,
) -> Result<()> {
    find_directed(
        store,
        wanted,
        earliest_end_ms,
        latest_start_ms,
        Direction::Forward,
        visit,
    )
}

/// As [`find`], in either direction.
pub fn find_directed(
    store: &dyn ReadBytes,
    wanted: &[u8],
    earliest_end_ms: i64,
    latest_start_ms: i64,
    direction: Direction,
    visit: &mut VisitSession<'_>,
) -> Result<()> {
    let earliest_end_ms = earliest_end_ms.max(0); // negative times would sort last
    let (mut from, mut to) = (Vec::new(), Vec::new());
    key(wanted, 0, earliest_end_ms, &mut from);
    key(wanted, i64::MAX, i64::MAX, &mut to);
    store.scan_key(
        wanted,
        KeyRange::inclusive(&from, &to),
        earliest_end_ms..=i64::MAX,
        direction,
        &mut |bytes, value| match parse(bytes) {
            Some((key, start_ms, end_ms))
                if key == wanted && end_ms >= earliest_end_ms && start_ms <= latest_start_ms =>
            {
                visit(key, start_ms, end_ms, value)
            }
            _ => ControlFlow::Continue(()),
        },
    )
}

/// Visits the sessions of every key that end at or after `earliest_end_ms` and start at or before `latest_start_ms`, in the
/// order of the store's bytes: by key, then by end.
pub fn find_all(
    store: &dyn ReadBytes,
    earliest_end_ms: i64,
    latest_start_ms: i64,
    direction: Direction,
    visit: &mut VisitSession<'_>,
) -> Result<()> {
    store.scan_times(
        KeyRange::ALL,
        earliest_end_ms..=i64::MAX,
        direction,
        &mut |bytes, value| match parse(bytes) {
            Some((key, start_ms, end_ms))
                if end_ms >= earliest_end_ms && start_ms <= latest_start_ms =>
            {
                visit(key, start_ms, end_ms, value)
            }
            _ => ControlFlow::Continue(()),
        },
    )
}
