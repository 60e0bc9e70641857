//! Values with a validity interval, with the outcomes of Kafka Streams' versioned stores. Not their bytes: the layout is our own.
//!
//! Latest values live under `00 | k` as `timestamp i64 BE | value`. Older versions live under `01 | k | valid_to | valid_from`
//! (both i64 BE), so that the first row after `k | t + 1` is the one that may hold time `t`, and whole segments expire by
//! `valid_to`. A deletion at `t` is the row `valid_to = valid_from = t` without value: no time falls into it, but it bounds
//! a version that is written late.
//!
//! Invariant: every `valid_to` is the start of another version or a deletion, so intervals never overlap.

use crate::{Direction, Error, KeyRange, ReadBytes, Result, Store};
use std::ops::ControlFlow;

const LATEST: u8 = 0;
const HISTORY: u8 = 1;

/// The bytes around `k` in the key of a history row.
const HISTORY_SUFFIX_BYTES: usize = 16;

/// A version of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The value.
    pub value: Vec<u8>,
    /// When it began to hold.
    pub valid_from_ms: i64,
    /// When it ceased to hold (exclusive); `None` for the latest.
    pub valid_to_ms: Option<i64>,
}

/// Where a [`put`] ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Older than the history retention: not written.
    Expired,
    /// The latest version of its key.
    Latest,
    /// Valid until this time only (exclusive): a newer version exists.
    Until(i64),
}

/// Writes a version, or a deletion, of `key` as of `timestamp_ms` into the open overlay.
///
/// Restoring is the same call for each changelog record, then [`Store::seal`] and [`Store::commit`] with the position.
pub fn put(store: &mut Store, key: &[u8], value: Option<&[u8]>, timestamp_ms: i64) -> Result<Put> {
    put_either(store, key, value, timestamp_ms, SameTime::Bounds)
}

/// As [`put`], with a fault of Kafka Streams (`RocksDBVersionedStore.maybePutToLatestValueStore`): a deletion of the latest version
/// at that version's own time leaves nothing that bounds a version written late. For comparing with it in tests, never for use.
pub fn put_forgetful(
    store: &mut Store,
    key: &[u8],
    value: Option<&[u8]>,
    timestamp_ms: i64,
) -> Result<Put> {
    put_either(store, key, value, timestamp_ms, SameTime::Forgotten)
}

/// What a deletion of the latest version at that version's own time leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SameTime {
    /// A row that bounds versions written late.
    Bounds,
    /// Nothing.
    Forgotten,
}

fn put_either(
    store: &mut Store,
    key: &[u8],
    value: Option<&[u8]>,
    timestamp_ms: i64,
    same_time: SameTime,
) -> Result<Put> {
    if timestamp_ms < 0 {
        let message = format!("versions need a timestamp of 0 or later, not {timestamp_ms}");
        return Err(Error::Refused {
            store: store.name().to_owned(),
            message,
        });
    }
    if timestamp_ms < store.horizon_ms() {
        store.count_expired();
        return Ok(Put::Expired);
    }
    store.observe(timestamp_ms);
    let mut latest = Vec::new();
    let latest_from = match store.get(&latest_key(key), &mut latest)? {
        true => Some(timestamp_of(store, &latest)?),
        false => None,
    };
    match latest_from {
        Some(from) if from > timestamp_ms => {
            put_history(store, key, value, timestamp_ms, Some(from))
        }
        Some(from)
            if from == timestamp_ms && value.is_none() && same_time == SameTime::Forgotten =>
        {
            store.delete(&latest_key(key))?;
            Ok(Put::Latest)
        }
        Some(from) => {
            if from < timestamp_ms {
                store.put(&history_key(key, timestamp_ms, from), &latest[8..])?;
            }
            put_latest(store, key, value, timestamp_ms)
        }
        None => put_history(store, key, value, timestamp_ms, None),
    }
}

fn put_latest(
    store: &mut Store,
    key: &[u8],
    value: Option<&[u8]>,
    timestamp_ms: i64,
) -> Result<Put> {
    match value {
        Some(value) => {
            let mut bytes = timestamp_ms.to_be_bytes().to_vec();
            bytes.extend_from_slice(value);
            store.put(&latest_key(key), &bytes)?;
            // A deletion at this time stays: it bounds earlier versions as this one does.
        }
        None => {
            store.delete(&latest_key(key))?;
            store.put(&history_key(key, timestamp_ms, timestamp_ms), &[])?;
        }
    }
    Ok(Put::Latest)
}

/// Writes between older versions; `latest_from` bounds the version when no history row does.
fn put_history(
    store: &mut Store,
    key: &[u8],
    value: Option<&[u8]>,
    timestamp_ms: i64,
    latest_from: Option<i64>,
) -> Result<Put> {
    let next = row_after(store, key, timestamp_ms)?;
    let boundary = history_key(key, timestamp_ms, timestamp_ms);
    let valid_to = match (&next, latest_from) {
        (Some(row), _) if row.from <= timestamp_ms => {
            // The version that holds now ends here; one that begins here is replaced.
            store.delete(&history_key(key, row.to, row.from))?;
            if row.from < timestamp_ms {
                store.put(&history_key(key, timestamp_ms, row.from), &row.value)?;
            }
            row.to
        }
        (Some(row), _) => row.from,
        (None, Some(from)) => from,
        (None, None) => return put_latest(store, key, value, timestamp_ms),
    };
    match value {
        Some(value) => {
            store.delete(&boundary)?;
            store.put(&history_key(key, valid_to, timestamp_ms), value)?;
        }
        None => store.put(&boundary, &[])?,
    }
    Ok(Put::Until(valid_to))
}

