//! Key-value stores, with and without timestamps and headers. Not versions. Invariant: ranges are in the order of the keys' bytes.

use super::row::{RowKind, Timestamped, ValueTimestampHeaders};
use super::{Failing, StoreView};
use crate::Result;
use crate::dsl::{ByKey, KeyValues, KeyValuesWithHeaders, TimedWithHeaders, TimestampedKeyValues};
use crate::format::Data;
use crate::operator::encode_key;
use headwater_store::{Direction, KeyRange};
use std::ops::{Bound, ControlFlow};

impl<K, V> StoreView<'_, K, V, KeyValues> {
    /// Sets the value under `key`.
    pub fn put(&mut self, key: &K, value: &V) -> Result<()> {
        self.put_row(key, |view, bytes| view.encode_value(value, bytes))
    }

    /// Sets the value under `key` if there is none; answers the one that is there.
    pub fn put_if_absent(&mut self, key: &K, value: &V) -> Result<Option<V>> {
        self.put_if_none(key, |view| view.put(key, value))
    }
}

impl<K, V> StoreView<'_, K, V, TimestampedKeyValues> {
    /// Sets the value under `key`, with a timestamp in ms since the epoch.
    pub fn put(&mut self, key: &K, value: &V, timestamp: i64) -> Result<()> {
        self.put_row(key, |view, bytes| view.encode_at(value, timestamp, bytes))
    }

    /// Sets the value under `key` if there is none; answers the one that is there.
    pub fn put_if_absent(
        &mut self,
        key: &K,
        value: &V,
        timestamp: i64,
    ) -> Result<Option<Timestamped<V>>> {
        self.put_if_none(key, |view| view.put(key, value, timestamp))
    }
}

impl<K, V> StoreView<'_, K, V, KeyValuesWithHeaders> {
    /// Sets the value under `key`, with its timestamp and headers.
    pub fn put(&mut self, key: &K, row: &ValueTimestampHeaders<V>) -> Result<()> {
        self.put_row(key, |view, bytes| {
            TimedWithHeaders::encode(view, row, bytes)
        })
    }

    /// Sets the value under `key` if there is none; answers the one that is there.
    pub fn put_if_absent(
        &mut self,
        key: &K,
        row: &ValueTimestampHeaders<V>,
    ) -> Result<Option<ValueTimestampHeaders<V>>> {
        self.put_if_none(key, |view| view.put(key, row))
    }
}

/// Of all kinds with one row under each key.
impl<K, V, R: RowKind> StoreView<'_, K, V, ByKey<R>> {
    /// What is under `key`.
    pub fn get(&mut self, key: &K) -> Result<Option<R::Of<V>>> {
        self.with_key(key, |view, key, row| {
            match view.ctx.get(view.store, key, row)? {
                true => R::decode(view, row).map(Some),
                false => Ok(None),
            }
        })
    }

    /// Removes `key`; the changelog gets a deletion in any case, as in Kafka Streams.
    pub fn delete(&mut self, key: &K) -> Result<()> {
        self.with_key(key, |view, key, value| view.delete_bytes(key, value))
    }

    /// Visits the entries from `from` to `to`, both included, in the order of their bytes; all where a bound is `None`.
    pub fn range(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        mut visit: impl FnMut(K, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan(from, to, Direction::Forward, |key, row| {
            Ok(visit(self.decode_key(key)?, R::decode(self, row)?))
        })
    }

    /// As [`StoreView::range`], in descending order.
    pub fn reverse_range(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        mut visit: impl FnMut(K, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan(from, to, Direction::Backward, |key, row| {
            Ok(visit(self.decode_key(key)?, R::decode(self, row)?))
        })
    }

    /// Visits all entries.
    pub fn all(&self, visit: impl FnMut(K, R::Of<V>) -> ControlFlow<()>) -> Result<()> {
        self.range(None, None, visit)
    }

    /// Visits all entries in descending order.
    pub fn reverse_all(&self, visit: impl FnMut(K, R::Of<V>) -> ControlFlow<()>) -> Result<()> {
        self.reverse_range(None, None, visit)
    }

    /// Visits the entries whose key bytes begin with those of `prefix`.
    pub fn prefix<P: Data>(
        &self,
        prefix: &P,
        mut visit: impl FnMut(K, R::Of<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan_prefix(prefix, |key, row| {
            Ok(visit(self.decode_key(key)?, R::decode(self, row)?))
        })
    }

    /// Writes what `encode` appends, or a deletion where it answers false.
    fn put_row(
        &mut self,
        key: &K,
        encode: impl FnOnce(&Self, &mut Vec<u8>) -> Result<bool>,
    ) -> Result<()> {
        self.with_key(key, |view, key, bytes| {
            bytes.clear();
            let present = encode(view, bytes)?;
            view.write(key, present.then_some(bytes.as_slice()))
        })
    }

    fn put_if_none(
        &mut self,
        key: &K,
        put: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Option<R::Of<V>>> {
        self.check_writable()?;
        let old = self.get(key)?;
        if old.is_none() {
            put(self)?;
        }
        Ok(old)
    }
}

impl<K, V, S> StoreView<'_, K, V, S> {
    fn scan(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let bound = |key: Option<&K>| -> Result<Bound<Vec<u8>>> {
            let Some(key) = key else {
                return Ok(Bound::Unbounded);
            };
            let mut bytes = Vec::new();
            Ok(match encode_key(&self.key, &self.topic, key, &mut bytes)? {
                true => Bound::Included(bytes),
                false => Bound::Unbounded,
            })
        };
        let (from, to) = (bound(from)?, bound(to)?);
        let range = KeyRange {
            from: from.as_ref().map(Vec::as_slice),
            to: to.as_ref().map(Vec::as_slice),
        };
        let mut failing = Failing(None);
        let mut each = |key: &[u8], value: &[u8]| failing.step(visit(key, value));
        (self.ctx).scan(self.store, range, direction, &mut each)?;
        failing.end()
    }

    fn scan_prefix<P: Data>(
        &self,
        prefix: &P,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut from = Vec::new();
        encode_key(&P::format(), &self.topic, prefix, &mut from)?;
        let range = KeyRange {
            from: Bound::Included(&from),
            to: Bound::Unbounded,
        };
        let mut failing = Failing(None);
        let mut each = |key: &[u8], value: &[u8]| match key.starts_with(&from) {
            true => failing.step(visit(key, value)),
            false => ControlFlow::Break(()),
        };
        (self.ctx).scan(self.store, range, Direction::Forward, &mut each)?;
        failing.end()
    }
}
