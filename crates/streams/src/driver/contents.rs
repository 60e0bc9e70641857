//! What a store holds, taken apart by its layout, for tests to compare. Not a query: the whole store is read.
//! Invariant: rows are in the order of their key bytes, then of time.

use crate::task::JavaExpiry;
use crate::topology::{HeldRows, Semantics};
use crate::{Error, Result};
use headwater_store::{Direction, KeyRange, Layout, Store, session, versioned, window};
use std::ops::ControlFlow;

/// The rows of a store in bytes, below record cache and changelog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreContents {
    /// Key and value; a timestamped store's value begins with its timestamp, eight bytes.
    KeyValue(Vec<(Vec<u8>, Vec<u8>)>),
    /// Windows by key and start; duplicates in the order in which they were put.
    Window(Vec<StoreRow>),
    /// Sessions by key, start and end.
    Session(Vec<StoreRow>),
    /// Versions by key and start; the latest has no end.
    Versioned(Vec<StoreRow>),
    /// Records that are held back.
    Buffer {
        /// How many.
        records: usize,
        /// What Kafka Streams counts for them.
        bytes: usize,
        /// When the first is due, ms since the epoch.
        min_time: Option<i64>,
    },
}

/// A row with a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRow {
    /// The key.
    pub key: Vec<u8>,
    /// Its first ms since the epoch.
    pub start: i64,
    /// Its end in ms since the epoch, where the store keeps one.
    pub end: Option<i64>,
    /// The value.
    pub value: Vec<u8>,
}

type Pair = (Vec<u8>, Vec<u8>);

impl StoreContents {
    /// `hidden` are the rows that Kafka Streams' own store does not show, under its semantics.
    pub(super) fn of(
        store: &Store,
        held: Option<HeldRows>,
        semantics: Semantics,
        hidden: Option<&JavaExpiry>,
    ) -> Result<Self> {
        let mut pairs: Vec<Pair> = Vec::new();
        store.scan(KeyRange::ALL, Direction::Forward, &mut |key, value| {
            if !hidden.is_some_and(|hidden| hidden.hides(key)) {
                pairs.push((key.to_vec(), value.to_vec()));
            }
            ControlFlow::Continue(())
        })?;
        let shown = hidden.is_some();
        if let Some(held) = held {
            return buffer(&pairs, held, semantics);
        }
        Ok(match store.options().layout {
            Layout::KeyValue | Layout::Lru { .. } => Self::KeyValue(pairs),
            Layout::Window { retention_ms, .. } => {
                Self::Window(windows(pairs, (!shown).then_some(retention_ms))?)
            }
            Layout::Session { retention_ms, .. } => {
                Self::Session(sessions(pairs, (!shown).then_some(retention_ms))?)
            }
            Layout::Versioned { .. } => Self::Versioned(versions(store, &pairs)?),
        })
    }

    /// Rows that each hold a list of values, as a pair of key and value for each of these.
    pub(super) fn split_rows(self, split: fn(&[u8]) -> Vec<Vec<u8>>) -> Self {
        let Self::KeyValue(pairs) = self else {
            return self;
        };
        let each = |(key, row): Pair| {
            let values = split(&row).into_iter();
            values.map(move |value| (key.clone(), value))
        };
        Self::KeyValue(pairs.into_iter().flat_map(each).collect())
    }
}

/// `observedStreamTime - retentionPeriod`: what is not after it is expired for readers. Nothing is where no retention is given.
fn horizon(latest: Option<i64>, retention_ms: Option<i64>) -> i64 {
    let horizon = latest.zip(retention_ms);
    horizon.map_or(i64::MIN, |(latest, retention_ms)| {
        latest.saturating_sub(retention_ms)
    })
}

fn odd_key() -> Error {
    Error::Topology("a store holds a key that does not have its layout".into())
}

fn buffer(pairs: &[Pair], held: HeldRows, semantics: Semantics) -> Result<StoreContents> {
    let (mut bytes, mut times) = (0, Vec::with_capacity(pairs.len()));
    for (key, value) in pairs {
        let held = (held.row)(key, value).ok_or_else(odd_key)?;
        bytes += held.bytes;
        times.push(held.time);
    }
    let min_time = match held.java_lag_ms {
        Some(lag_ms) if semantics == Semantics::Java => {
            let max_time = times.iter().max();
            max_time.map(|time| time.saturating_sub(lag_ms).saturating_add(1))
        }
        _ => times.iter().min().copied(),
    };
    Ok(StoreContents::Buffer {
        records: pairs.len(),
        bytes,
        min_time,
    })
}

fn windows(pairs: Vec<Pair>, retention_ms: Option<i64>) -> Result<Vec<StoreRow>> {
    let mut rows = Vec::new();
    for (bytes, value) in pairs {
        let (key, start, _) = window::parse(&bytes).ok_or_else(odd_key)?;
        let key = key.to_vec();
        rows.push(StoreRow {
            key,
            start,
            end: None,
            value,
        });
    }
    let horizon = horizon(rows.iter().map(|row| row.start).max(), retention_ms);
    rows.retain(|row| row.start > horizon);
    // Stable: rows of one key and start stay in the order of their sequence numbers.
    rows.sort_by(|a, b| (&a.key, a.start).cmp(&(&b.key, b.start)));
    Ok(rows)
}

fn sessions(pairs: Vec<Pair>, retention_ms: Option<i64>) -> Result<Vec<StoreRow>> {
    let mut rows = Vec::new();
    for (bytes, value) in pairs {
        let (key, start, end) = session::parse(&bytes).ok_or_else(odd_key)?;
        rows.push(StoreRow {
            key: key.to_vec(),
            start,
            end: Some(end),
            value,
        });
    }
    let latest = rows.iter().filter_map(|row| row.end).max();
    let horizon = horizon(latest, retention_ms);
    rows.retain(|row| row.end.is_none_or(|end| end > horizon));
    rows.sort_by(|a, b| (&a.key, a.start, a.end).cmp(&(&b.key, b.start, b.end)));
    Ok(rows)
}

fn versions(store: &Store, pairs: &[Pair]) -> Result<Vec<StoreRow>> {
    let mut keys: Vec<&[u8]> = Vec::new();
    for (bytes, _) in pairs {
        keys.push(versioned::key_of(bytes).ok_or_else(odd_key)?);
    }
    keys.sort_unstable();
    keys.dedup();
    let mut rows = Vec::new();
    for key in keys {
        versioned::get_between(store, key, 0, i64::MAX, &mut |version| {
            rows.push(StoreRow {
                key: key.to_vec(),
                start: version.valid_from_ms,
                end: version.valid_to_ms,
                value: version.value,
            });
            ControlFlow::Continue(())
        })?;
    }
    Ok(rows)
}
