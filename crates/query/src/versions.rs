//! Stores that keep versions: the latest, the one that held at a time, and the history of a key. Not ranges: those are of the latest.
//! Invariant: a time beyond the history's retention has no version, unless the latest one held already.

use crate::table::ask;
use crate::wire::{Answer, Question, VersionBytes};
use crate::{Blob, Error, Read, Result, Table};
use std::ops::RangeInclusive;
use tokio::time::Instant;

/// A version of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version<V> {
    /// The value.
    pub value: V,
    /// When it began to hold, ms since the epoch.
    pub valid_from_ms: i64,
    /// When it ceased to hold, exclusive; `None` for the latest.
    pub valid_to_ms: Option<i64>,
}

impl<K: 'static, V: 'static> Table<K, V> {
    /// The latest version of `key`; `None` when it is absent or deleted.
    pub async fn latest(&self, key: &K, read: Read) -> Result<Option<Version<V>>> {
        self.version(key, None, read).await
    }

    /// The version of `key` that held at `time_ms`.
    pub async fn as_of(&self, key: &K, time_ms: i64, read: Read) -> Result<Option<Version<V>>> {
        self.version(key, Some(time_ms), read).await
    }

    /// The versions of `key` that held at some time in `times`, oldest first; `versions_max` of them at most, 10,000 in any case.
    pub async fn history(
        &self,
        key: &K,
        times: RangeInclusive<i64>,
        versions_max: usize,
        read: Read,
    ) -> Result<Vec<Version<V>>> {
        let (from_ms, to_ms) = times.into_inner();
        let bytes = Blob(self.encode(key)?);
        let what = Question::History {
            store: self.name.clone(),
            key: bytes.clone(),
            from_ms,
            to_ms,
            versions_max,
        };
        self.versions(what, key, &bytes, read).await
    }

    async fn version(
        &self,
        key: &K,
        as_of_ms: Option<i64>,
        read: Read,
    ) -> Result<Option<Version<V>>> {
        let bytes = Blob(self.encode(key)?);
        let what = Question::Version {
            store: self.name.clone(),
            key: bytes.clone(),
            as_of_ms,
        };
        Ok(self.versions(what, key, &bytes, read).await?.pop())
    }

    async fn versions(
        &self,
        what: Question,
        key: &K,
        bytes: &Blob,
        read: Read,
    ) -> Result<Vec<Version<V>>> {
        if !self.is_versioned() {
            return Err(self.refused("it keeps no versions"));
        }
        let deadline = Instant::now() + read.deadline;
        let partition = self.partition_of(key, &bytes.0, &read, deadline);
        let partition = partition.await?;
        match ask(&self.queries, &self.place, what, partition, &read, deadline).await? {
            Answer::Versions(versions) => versions.into_iter().map(|it| self.typed(it)).collect(),
            other => Err(Error::Peer(format!("{other:?} is no version"))),
        }
    }

    fn typed(&self, version: VersionBytes) -> Result<Version<V>> {
        Ok(Version {
            value: self.decode_plain(&version.value.0)?,
            valid_from_ms: version.valid_from_ms,
            valid_to_ms: version.valid_to_ms,
        })
    }
}
