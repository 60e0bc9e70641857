//! What is watched, and what is told of it. Not the watching. Invariant: whatever is watched begins with its state.

use crate::kept::Kept;
use crate::read::Read;
use crate::watch::Watch;
use crate::wire::{Span, Times};
use crate::{Blob, Result, Table};
use headwater_store::{Layout, window};
use headwater_streams::Windowed;
use std::ops::RangeInclusive;
use tokio::time::Instant;

/// What a [`Watch`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<K, V> {
    /// What was told of this partition holds no more: its entries follow anew, and keys that are not among them until [`Change::Live`]
    /// are gone. First of all; and when the subscriber was too slow, or the partition has another owner. Not of a single key.
    Restated {
        /// The partition.
        partition: u32,
    },
    /// The value under a key, or its absence.
    Entry {
        /// The partition it lies in.
        partition: u32,
        /// The key.
        key: K,
        /// `None` when it is absent.
        value: Option<V>,
    },
    /// The windows of this partition that start before a time are gone, and of sessions those that end before it: they are older than
    /// the store keeps them. No entry tells it of each. Of stores of windows and sessions only, and not of a single key, whose absence is told
    /// within 15 s.
    Gone {
        /// The partition.
        partition: u32,
        /// ms since the epoch.
        before_ms: i64,
    },
    /// The state of all partitions has been told; what follows are changes.
    Live,
}

/// Which keys a [`Watch`] is of, and where it goes on.
#[derive(Clone, Debug)]
pub struct Watched<K> {
    keys: Keys<K>,
    after: Option<String>,
}

#[derive(Clone, Debug)]
enum Keys<K> {
    One(K),
    Range(Option<K>, Option<K>),
    Prefix(Vec<u8>),
    Times(Option<K>, RangeInclusive<i64>),
}

impl<K> Watched<K> {
    fn of(keys: Keys<K>) -> Self {
        let after = None;
        Self { keys, after }
    }

    /// One key; its absence is told too.
    pub fn key(key: K) -> Self {
        Self::of(Keys::One(key))
    }

    /// The keys from `from` to `to`, both included, where given, in the order of their bytes.
    pub fn range(from: Option<K>, to: Option<K>) -> Self {
        Self::of(Keys::Range(from, to))
    }

    /// Keys whose bytes begin with `prefix`: of text, those of texts that begin so.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        Self::of(Keys::Prefix(prefix.into()))
    }

    /// All keys.
    pub fn all() -> Self {
        Self::range(None, None)
    }

    /// Goes on from a [`Watch::position`] of the same keys; where that is too old, the state is told again.
    pub fn after(mut self, position: impl Into<String>) -> Self {
        self.after = Some(position.into());
        self
    }
}

impl<K> Watched<Windowed<K>> {
    /// The windows of `key` that start in `times`, ms since the epoch; of a session store, the sessions that end at or after `times`
    /// begins and start at or before it ends. As [`Table::fetch`].
    pub fn windows(key: K, times: RangeInclusive<i64>) -> Self {
        let (start, end) = (0, 0);
        Self::of(Keys::Times(Some(Windowed { key, start, end }), times))
    }

    /// As [`Watched::windows`], of all keys.
    pub fn all_windows(times: RangeInclusive<i64>) -> Self {
        Self::of(Keys::Times(None, times))
    }
}

impl<K: 'static, V: 'static> Table<K, V> {
    /// Follows keys in all partitions, on whatever instances they are: what is there, then what changes, of committed state.
    ///
    /// `read` says how long it may take until the number of partitions is known, and which one to watch, where not the hash of the key
    /// tells or all are meant; its token and staleness are not for this. [`crate::Error::Overloaded`] above
    /// [`crate::WATCHES_MAX`]; [`crate::Error::Refused`], at its first entry, of a store that keeps several values under one key and time.
    pub async fn watch(&self, watched: Watched<K>, read: Read) -> Result<Watch<K, V>> {
        let deadline = Instant::now() + read.deadline;
        let (span, key, partitions) = match watched.keys {
            Keys::One(key) => {
                let plain = self.encode(&key)?;
                let partition = self.partition_of(&key, &plain, &read, deadline).await?;
                let row = self.row_key(&key)?;
                let span = self.span(Some(row.clone()), Some(row.clone()), None, Times::Any);
                (span, Some(row), vec![partition])
            }
            Keys::Range(from, to) => {
                let bound = |key: Option<K>| key.map(|key| self.row_key(&key)).transpose();
                let span = self.span(bound(from)?, bound(to)?, None, Times::Any);
                (span, None, self.watched_partitions(&read, deadline).await?)
            }
            Keys::Prefix(prefix) => {
                let mut bytes = self.row_prefix();
                bytes.extend_from_slice(&prefix);
                let span = self.span(None, None, Some(Blob(bytes)), Times::Any);
                (span, None, self.watched_partitions(&read, deadline).await?)
            }
            Keys::Times(key, times) => {
                let (plain, partitions) = match key {
                    Some(key) => {
                        let bytes = self.encode(&key)?;
                        let partition = self.partition_of(&key, &bytes, &read, deadline);
                        let partition = partition.await?;
                        (Some(Blob::from(self.plain_key(&bytes))), vec![partition])
                    }
                    None => (None, self.watched_partitions(&read, deadline).await?),
                };
                let span = self.span(None, None, None, self.times(plain, times)?);
                (span, None, partitions)
            }
        };
        let good_for = self.good_for(&span);
        let known = watched.after.map(|text| Kept::parse(&text, &good_for));
        let known = known.transpose()?.unwrap_or_default();
        Watch::new(self, span, key, partitions, known)
    }

    /// True of stores whose entries go with time, a part of them at once.
    pub(crate) fn drops_windows(&self) -> bool {
        let layout = &self.info.options.layout;
        matches!(layout, Layout::Window { .. } | Layout::Session { .. })
    }

    /// True when some of `entries` have a number of their own among those of their key and time.
    pub(crate) fn is_of_duplicates(&self, entries: &[(Blob, Option<Blob>)]) -> bool {
        let is_numbered =
            |key: &Blob| window::parse(&key.0).is_some_and(|(_, _, number)| number > 0);
        matches!(self.info.options.layout, Layout::Window { .. })
            && entries.iter().any(|(key, _)| is_numbered(key))
    }

    /// What a position of a watch of `span` is good for.
    pub(crate) fn good_for(&self, span: &Span) -> String {
        format!("watch {} {span:?}", self.name)
    }

    async fn watched_partitions(&self, read: &Read, deadline: Instant) -> Result<Vec<u32>> {
        let partitions = self.queries.partitions(&self.place, deadline).await?;
        match read.partition {
            Some(partition) if partition < partitions => Ok(vec![partition]),
            Some(partition) => {
                Err(self.refused(&format!("partition {partition} of {partitions} is none")))
            }
            None => Ok((0..partitions).collect()),
        }
    }
}
