//! The record cache as Kafka Streams' range over a window store goes through it, for what it passes counts as used: one entry ahead
//! of what it hands out, and before an in-memory store over all keys, by time. Not what the range shows, which is the caller's.
//! Invariant: nothing is changed but the order in which entries are evicted.
//!
//! A store on disk shows a range what it held when that began: where an entry is evicted before its turn has come, the range has the
//! row of before, or none, and what is written upon that loses the entry's update.
//!
//! `CachingWindowStore` puts a segment before each cached key, and in-memory stores have segments of 1 ms
//! (`InMemoryWindowBytesStoreSupplier.segmentIntervalMs`).

use super::{Context, StoreOrder};
use crate::Semantics;
use headwater_store::{Direction, KeyRange, window};
use std::ops::RangeInclusive;

/// Entries of a cache that is walked over all keys. In a larger one only those of the range are passed: each record would pay for all
/// of them, as it does in Kafka Streams.
const WALKED_ENTRIES_MAX: usize = 1_024;

/// What Kafka Streams' read of closed windows passes in the record cache counts as used: in a store by time first the range and the
/// next window behind it, if that lies in the same segment (`TimeOrderedCachingWindowStore`); in others all there is
/// (`CachingWindowStore.fetchAll`).
pub(crate) fn note_closing(ctx: &Context<'_>, store: usize, times: &RangeInclusive<i64>) {
    let state = ctx.state.stores[store].as_ref();
    let Some((state, slot)) = state.and_then(|state| Some((state, state.cache?))) else {
        return;
    };
    let Some(java) = &state.java else { return };
    if ctx.cache.is_empty(slot) || ctx.cache.len(slot) > WALKED_ENTRIES_MAX {
        return;
    }
    let by_time = java.order() == StoreOrder::TimeFirst;
    let segment = |time: i64| match by_time {
        true => time,
        false => java.cached_segment(time),
    };
    let cached = ctx.cache.range(slot, KeyRange::ALL, Direction::Forward);
    let mut passed: Vec<(i64, &[u8], i64)> = cached
        .filter(|(key, _)| !state.is_cached_index(key))
        .filter_map(|(key, _)| {
            let (_, start, _) = window::parse(key)?;
            (!by_time || start >= *times.start()).then(|| (segment(start), key, start))
        })
        .collect();
    passed.sort_unstable();
    for (_, key, start) in passed {
        let behind = by_time && start > *times.end();
        if behind && java.cached_segment(start) != java.cached_segment(*times.end()) {
            break;
        }
        ctx.cache.note_use(slot, key);
        if behind {
            break;
        }
    }
}

/// What is left of a range of one key.
#[derive(Default)]
pub(crate) struct CacheWalk {
    /// Cached keys, the next one last, and whether the range has each.
    left: Vec<(Vec<u8>, bool)>,
    /// Reached and not handed out yet.
    reached: Option<Vec<u8>>,
    /// Keys of the range that lie over a store which shows what it held when the walk began.
    overlaid: Vec<Vec<u8>>,
    slot: usize,
}

impl CacheWalk {
    /// Of the windows of `key` that begin from `from_ms` to `to_ms`; `None` where nothing is cached, or use is our own affair.
    pub(crate) fn of(
        ctx: &Context<'_>,
        store: usize,
        key: &[u8],
        (from_ms, to_ms): (i64, i64),
        direction: Direction,
    ) -> Option<Self> {
        if ctx.state.semantics != Semantics::Java {
            return None;
        }
        let state = ctx.state.stores[store].as_ref()?;
        let slot = state.cache.filter(|slot| !ctx.cache.is_empty(*slot))?;
        let in_memory = state.java.as_ref().is_some_and(|java| java.is_in_memory());
        let of_all = in_memory && ctx.cache.len(slot) <= WALKED_ENTRIES_MAX;
        let (mut lowest, mut highest) = (Vec::new(), Vec::new());
        window::key(key, if of_all { 0 } else { from_ms }, 0, &mut lowest);
        window::key(key, to_ms, u32::MAX, &mut highest);
        let range = match of_all {
            true => KeyRange::ALL,
            false => KeyRange::inclusive(&lowest, &highest),
        };
        let entries = ctx.cache.range(slot, range, Direction::Forward);
        let mut left: Vec<(i64, Vec<u8>, bool)> = entries
            .filter_map(|(bytes, _)| {
                let (found, start, _) = window::parse(bytes)?;
                let shown = found == key && (from_ms..=to_ms).contains(&start);
                let here = (start, bytes);
                let passed = shown || of_all && (0, &*lowest) <= here && here <= (to_ms, &*highest);
                passed.then(|| (start, bytes.to_vec(), shown))
            })
            .collect();
        let of_range = left.iter().filter(|(_, _, shown)| *shown && !in_memory);
        let overlaid = of_range.map(|(_, bytes, _)| bytes.clone()).collect();
        left.sort_unstable();
        if direction == Direction::Forward {
            left.reverse();
        }
        let left = left.into_iter();
        Some(Self {
            left: left.map(|(_, bytes, shown)| (bytes, shown)).collect(),
            reached: None,
            overlaid,
            slot,
        })
    }

    /// Goes on to the next entry of the range, as asking whether there is more does (`FilteredCacheIterator.hasNext`).
    pub(crate) fn look(&mut self, ctx: &Context<'_>) {
        while self.reached.is_none()
            && let Some((bytes, shown)) = self.left.pop()
        {
            // What was evicted since the walk began is passed over.
            let Some(entry) = ctx.cache.peek(self.slot, &bytes) else {
                continue;
            };
            ctx.cache.note_use(self.slot, &bytes);
            if shown && entry.value.is_some() {
                self.reached = Some(bytes);
            }
        }
    }

    /// The keys whose rows come from below, as these were when the walk began, if they are evicted before their turn.
    pub(crate) fn overlaid(&self) -> impl Iterator<Item = &[u8]> {
        self.overlaid.iter().map(Vec::as_slice)
    }

    /// A window's turn has come; true if its row is not what was cached, but what the store held when the walk began.
    pub(crate) fn handed_out(&mut self, key: &[u8]) -> bool {
        if self.reached.as_deref() == Some(key) {
            self.reached = None;
            return false;
        }
        self.overlaid().any(|overlaid| overlaid == key)
    }
}