/// The latest version of `key`, unless it is deleted.
pub fn get(store: &dyn ReadBytes, key: &[u8]) -> Result<Option<Version>> {
    let mut bytes = Vec::new();
    if !store.get(&latest_key(key), &mut bytes)? {
        return Ok(None);
    }
    let valid_from_ms = timestamp_of(store, &bytes)?;
    Ok(Some(Version {
        value: bytes.split_off(8),
        valid_from_ms,
        valid_to_ms: None,
    }))
}

/// The version of `key` that held at `as_of_ms`. Beyond the history retention only a latest version can still be told.
pub fn get_as_of(store: &dyn ReadBytes, key: &[u8], as_of_ms: i64) -> Result<Option<Version>> {
    if let Some(latest) = get(store, key)?
        && latest.valid_from_ms <= as_of_ms
    {
        return Ok(Some(latest));
    }
    if as_of_ms < store.horizon_ms() || as_of_ms < 0 {
        return Ok(None);
    }
    let row = row_after(store, key, as_of_ms)?.filter(|row| row.from <= as_of_ms);
    Ok(row.map(|row| Version {
        value: row.value,
        valid_from_ms: row.from,
        valid_to_ms: Some(row.to),
    }))
}

/// Visits the versions of `key` that held at some time in `from_ms..=to_ms`, oldest first.
pub fn get_between(
    store: &dyn ReadBytes,
    key: &[u8],
    from_ms: i64,
    to_ms: i64,
    visit: &mut dyn FnMut(Version) -> ControlFlow<()>,
) -> Result<()> {
    let from_ms = from_ms.max(store.horizon_ms()).max(0);
    let mut stopped = false;
    if from_ms <= to_ms {
        visit_rows(store, key, from_ms, &mut |row| {
            if row.from > to_ms {
                return ControlFlow::Break(());
            }
            if row.from < row.to {
                let version = Version {
                    value: row.value,
                    valid_from_ms: row.from,
                    valid_to_ms: Some(row.to),
                };
                stopped = visit(version).is_break();
            }
            if stopped {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
    }
    if !stopped
        && let Some(latest) = get(store, key)?
        && latest.valid_from_ms <= to_ms
    {
        let _ = visit(latest);
    }
    Ok(())
}

struct Row {
    from: i64,
    to: i64,
    value: Vec<u8>,
}

/// The first history row of `key` that ends after `timestamp_ms`, deletions included.
fn row_after(store: &dyn ReadBytes, key: &[u8], timestamp_ms: i64) -> Result<Option<Row>> {
    let mut found = None;
    visit_rows(store, key, timestamp_ms, &mut |row| {
        found = Some(row);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn visit_rows(
    store: &dyn ReadBytes,
    key: &[u8],
    after_ms: i64,
    visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<()> {
    let Some(earliest) = after_ms.checked_add(1) else {
        return Ok(());
    };
    let (from, to) = (
        history_key(key, earliest, 0),
        history_key(key, i64::MAX, i64::MAX),
    );
    store.scan_times(
        KeyRange::inclusive(&from, &to),
        earliest..=i64::MAX,
        Direction::Forward,
        &mut |bytes, value| match parse_history(bytes) {
            Some((row_key, to, from)) if row_key == key => visit(Row {
                from,
                to,
                value: value.to_vec(),
            }),
            _ => ControlFlow::Continue(()),
        },
    )
}

fn latest_key(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + key.len());
    bytes.push(LATEST);
    bytes.extend_from_slice(key);
    bytes
}

fn history_key(key: &[u8], to: i64, from: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + key.len() + HISTORY_SUFFIX_BYTES);
    bytes.push(HISTORY);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&to.to_be_bytes());
    bytes.extend_from_slice(&from.to_be_bytes());
    bytes
}

/// The key whose latest or earlier version is stored under `bytes`; `None` when they are neither.
pub fn key_of(bytes: &[u8]) -> Option<&[u8]> {
    match bytes.strip_prefix(&[LATEST]) {
        Some(key) => Some(key),
        None => parse_history(bytes).map(|(key, ..)| key),
    }
}

/// True for the key of a latest row.
pub(crate) fn is_latest(bytes: &[u8]) -> bool {
    bytes.first() == Some(&LATEST)
}

/// The parts of a history row's key: key, end, start; `None` for a latest row.
pub(crate) fn parse_history(bytes: &[u8]) -> Option<(&[u8], i64, i64)> {
    let rest = bytes.strip_prefix(&[HISTORY])?;
    let (rest, from) = rest.split_last_chunk::<8>()?;
    let (key, to) = rest.split_last_chunk::<8>()?;
    Some((key, i64::from_be_bytes(*to), i64::from_be_bytes(*from)))
}

fn timestamp_of(store: &dyn ReadBytes, bytes: &[u8]) -> Result<i64> {
    match bytes.first_chunk::<8>() {
        Some(timestamp) => Ok(i64::from_be_bytes(*timestamp)),
        None => Err(Error::Format {
            store: store.name().to_owned(),
            message: "a version must begin with an 8-byte timestamp".to_owned(),
        }),
    }
}
