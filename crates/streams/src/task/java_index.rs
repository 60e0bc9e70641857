//! The index that Kafka Streams' record cache has of rows of windows that emit on close and keep headers, for `Semantics::Java`.
//! Nothing reads it, but it takes room, and is evicted, flushed and put like rows (`TimeOrderedCachingWindowStore`).
//! Invariant: a row's key ends with its number, which is 0 here, its index entry's key with a 1 behind that.
//!
//! `RocksDbIndexedTimeOrderedWindowBytesStoreSupplier.determineStoreType` gives every store that keeps headers the index that only
//! sliding windows read, and those are not cached where they emit on close.

use super::{Context, Dirty, StateStore};
use crate::Result;
use headwater_store::{Entry, ShortBytes};
use std::collections::HashSet;

const INDEX: u8 = 1;

/// The key of the entry that is an index of the row `key`.
fn index_key(key: &[u8]) -> Vec<u8> {
    [key, &[INDEX]].concat()
}

/// The key of the row that this is an index of.
fn indexed_key(key: &[u8]) -> Option<&[u8]> {
    key.strip_suffix(&[INDEX])
}

impl StateStore {
    /// Index entries are cached beside its rows.
    fn is_indexed(&self) -> bool {
        self.java.as_ref().is_some_and(|java| java.is_indexed())
    }

    /// What is cached under `key` is no row.
    pub(crate) fn is_cached_index(&self, key: &[u8]) -> bool {
        self.is_indexed() && indexed_key(key).is_some()
    }
}

impl Context<'_> {
    /// Caches the index entry of a row that was cached just now, and may be evicted already.
    #[cold]
    pub(super) fn cache_index(
        &mut self,
        store: usize,
        slot: usize,
        key: &[u8],
        cause: &Entry,
    ) -> Result<()> {
        let indexed = self.state.stores[store]
            .as_ref()
            .filter(|state| state.is_indexed());
        let Some(java) = indexed.and_then(|state| state.java.as_ref()) else {
            return Ok(());
        };
        let entry = Entry {
            value: Some(ShortBytes::default()),
            value_overhead: 0,
            headers: Box::default(),
            // Neither a topic nor headers; what tells an index is in our key.
            context_len: java.cached_prefix_len() as u32 - 1,
            ..cause.clone()
        };
        self.cache.put(slot, &index_key(key), entry);
        self.evict(store, slot)
    }

    /// The rows among flushed entries. An entry of the index stands for its row, once, if that is still cached, and again where the
    /// row itself was flushed before.
    pub(super) fn without_index(
        &mut self,
        store: usize,
        slot: usize,
        dirty: &Dirty,
    ) -> Option<Dirty> {
        self.state.stores[store]
            .as_ref()
            .filter(|state| state.is_indexed())?;
        let (mut rows, mut done) = (Dirty::new(Vec::new()), HashSet::new());
        for update in dirty.updates() {
            match indexed_key(update.key) {
                Some(key) if done.contains(key) => {}
                Some(key) => {
                    if let Some(entry) = self.cache.get(slot, key) {
                        rows.push(key, entry);
                        done.insert(key);
                    }
                }
                None if done.insert(update.key) => rows.push_update(&update),
                None => {}
            }
        }
        Some(rows)
    }
}
