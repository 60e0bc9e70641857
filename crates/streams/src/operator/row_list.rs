//! Rows of a window or session store, copied into one buffer that is used again: the store may change while they are used.
//! Not a cursor. Invariant: once settled, a key is there once, and the record cache has the last word on it.

use crate::Result;
use crate::task::Context;
use headwater_store::{Direction, Entry, KeyRange, ReadBytes};
use std::cmp::Ordering;
use std::ops::{ControlFlow, RangeInclusive};

/// The value length of a row that the record cache has deleted.
const DELETED: usize = usize::MAX;

struct Place {
    at: usize,
    key_len: usize,
    value_len: usize,
    cached: bool,
}

/// Which rows are read.
pub(crate) struct Asked<'a> {
    pub(crate) store: usize,
    /// The only key asked for, with which both bounds begin.
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) range: KeyRange<'a>,
    pub(crate) times: RangeInclusive<i64>,
}

/// Rows by key and value.
#[derive(Default)]
pub(crate) struct RowList {
    bytes: Vec<u8>,
    rows: Vec<Place>,
}

impl RowList {
    /// Reads the rows asked for that `accept` takes, through the record cache.
    pub(crate) fn read(
        &mut self,
        ctx: &mut Context<'_>,
        asked: Asked<'_>,
        accept: impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        self.collect(ctx, asked, false, accept)?;
        self.settle(<[u8]>::cmp);
        Ok(())
    }

    /// As [`RowList::read`], not yet settled; `closing` reads as Kafka Streams reads closed windows.
    pub(crate) fn collect(
        &mut self,
        ctx: &mut Context<'_>,
        asked: Asked<'_>,
        closing: bool,
        accept: impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        self.bytes.clear();
        self.rows.clear();
        let Asked {
            store,
            key,
            range,
            times,
        } = asked;
        let state = ctx.state.store(store);
        let java = state.java.as_deref();
        let hidden = |key: &[u8]| {
            java.is_some_and(|java| {
                if closing {
                    java.hides_from_close(key)
                } else {
                    java.hides(key)
                }
            })
        };
        let mut buffer = Vec::new();
        let mut failed = None;
        let mut visit = |key: &[u8], kept: &[u8]| {
            if accept(key) && !hidden(key) {
                match state.kept.unpacked(&state.name, kept, &mut buffer) {
                    Ok(value) => self.push(key, Some(value), false),
                    Err(error) => {
                        failed = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        };
        let bytes = &state.bytes;
        match key {
            Some(key) => bytes.scan_key(key, range, times, Direction::Forward, &mut visit)?,
            None => bytes.scan_times(range, times, Direction::Forward, &mut visit)?,
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        if let Some(slot) = state.cache {
            let mut take = |(key, entry): (&[u8], &Entry)| {
                if !state.is_cached_index(key) && accept(key) {
                    self.push(key, entry.value.as_deref(), true);
                }
            };
            let plain = key.and_then(|key| state.bytes.options().layout.plain_key(key));
            let (cache, direction) = (&ctx.cache, Direction::Forward);
            match plain {
                Some(key) => (cache.range_of(slot, key, range, direction)).for_each(&mut take),
                None => cache.range(slot, range, direction).for_each(&mut take),
            }
        }
        Ok(())
    }

    fn push(&mut self, key: &[u8], value: Option<&[u8]>, cached: bool) {
        self.rows.push(Place {
            at: self.bytes.len(),
            key_len: key.len(),
            value_len: value.map_or(DELETED, <[u8]>::len),
            cached,
        });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// Sorts by key, and drops what the record cache has replaced or deleted.
    pub(crate) fn settle(&mut self, compare: impl Fn(&[u8], &[u8]) -> Ordering) {
        let bytes = &self.bytes;
        let key = |place: &Place| &bytes[place.at..place.at + place.key_len];
        // The cached one first, since of equal keys the first stays.
        self.rows
            .sort_by(|a, b| compare(key(a), key(b)).then(b.cached.cmp(&a.cached)));
        self.rows.dedup_by(|b, a| key(a) == key(b));
        self.rows.retain(|place| place.value_len != DELETED);
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Key and value of a row.
    pub(crate) fn row(&self, number: usize) -> (&[u8], &[u8]) {
        let place = &self.rows[number];
        let (key, rest) = self.bytes[place.at..].split_at(place.key_len);
        (key, &rest[..place.value_len])
    }
}
