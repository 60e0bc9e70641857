//! Versioned stores: what held at a time. Not a history without end: versions older than the history are forgotten.
//! Invariant: versions of a key do not overlap.

use super::{Failing, StoreView};
use crate::Result;
use crate::dsl::Versions;
use headwater_store::versioned;
use std::ops::ControlFlow;

/// Where a version that was put ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionPut {
    /// Older than the history: not kept, though it goes to the changelog (`PUT_RETURN_CODE_NOT_PUT`).
    Expired,
    /// The latest version of its key (`PUT_RETURN_CODE_VALID_TO_UNDEFINED`).
    Latest,
    /// Valid until this time, exclusive: a newer version exists.
    Until(i64),
}

/// A version of a value (`VersionedRecord`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionedRecord<V> {
    /// The value.
    pub value: V,
    /// Since when it holds, ms since the epoch.
    pub timestamp: i64,
    /// When it ceased to hold, exclusive; `None` for the latest.
    pub valid_to: Option<i64>,
}

impl<K, V> StoreView<'_, K, V, Versions> {
    /// Puts a version of `key` that holds from `timestamp` on; `None` says that there is no value from then on.
    pub fn put(&mut self, key: &K, value: Option<&V>, timestamp: i64) -> Result<VersionPut> {
        self.with_key(key, |view, key, bytes| {
            bytes.clear();
            let present = match value {
                Some(value) => view.encode_value(value, bytes)?,
                None => false,
            };
            let value = present.then_some(bytes.as_slice());
            let put = view.ctx.write_version(view.store, key, value, timestamp)?;
            Ok(match put {
                versioned::Put::Expired => VersionPut::Expired,
                versioned::Put::Latest => VersionPut::Latest,
                versioned::Put::Until(time) => VersionPut::Until(time),
            })
        })
    }

    /// Says that `key` has no value from `timestamp` on; answers what held then.
    pub fn delete(&mut self, key: &K, timestamp: i64) -> Result<Option<VersionedRecord<V>>> {
        let held = self.get_as_of(key, timestamp)?;
        self.put(key, None, timestamp)?;
        Ok(held)
    }

    /// The latest version of `key`.
    pub fn get(&mut self, key: &K) -> Result<Option<VersionedRecord<V>>> {
        self.with_key(key, |view, key, _| {
            let found = versioned::get(&view.ctx.state.store(view.store).bytes, key)?;
            found
                .map(|version| view.decode_version(version))
                .transpose()
        })
    }

    /// The version of `key` that held at `time`. Beyond the history only a latest version is still known.
    pub fn get_as_of(&mut self, key: &K, time: i64) -> Result<Option<VersionedRecord<V>>> {
        self.with_key(key, |view, key, _| {
            let store = &view.ctx.state.store(view.store).bytes;
            let found = versioned::get_as_of(store, key, time)?;
            found
                .map(|version| view.decode_version(version))
                .transpose()
        })
    }

    /// Visits the versions of `key` that held at some time from `from` to `to`, oldest first.
    pub fn history(
        &mut self,
        key: &K,
        from: i64,
        to: i64,
        mut visit: impl FnMut(VersionedRecord<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.with_key(key, |view, key, _| {
            let mut failing = Failing(None);
            let store = &view.ctx.cached(view.store).store.bytes;
            versioned::get_between(store, key, from, to, &mut |version| {
                failing.step(view.decode_version(version).map(&mut visit))
            })?;
            failing.end()
        })
    }

    fn decode_version(&self, version: versioned::Version) -> Result<VersionedRecord<V>> {
        Ok(VersionedRecord {
            value: self.decode_value(&version.value)?,
            timestamp: version.valid_from_ms,
            valid_to: version.valid_to_ms,
        })
    }
}
