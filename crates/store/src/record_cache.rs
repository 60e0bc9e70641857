//! The record cache: decides which updates of a key go downstream, with the size accounting and eviction of Kafka Streams'
//! `ThreadCache` and `NamedCache`. Not a store: what it drops is lost unless the caller has written it.
//! Invariant: an entry is in the dirty list if and only if it is dirty, in the order of its last update.

mod named;

use crate::ahead::WARM_ENTRIES_MIN;
use crate::{Direction, KeyRange, KeysAhead, PlainKey, ShortBytes};
use named::NamedCache;
use std::cell::RefCell;

/// What a buffer keeps for the next flush.
const IDLE_BYTES_MAX: usize = 8 << 20;

/// What is cached for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The value; `None` is a deletion.
    pub value: Option<ShortBytes>,
    /// The record's timestamp.
    pub timestamp: i64,
    /// The record's headers, encoded by the caller; usually empty.
    pub headers: Box<[u8]>,
    /// The caller's number of the source topic.
    pub topic: u32,
    /// What the source topic's name and the headers count for; not their bytes here.
    pub context_len: u32,
    /// What the value counts for beyond its bytes.
    pub value_overhead: u32,
    /// The source partition.
    pub partition: i32,
    /// The source offset.
    pub offset: i64,
    /// True until the entry was handed out.
    pub dirty: bool,
}

impl Entry {
    /// `NamedCache.LRUNode.size`: key, three references, the dirty flag, value, timestamp, offset, topic, partition, headers.
    fn size_bytes(&self, key_len: usize) -> usize {
        key_len
            + 3 * 8
            + 1
            + (self.value.as_ref()).map_or(0, |value| value.len() + self.value_overhead as usize)
            + 8
            + 8
            + self.context_len as usize
            + 4
    }
}

/// The record caches of one worker's stores, under one budget.
pub struct RecordCache {
    bytes_max: usize,
    bytes: usize,
    /// What Kafka Streams' count is beyond the true one, see [`Self::count_wrongly`].
    drift: isize,
    stores: Vec<NamedCache>,
    /// Entries that ranges have shown, see [`Self::note_use`].
    shown: RefCell<Vec<(usize, Vec<u8>)>>,
    /// Memory for flushes, see [`Self::lend`].
    buffer: Vec<u8>,
}

