//! Which keys an LRU store keeps: the order of their last use, over committed and uncommitted ones. Not the entries.
//! Invariant: after each put at most `entries_max` keys are listed.

use crate::{index::Index, recency::NONE, recency::Recency};

/// The keys of an LRU store by recency.
pub(crate) struct Lru {
    entries_max: usize,
    index: Index,
    keys: Vec<(u32, Vec<u8>)>,
    free: Vec<u32>,
    by_use: Recency,
    evicted: Vec<Vec<u8>>,
}

impl Lru {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            entries_max,
            index: Index::default(),
            keys: Vec::new(),
            free: Vec::new(),
            by_use: Recency::default(),
            evicted: Vec::new(),
        }
    }

    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.index
            .find(hash, |slot| self.keys[slot as usize].1 == key)
    }

    /// Marks a key as used, if it is listed.
    pub(crate) fn touch(&mut self, hash: u32, key: &[u8]) {
        if let Some(slot) = self.find(hash, key) {
            self.by_use.renew(slot);
        }
    }

    /// Lists a key as the one used last; answers the key that has to go for it, if any.
    pub(crate) fn insert(&mut self, hash: u32, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(slot) = self.find(hash, key) {
            self.by_use.renew(slot);
            return None;
        }
        let slot = self.free.pop().unwrap_or(self.keys.len() as u32);
        match self.keys.get_mut(slot as usize) {
            Some(place) => *place = (hash, key.to_vec()),
            None => self.keys.push((hash, key.to_vec())),
        }
        self.index.insert(hash, slot);
        self.by_use.push(slot);
        (self.index.len() > self.entries_max).then(|| self.release(self.by_use.oldest()))
    }

    fn release(&mut self, slot: u32) -> Vec<u8> {
        let (hash, key) = std::mem::take(&mut self.keys[slot as usize]);
        self.index.remove(hash, slot);
        self.by_use.unlink(slot);
        self.free.push(slot);
        key
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, hash: u32, key: &[u8]) {
        if let Some(slot) = self.find(hash, key) {
            self.release(slot);
        }
    }

    /// Notes an eviction for the caller's changelog.
    pub(crate) fn note_evicted(&mut self, key: Vec<u8>) {
        self.evicted.push(key);
    }

    /// The keys evicted since the last call.
    pub(crate) fn take_evicted(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.evicted)
    }

    /// Keys in the order of their last use, the eldest first.
    pub(crate) fn keys(&self) -> Vec<(u32, Vec<u8>)> {
        let mut keys = Vec::with_capacity(self.index.len());
        let mut slot = self.by_use.oldest();
        while slot != NONE {
            keys.push(self.keys[slot as usize].clone());
            slot = self.by_use.newer(slot);
        }
        keys
    }
}
