//! Ordered bytes by key: the traits every layer and engine shares. Not typed, not transactional by itself.
//! Invariant: a scan visits each live key of the range once, in byte order (or its reverse).

use crate::Result;
use std::ops::{Bound, ControlFlow, RangeBounds, RangeInclusive};

/// Which way a scan walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending byte order.
    Forward,
    /// Descending byte order.
    Backward,
}

/// A range of keys, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct KeyRange<'a> {
    /// Lower bound.
    pub from: Bound<&'a [u8]>,
    /// Upper bound.
    pub to: Bound<&'a [u8]>,
}

impl<'a> KeyRange<'a> {
    /// Every key.
    pub const ALL: KeyRange<'static> = KeyRange {
        from: Bound::Unbounded,
        to: Bound::Unbounded,
    };

    /// True when no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        match (self.from, self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (
                Bound::Included(from) | Bound::Excluded(from),
                Bound::Included(to) | Bound::Excluded(to),
            ) => from >= to,
            _ => false,
        }
    }

    /// True when `key` lies in it.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        <(Bound<&[u8]>, Bound<&[u8]>) as RangeBounds<[u8]>>::contains(&(self.from, self.to), key)
    }

    /// `from..=to`, as Kafka Streams' ranges are.
    pub fn inclusive(from: &'a [u8], to: &'a [u8]) -> Self {
        Self {
            from: Bound::Included(from),
            to: Bound::Included(to),
        }
    }
}

/// What a scan calls for each entry; `Break` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Reads bytes by key.
pub trait ReadBytes {
    /// Copies the value into `value` (cleared first) and answers whether there is one.
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool>;
    /// Visits the entries of `range` in order.
    fn scan(&self, range: KeyRange<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<()>;
    /// As [`Self::scan`], but entries of a segmented store whose time lies outside of `times` may be left out: the caller
    /// filters, the store saves opening segments.
    fn scan_times(
        &self,
        range: KeyRange<'_>,
        times: RangeInclusive<i64>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let _ = times;
        self.scan(range, direction, visit)
    }
    /// As [`Self::scan_times`], for a range whose bounds begin with `key`, a plain key of a window or session store: entries of
    /// other keys may be left out too, and the store saves looking for their places.
    fn scan_key(
        &self,
        key: &[u8],
        range: KeyRange<'_>,
        times: RangeInclusive<i64>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let _ = key;
        self.scan_times(range, times, direction, visit)
    }
    /// The store's name, for messages.
    fn name(&self) -> &str {
        "unnamed"
    }
    /// Times before this are beyond the store's retention; `i64::MIN` when nothing expires.
    fn horizon_ms(&self) -> i64 {
        i64::MIN
    }
}

/// Reads and writes bytes by key.
pub trait ByteStore: ReadBytes {
    /// Sets the value of `key`.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;
    /// Removes `key`; an absent one is fine.
    fn delete(&mut self, key: &[u8]) -> Result<()>;
}