impl RecordCache {
    /// A cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            drift: 0,
            stores: Vec::new(),
            shown: RefCell::default(),
            buffer: Vec::new(),
        }
    }

    /// Adds a store; the number names it in every other call.
    pub fn add_store(&mut self) -> usize {
        self.stores.push(NamedCache::default());
        self.stores.len() - 1
    }

    /// Changes the budget; call [`Self::evict`] while [`Self::over_budget`].
    pub fn resize(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The cached entry, which becomes the most recently used.
    pub fn get(&mut self, store: usize, key: &[u8]) -> Option<&Entry> {
        self.renew_shown();
        self.stores[store].get(key)
    }

    /// Loads into the processor's caches what reading these keys will wait for. Leaves those that are not cached: they will be
    /// asked of the store, see [`Store::warm`](crate::Store::warm).
    pub fn warm(&self, store: usize, keys: &mut KeysAhead) {
        self.stores[store].warm(keys);
    }

    /// As [`Self::warm`], of ranges of plain keys, see [`Self::range_of`], and of the updates that follow them.
    pub fn warm_plain(&self, store: usize, keys: &KeysAhead) {
        self.stores[store].warm_plain(keys);
    }

    /// Loads what [`Self::drop_deleted`] will wait for.
    pub fn warm_dropped<'k>(&self, store: usize, keys: impl Iterator<Item = &'k [u8]>) {
        self.stores[store].warm_dropped(keys);
    }

    /// False while a store's entries are so few that [`Self::warm`] would not pay.
    pub fn wants_warming(&self, store: usize) -> bool {
        self.len(store) >= WARM_ENTRIES_MIN
    }

    /// Makes an entry the most recently used before anything else happens to the cache: ranges do so in Kafka Streams
    /// (`ThreadCache.MemoryLRUCacheBytesIterator`), entry by entry. At most as many as there are entries.
    pub fn note_use(&self, store: usize, key: &[u8]) {
        self.shown.borrow_mut().push((store, key.to_vec()));
    }

    #[inline]
    fn renew_shown(&mut self) {
        if !self.shown.get_mut().is_empty() {
            self.renew();
        }
    }

    #[cold]
    fn renew(&mut self) {
        for (store, key) in std::mem::take(self.shown.get_mut()) {
            self.stores[store].get(&key);
        }
    }

    /// The cached entry; its age stays.
    pub fn peek(&self, store: usize, key: &[u8]) -> Option<&Entry> {
        self.stores[store].peek(key)
    }

    /// Caches an update: dirty, the most recently used, and last in dirty order.
    pub fn put(&mut self, store: usize, key: &[u8], mut entry: Entry) {
        entry.dirty = true;
        self.insert(store, key, entry);
    }

    /// As [`Self::put`], with the value copied into memory the entry already has.
    pub fn put_slice(&mut self, store: usize, key: &[u8], value: Option<&[u8]>, context: &Entry) {
        self.renew_shown();
        let cache = &mut self.stores[store];
        let before = cache.bytes();
        cache.put_slice(key, value, context);
        self.bytes = self.bytes + cache.bytes() - before;
    }

    /// Caches what was read from the store below. An entry that is cached already stays as it is.
    pub fn put_clean(&mut self, store: usize, key: &[u8], mut entry: Entry) {
        if self.stores[store].peek(key).is_none() {
            entry.dirty = false;
            self.insert(store, key, entry);
        }
    }

    /// As [`Self::put_clean`], with the value copied into memory an evicted entry has left; it counts for `value_overhead` bytes more.
    pub fn put_clean_slice(&mut self, store: usize, key: &[u8], value: &[u8], value_overhead: u32) {
        self.renew_shown();
        let cache = &mut self.stores[store];
        if cache.peek(key).is_none() {
            let before = cache.bytes();
            cache.put_clean_slice(key, value, value_overhead);
            self.bytes = self.bytes + cache.bytes() - before;
        }
    }

    fn insert(&mut self, store: usize, key: &[u8], entry: Entry) {
        self.renew_shown();
        let cache = &mut self.stores[store];
        let before = cache.bytes();
        cache.put(key, entry);
        self.bytes = self.bytes + cache.bytes() - before;
    }

    /// Shows every dirty entry to `take`, in dirty order. They stay cached as clean, deletions too until
    /// [`Self::drop_deleted`]: while entries are flushed, reads must not find below the cache what is deleted.
    pub fn take_dirty(&mut self, store: usize, take: &mut impl FnMut(&[u8], &Entry)) {
        self.renew_shown();
        let cache = &mut self.stores[store];
        let before = cache.bytes();
        cache.take_dirty(take);
        self.bytes = self.bytes + cache.bytes() - before;
    }

    /// Drops the entry of a deletion that was handed out, unless there is a newer one.
    pub fn drop_deleted(&mut self, store: usize, key: &[u8]) {
        self.renew_shown();
        let cache = &mut self.stores[store];
        let before = cache.bytes();
        cache.drop_deleted(key);
        self.bytes = self.bytes + cache.bytes() - before;
    }

    /// True while a store has an entry to drop because the caches together are over budget.
    pub fn over_budget(&self, store: usize) -> bool {
        let counted = self.bytes.saturating_add_signed(self.drift);
        counted > self.bytes_max && !self.is_empty(store)
    }

    /// Counts `bytes` more, or less, than there are. `ThreadCache` takes a store's size before an eviction or flush and adds the
    /// difference after it, although puts that happened meanwhile have counted themselves: for whoever must evict when it does.
    pub fn count_wrongly(&mut self, bytes: isize) {
        self.drift += bytes;
    }

    /// The accounted bytes of a store.
    pub fn bytes_of(&self, store: usize) -> usize {
        self.stores[store].bytes()
    }

    /// Drops the eldest entry of a store. If it is dirty, `take` sees it first and the store's whole dirty set after it.
    pub fn evict(&mut self, store: usize, take: &mut impl FnMut(&[u8], &Entry)) {
        self.renew_shown();
        let cache = &mut self.stores[store];
        let before = cache.bytes();
        cache.evict(take);
        self.bytes = self.bytes + cache.bytes() - before;
    }

    /// The cached entries of `range` in byte order, deletions included; ages stay. The first call makes the store keep an order.
    pub fn range(
        &self,
        store: usize,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.stores[store].range(range, None, direction)
    }

    /// As [`Self::range`], of one plain key, with which both bounds begin. The first call makes the store keep each key's entries
    /// together.
    pub fn range_of<'a>(
        &'a self,
        store: usize,
        key: PlainKey<'a>,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> impl Iterator<Item = (&'a [u8], &'a Entry)> + use<'a> {
        self.stores[store].range(range, Some(key), direction)
    }

    /// Lends an empty buffer for the updates of one flush: one serves all stores, as they are flushed one after the other. A flush
    /// within a flush gets one without memory.
    pub fn lend(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Takes the buffer back; keeps some of its memory.
    pub fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(IDLE_BYTES_MAX);
        self.buffer = buffer;
    }

    /// Forgets a store's entries, dirty ones too.
    pub fn clear(&mut self, store: usize) {
        self.bytes -= self.stores[store].bytes();
        self.stores[store] = NamedCache::default();
    }

    /// True when a store has entries to hand out.
    pub fn has_dirty(&self, store: usize) -> bool {
        self.stores[store].has_dirty()
    }

    /// The entries of a store.
    pub fn len(&self, store: usize) -> usize {
        self.stores[store].len()
    }

    /// True when a store has no entries.
    pub fn is_empty(&self, store: usize) -> bool {
        self.len(store) == 0
    }

    /// The accounted bytes of all stores.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
