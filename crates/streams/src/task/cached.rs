//! A store as its task reads it: what the record cache holds over what the store holds.
//! Not for writing. Invariant: a cached deletion hides the store's value, and values read as operators wrote them.

use super::StateStore;
use headwater_store::{
    Direction, Entry, KeyRange, PlainKey, ReadBytes, RecordCache, Result, Visit,
};
use std::ops::{ControlFlow, RangeInclusive};

/// Reads one store through its record cache.
pub(crate) struct CachedStore<'a> {
    pub(crate) store: &'a StateStore,
    pub(crate) cache: &'a RecordCache,
    /// Passes over rows of the store, not of the cache, that Kafka Streams' store would not show.
    pub(crate) hides: bool,
    /// What a range shows of the record cache counts as used, as in Kafka Streams.
    pub(crate) uses: bool,
}

/// A cached update: key, and value unless it is a deletion.
type Cached = (Vec<u8>, Option<Vec<u8>>);

impl CachedStore<'_> {
    /// The cached updates in a range, of one plain key where one is named, copied: what a visitor does may change the cache. As
    /// many as the cache holds.
    fn cached(
        &self,
        range: KeyRange<'_>,
        plain: Option<PlainKey<'_>>,
        direction: Direction,
    ) -> Vec<Cached> {
        let Some(slot) = self.store.cache.filter(|slot| !self.cache.is_empty(*slot)) else {
            return Vec::new();
        };
        let copied = |(key, entry): (&[u8], &Entry)| {
            let is_row = !self.store.is_cached_index(key);
            is_row.then(|| (key.to_vec(), entry.value.as_deref().map(<[u8]>::to_vec)))
        };
        match plain {
            Some(key) => {
                let entries = self.cache.range_of(slot, key, range, direction);
                entries.filter_map(copied).collect()
            }
            None => {
                let entries = self.cache.range(slot, range, direction);
                entries.filter_map(copied).collect()
            }
        }
    }

    /// Visits the rows of a range, of one plain key where one is named.
    fn merge(
        &self,
        key: Option<&[u8]>,
        (range, times): (KeyRange<'_>, RangeInclusive<i64>),
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        // What counts as used are the entries of other keys between the bounds too.
        let key = key.filter(|_| !self.uses);
        let layout = &self.store.bytes.options().layout;
        let plain = key.and_then(|key| layout.plain_key(key));
        let mut cached = self.cached(range, plain, direction).into_iter().peekable();
        let (name, kept) = (&*self.store.name, self.store.kept);
        let mut buffer = Vec::new();
        let mut outcome = Ok(ControlFlow::Continue(()));
        self.look_at(cached.peek());
        let mut merged = |key: &[u8], value: &[u8]| {
            while let Some((head, value)) = cached.next_if(|(head, _)| before(direction, head, key))
            {
                if let Some(value) = value
                    && visit(&head, &value).is_break()
                {
                    outcome = Ok(ControlFlow::Break(()));
                    return ControlFlow::Break(());
                }
                self.look_at(cached.peek());
            }
            let hidden = self.hides && self.store.hides(key);
            let replaced = cached.next_if(|(head, _)| head == key);
            let of_cache = replaced.is_some();
            let step = match replaced {
                None if hidden => Ok(ControlFlow::Continue(())),
                Some((_, Some(value))) => Ok(visit(key, &value)),
                Some((_, None)) => Ok(ControlFlow::Continue(())),
                None => (kept.unpacked(name, value, &mut buffer)).map(|value| visit(key, value)),
            };
            outcome = step;
            if of_cache && matches!(outcome, Ok(ControlFlow::Continue(()))) {
                self.look_at(cached.peek());
            }
            match outcome {
                Ok(step) => step,
                Err(_) => ControlFlow::Break(()),
            }
        };
        let bytes = &self.store.bytes;
        match key {
            Some(key) => bytes.scan_key(key, range, times, direction, &mut merged)?,
            None => bytes.scan_times(range, times, direction, &mut merged)?,
        }
        if outcome?.is_break() {
            return Ok(());
        }
        while let Some((key, value)) = cached.next() {
            if let Some(value) = value
                && visit(&key, &value).is_break()
            {
                break;
            }
            self.look_at(cached.peek());
        }
        Ok(())
    }

    /// Kafka Streams looks at the cached update that comes next before it shows anything.
    fn look_at(&self, next: Option<&Cached>) {
        if self.uses
            && let (Some((key, _)), Some(slot)) = (next, self.store.cache)
        {
            self.cache.note_use(slot, key);
        }
    }
}

impl ReadBytes for CachedStore<'_> {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let cached = self.store.cache.and_then(|slot| self.cache.peek(slot, key));
        match cached {
            Some(entry) => {
                value.clear();
                value.extend_from_slice(entry.value.as_deref().unwrap_or_default());
                Ok(entry.value.is_some())
            }
            None => self.store.get(key, value),
        }
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
        self.merge(None, (range, times), direction, visit)
    }

    fn scan_key(
        &self,
        key: &[u8],
        range: KeyRange<'_>,
        times: RangeInclusive<i64>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.merge(Some(key), (range, times), direction, visit)
    }

    fn name(&self) -> &str {
        &self.store.name
    }

    fn horizon_ms(&self) -> i64 {
        self.store.bytes.horizon_ms()
    }
}

/// True when `a` comes before `b` in this direction.
fn before(direction: Direction, a: &[u8], b: &[u8]) -> bool {
    match direction {
        Direction::Forward => a < b,
        Direction::Backward => a > b,
    }
}
