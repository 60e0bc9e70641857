//! What is watched, and what is told of it. Not the watching. Invariant: whatever is watched begins with its state.

use crate::kept::Kept;
use crate::read::Read;
use crate::watch::Watch;
use crate::wire::{Span, Times};
use crate::{Blob, Result, Table};
use headwater_store::Layout;
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

impl<K: 'static, V: 'static> Table<K, V> {
    /// Follows keys in all partitions, on whatever instances they are: what is there, then what changes, of committed state.
    ///
    /// `read` says how long it may take until the number of partitions is known, and which one to watch, where not the hash of the key
    /// tells or all are meant; its token and staleness are not for this. [`crate::Error::Overloaded`] above
    /// [`crate::WATCHES_MAX`]; [`crate::Error::Refused`] of a windowed store, whose windows expire untold, and of one that forgets the
    /// least recently used.
    pub async fn watch(&self, watched: Watched<K>, read: Read) -> Result<Watch<K, V>> {
        match self.info.options.layout {
            Layout::KeyValue | Layout::Versioned { .. } => {}
            Layout::Window { .. } | Layout::Session { .. } => {
                return Err(self.refused("watch: its windows expire, and nobody tells when"));
            }
            Layout::Lru { .. } => {
                return Err(self.refused("watch: it forgets keys, and nobody tells which"));
            }
        }
        let deadline = Instant::now() + read.deadline;
        let (span, key, partitions) = match watched.keys {
            Keys::One(key) => {
                let plain = self.encode(&key)?;
                let partition = self.partition_of(&plain, &read, deadline).await?;
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
        };
        let good_for = self.good_for(&span);
        let known = watched.after.map(|text| Kept::parse(&text, &good_for));
        let known = known.transpose()?.unwrap_or_default();
        Watch::new(self, span, key, partitions, known)
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
