//! Key-value stores, with and without timestamps. Not versions. Invariant: ranges are in the order of the keys' bytes.

use super::{Failing, StoreView};
use crate::dsl::{KeyValues, TimestampedKeyValues};
use crate::format::Data;
use crate::operator::encode_key;
use crate::{Error, Result};
use headwater_store::{Direction, KeyRange};
use std::ops::{Bound, ControlFlow};

/// A value with its timestamp (`ValueAndTimestamp`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamped<V> {
    /// The value.
    pub value: V,
    /// Its timestamp, ms since the epoch.
    pub timestamp: i64,
}

impl<K, V> StoreView<'_, K, V, KeyValues> {
    /// The value under `key`.
    pub fn get(&mut self, key: &K) -> Result<Option<V>> {
        self.with_key(key, |view, key, value| {
            match view.ctx.get(view.store, key, value)? {
                true => view.decode_value(value).map(Some),
                false => Ok(None),
            }
        })
    }

    /// Sets the value under `key`.
    pub fn put(&mut self, key: &K, value: &V) -> Result<()> {
        self.with_key(key, |view, key, bytes| {
            bytes.clear();
            let present = view.encode_value(value, bytes)?;
            view.write(key, present.then_some(bytes.as_slice()))
        })
    }

    /// Sets the value under `key` if there is none; answers the one that is there.
    pub fn put_if_absent(&mut self, key: &K, value: &V) -> Result<Option<V>> {
        self.check_writable()?;
        let old = self.get(key)?;
        if old.is_none() {
            self.put(key, value)?;
        }
        Ok(old)
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
        mut visit: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan(from, to, Direction::Forward, |key, value| {
            Ok(visit(self.decode_key(key)?, self.decode_value(value)?))
        })
    }

    /// As [`StoreView::range`], in descending order.
    pub fn reverse_range(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        mut visit: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan(from, to, Direction::Backward, |key, value| {
            Ok(visit(self.decode_key(key)?, self.decode_value(value)?))
        })
    }

    /// Visits all entries.
    pub fn all(&self, visit: impl FnMut(K, V) -> ControlFlow<()>) -> Result<()> {
        self.range(None, None, visit)
    }

    /// Visits all entries in descending order.
    pub fn reverse_all(&self, visit: impl FnMut(K, V) -> ControlFlow<()>) -> Result<()> {
        self.reverse_range(None, None, visit)
    }

    /// Visits the entries whose key bytes begin with those of `prefix`.
    pub fn prefix<P: Data>(
        &self,
        prefix: &P,
        mut visit: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan_prefix(prefix, |key, value| {
            Ok(visit(self.decode_key(key)?, self.decode_value(value)?))
        })
    }
}

impl<K, V> StoreView<'_, K, V, TimestampedKeyValues> {
    /// The value under `key` with its timestamp.
    pub fn get(&mut self, key: &K) -> Result<Option<Timestamped<V>>> {
        self.with_key(key, |view, key, value| {
            match view.ctx.get(view.store, key, value)? {
                true => view.decode_timestamped(value).map(Some),
                false => Ok(None),
            }
        })
    }

    /// Sets the value under `key`, with a timestamp in ms since the epoch.
    pub fn put(&mut self, key: &K, value: &V, timestamp: i64) -> Result<()> {
        self.with_key(key, |view, key, bytes| {
            bytes.clear();
            bytes.extend_from_slice(&timestamp.to_be_bytes());
            let present = view.encode_value(value, bytes)?;
            view.write(key, present.then_some(bytes.as_slice()))
        })
    }

    /// Sets the value under `key` if there is none; answers the one that is there.
    pub fn put_if_absent(
        &mut self,
        key: &K,
        value: &V,
        timestamp: i64,
    ) -> Result<Option<Timestamped<V>>> {
        self.check_writable()?;
        let old = self.get(key)?;
        if old.is_none() {
            self.put(key, value, timestamp)?;
        }
        Ok(old)
    }

    /// Removes `key`; the changelog gets a deletion in any case, as in Kafka Streams.
    pub fn delete(&mut self, key: &K) -> Result<()> {
        self.with_key(key, |view, key, value| view.delete_bytes(key, value))
    }

    /// As [`StoreView::range`] of a plain store.
    pub fn range(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        mut visit: impl FnMut(K, Timestamped<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan(from, to, Direction::Forward, |key, value| {
            Ok(visit(
                self.decode_key(key)?,
                self.decode_timestamped(value)?,
            ))
        })
    }

    /// As [`StoreView::range`], in descending order.
    pub fn reverse_range(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        mut visit: impl FnMut(K, Timestamped<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan(from, to, Direction::Backward, |key, value| {
            Ok(visit(
                self.decode_key(key)?,
                self.decode_timestamped(value)?,
            ))
        })
    }

    /// Visits all entries.
    pub fn all(&self, visit: impl FnMut(K, Timestamped<V>) -> ControlFlow<()>) -> Result<()> {
        self.range(None, None, visit)
    }

    /// Visits all entries in descending order.
    pub fn reverse_all(
        &self,
        visit: impl FnMut(K, Timestamped<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.reverse_range(None, None, visit)
    }

    /// Visits the entries whose key bytes begin with those of `prefix`.
    pub fn prefix<P: Data>(
        &self,
        prefix: &P,
        mut visit: impl FnMut(K, Timestamped<V>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan_prefix(prefix, |key, value| {
            Ok(visit(
                self.decode_key(key)?,
                self.decode_timestamped(value)?,
            ))
        })
    }

    fn decode_timestamped(&self, bytes: &[u8]) -> Result<Timestamped<V>> {
        match bytes.split_first_chunk::<8>() {
            Some((timestamp, value)) => Ok(Timestamped {
                value: self.decode_value(value)?,
                timestamp: i64::from_be_bytes(*timestamp),
            }),
            None => Err(Error::format(
                &self.topic,
                &"a stored value is shorter than its timestamp".into(),
            )),
        }
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
