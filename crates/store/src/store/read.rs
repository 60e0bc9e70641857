//! How the owner reads: open overlay, pending overlay, write-back cache, engine. Not what other threads see.
//! Invariant: the upper layer wins, and a deletion in it hides what is below.

use super::{Store, count};
use crate::{
    Direction, KeyRange, KeysAhead, PlainKey, ReadBytes, Result, Visit,
    ahead::load_all,
    committed::Layer,
    index::{append, hash},
    scan::{CommittedScan, Query, compare},
};
use std::ops::RangeInclusive;

/// Once the caches are full, one in so many values read from the engine is kept: hot keys come back soon enough, and keys
/// read once evict little.
const MISSES_PER_FILL: u64 = 2;

impl ReadBytes for Store {
    #[inline]
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        count(&self.counters.gets);
        let hash = hash(key);
        if let Some(lru) = &self.lru {
            lru.borrow_mut().touch(hash, key);
        }
        for overlay in [&self.open, &self.pending] {
            if let Some(change) = overlay.get(hash, key) {
                count(&self.counters.overlay_hits);
                value.clear();
                append(value, change.unwrap_or_default());
                return Ok(change.is_some());
            }
        }
        let (found, layer) = self.shared.read().get(hash, key, value)?;
        if let Layer::WriteBack(slot) = layer {
            count(&self.counters.write_back_hits);
            self.below.set((hash, slot));
        } else if found {
            self.keep_read(hash, key, value);
        }
        Ok(found)
    }

    fn scan(&self, range: KeyRange<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        self.scan_times(range, i64::MIN..=i64::MAX, direction, visit)
    }

    fn scan_times(
        &self,
        range: KeyRange<'_>,
        times: RangeInclusive<i64>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.merge(range, None, times, direction, visit)
    }

    fn scan_key(
        &self,
        key: &[u8],
        range: KeyRange<'_>,
        times: RangeInclusive<i64>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let plain = self.options.layout.plain_key(key);
        self.merge(range, plain, times, direction, visit)
    }

    fn name(&self) -> &str {
        self.name()
    }

    fn horizon_ms(&self) -> i64 {
        let retention_ms = self.shared.retention_ms;
        let uncommitted = retention_ms.map_or(i64::MIN, |retention_ms| {
            self.open_time_ms.saturating_sub(retention_ms)
        });
        self.shared.horizon_ms().max(uncommitted)
    }
}

impl Store {
    /// False while it keeps so few entries in memory that [`Self::warm`] would not pay.
    pub fn wants_warming(&self) -> bool {
        !self.shared.read().write_back.is_small()
    }

    /// Loads into the processor's caches what reading these keys will wait for, and changes nothing.
    pub fn warm(&self, keys: &KeysAhead) {
        let committed = self.shared.read();
        let write_back = &committed.write_back;
        let hashes = || keys.hashes().iter().copied();
        let overlays = || {
            let both = [&self.open, &self.pending].into_iter();
            both.filter(|overlay| !overlay.is_empty())
        };
        load_all(hashes().map(|hash| write_back.begin(hash)));
        overlays().for_each(|overlay| load_all(hashes().map(|hash| overlay.begin(hash))));
        load_all(hashes().map(|hash| write_back.load(hash)));
        overlays().for_each(|overlay| load_all(hashes().map(|hash| overlay.load(hash))));
    }

    /// As [`Self::warm`], of reads of all entries of plain keys, in layouts that put times behind them.
    pub fn warm_plain(&self, keys: &KeysAhead) {
        let committed = self.shared.read();
        let write_back = &committed.write_back;
        if let Some(families) = write_back.families() {
            families.warm_slots(keys, |slots| {
                load_all(slots.iter().map(|slot| write_back.load_slot(*slot)));
            });
        }
        for overlay in [&self.open, &self.pending] {
            if let Some(families) = overlay.families() {
                families.warm_slots(keys, |slots| {
                    load_all(slots.iter().map(|slot| overlay.load_slot(*slot)));
                });
            }
        }
    }

    /// As [`Self::warm`], of keys that are read and then written.
    pub fn warm_changes<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let (mut all, mut plain) = (KeysAhead::default(), KeysAhead::default());
        let families = self.open.families();
        for key in keys {
            all.push(key);
            if let Some(families) = families {
                plain.push_hash(families.plain_hash(key));
            }
        }
        self.warm(&all);
        if let Some(families) = families {
            families.warm(&plain);
        }
    }

    /// Visits a range, of one plain key where one is named, of all layers.
    fn merge(
        &self,
        range: KeyRange<'_>,
        plain: Option<PlainKey<'_>>,
        times: RangeInclusive<i64>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        count(&self.counters.scans);
        if range.is_empty() {
            return Ok(());
        }
        let mut open = self.open.scan(range, plain, direction).peekable();
        let mut pending = self.pending.scan(range, plain, direction).peekable();
        let query = Query {
            range,
            plain,
            times,
            direction,
            commit: None,
        };
        let mut below = CommittedScan::start(&self.shared, query, self.chunk.take())?;
        loop {
            let heads = [
                below.head().map(|(key, value)| (key, Some(value))),
                pending.peek().copied(),
                open.peek().copied(),
            ];
            // Later candidates win over earlier ones with the same key.
            let first = heads.iter().flatten().copied().reduce(|first, candidate| {
                if compare(direction, candidate.0, first.0).is_le() {
                    candidate
                } else {
                    first
                }
            });
            let Some((key, value)) = first else {
                break;
            };
            let passed = heads.map(|head| head.is_some_and(|(head, _)| head == key));
            if let Some(value) = value
                && visit(key, value).is_break()
            {
                break;
            }
            if passed[0] {
                below.advance()?;
            }
            if passed[1] {
                pending.next();
            }
            if passed[2] {
                open.next();
            }
        }
        self.chunk.set(below.into_chunk());
        Ok(())
    }

    /// Keeps what the engine answered, as a rule.
    #[inline(never)]
    fn keep_read(&self, hash: u32, key: &[u8], value: &[u8]) {
        // Only the owner changes committed state, so the value is still the engine's.
        let misses = self.counters.misses.get() + 1;
        self.counters.misses.set(misses);
        if !self.budget.is_full() || misses.is_multiple_of(MISSES_PER_FILL) {
            let mut committed = self.shared.write();
            committed.write_back.fill(hash, key, value);
            self.shared.settle_if_due(&mut committed);
        }
    }
}
