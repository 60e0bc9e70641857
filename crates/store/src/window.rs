//! The keys of window stores: `k | start i64 BE | seq u32 BE`. Not typed, and no windowing semantics.
//! Invariant: an entry belongs to `k` only if its key is exactly 12 bytes longer; keys that are prefixes of one another stay apart.

use crate::{Direction, KeyRange, ReadBytes, Result};
use std::ops::ControlFlow;

/// The bytes after `k`.
pub const SUFFIX_BYTES: usize = 12;

/// What a fetch calls for each window: key, start, sequence number, value; `Break` ends the fetch.
pub type VisitWindow<'a> = dyn FnMut(&[u8], i64, u32, &[u8]) -> ControlFlow<()> + 'a;

/// Writes the store key of a window into `out` (cleared first).
pub fn key(key: &[u8], start_ms: i64, seq: u32, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(key);
    out.extend_from_slice(&start_ms.to_be_bytes());
    out.extend_from_slice(&seq.to_be_bytes());
}

/// The parts of a store key: key, start, sequence number; `None` when it is too short.
pub fn parse(bytes: &[u8]) -> Option<(&[u8], i64, u32)> {
    let (rest, seq) = bytes.split_last_chunk::<4>()?;
    let (key, start) = rest.split_last_chunk::<8>()?;
    Some((key, i64::from_be_bytes(*start), u32::from_be_bytes(*seq)))
}

/// Visits the windows of `wanted` that start in `from_ms..=to_ms`, in time order or its reverse.
pub fn fetch(
    store: &dyn ReadBytes,
    wanted: &[u8],
    from_ms: i64,
    to_ms: i64,
    direction: Direction,
    visit: &mut VisitWindow<'_>,
) -> Result<()> {
    let from_ms = from_ms.max(0); // windows never start before the epoch, and negative times would sort last
    if to_ms < from_ms {
        return Ok(());
    }
    let (mut from, mut to) = (Vec::new(), Vec::new());
    key(wanted, from_ms, 0, &mut from);
    key(wanted, to_ms, u32::MAX, &mut to);
    store.scan_key(
        wanted,
        KeyRange::inclusive(&from, &to),
        from_ms..=to_ms,
        direction,
        &mut |bytes, value| {
            match parse(bytes) {
                // The length decides: bytes between the bounds may belong to a longer key that begins with this one.
                Some((key, start_ms, seq))
                    if key == wanted && (from_ms..=to_ms).contains(&start_ms) =>
                {
                    visit(key, start_ms, seq, value)
                }
                _ => ControlFlow::Continue(()),
            }
        },
    )
}

/// Visits the windows of every key that start in `from_ms..=to_ms`, in the order of the store's bytes: by key, then by time.
pub fn fetch_all(
    store: &dyn ReadBytes,
    from_ms: i64,
    to_ms: i64,
    direction: Direction,
    visit: &mut VisitWindow<'_>,
) -> Result<()> {
    fetch_keys(store, KeyRange::ALL, from_ms, to_ms, direction, visit)
}

/// Visits the windows whose *store* keys lie in `range` and that start in `from_ms..=to_ms`, in the order of the store's bytes.
pub fn fetch_keys(
    store: &dyn ReadBytes,
    range: KeyRange<'_>,
    from_ms: i64,
    to_ms: i64,
    direction: Direction,
    visit: &mut VisitWindow<'_>,
) -> Result<()> {
    if to_ms < from_ms {
        return Ok(());
    }
    store.scan_times(
        range,
        from_ms..=to_ms,
        direction,
        &mut |bytes, value| match parse(bytes) {
            Some((key, start_ms, seq)) if (from_ms..=to_ms).contains(&start_ms) => {
                visit(key, start_ms, seq, value)
            }
            _ => ControlFlow::Continue(()),
        },
    )
}
