//! Committed entries in memory: dirty ones no checkpoint holds yet, clean ones the engine holds as well.
//! Not the record cache: nothing here decides what is emitted.
//! Invariant: a dirty entry is newer than the engine's and stays until a checkpoint; a clean one equals the engine's.

use crate::{
    Direction, KeyRange,
    index::{Index, same},
    order::{Order, Walk},
};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// What an entry costs beside the capacity of its own allocation: slot, index cell at a usual load, allocator.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<Slot>() + 12 + 16;

/// Key and value of so many bytes lie in the slot itself, which is then one cache line.
const INLINE_BYTES: usize = 47;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Clean,
    Dirty,
}

struct Slot {
    hash: u32,
    key_len: u32,
    value_len: u32,
    state: State,
    deleted: bool,
    /// Read or written since the clock hand last passed.
    used: AtomicBool,
    bytes: Bytes,
}

/// The value behind the key.
enum Bytes {
    Here([u8; INLINE_BYTES]),
    Heap(Vec<u8>),
}

impl Slot {
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Here(bytes) => bytes,
            Bytes::Heap(bytes) => bytes,
        }
    }

    #[inline(always)]
    fn key(&self) -> &[u8] {
        &self.bytes()[..self.key_len as usize]
    }

    #[inline(always)]
    fn value(&self) -> Option<&[u8]> {
        let at = self.key_len as usize;
        (!self.deleted).then(|| &self.bytes()[at..at + self.value_len as usize])
    }

    #[inline]
    fn set_value(&mut self, value: Option<&[u8]>) {
        self.deleted = value.is_none();
        let value = value.unwrap_or_default();
        self.value_len = value.len() as u32;
        let key_len = self.key_len as usize;
        match &mut self.bytes {
            Bytes::Here(bytes) => match bytes.get_mut(key_len..key_len + value.len()) {
                Some(place) => place.copy_from_slice(value),
                None => {
                    let mut heap = Vec::with_capacity(key_len + value.len());
                    heap.extend_from_slice(&bytes[..key_len]);
                    heap.extend_from_slice(value);
                    self.bytes = Bytes::Heap(heap);
                }
            },
            Bytes::Heap(bytes) => {
                bytes.truncate(key_len);
                bytes.extend_from_slice(value);
            }
        }
    }

    fn cost_bytes(&self) -> usize {
        let heap = match &self.bytes {
            Bytes::Here(_) => 0,
            Bytes::Heap(bytes) => bytes.capacity(),
        };
        heap + ENTRY_OVERHEAD_BYTES
    }

    #[inline(always)]
    fn touch(&self) {
        // Loaded first: a hot entry's cache line stays shared between reading threads.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

/// The write-back cache of one store.
#[derive(Default)]
pub(crate) struct WriteBack {
    index: Index,
    slots: Vec<Slot>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    dirty_bytes: usize,
    clean_bytes: usize,
    /// The clock hand: the next slot that may be evicted.
    hand: usize,
    /// Dirty slots in key order, once a scan asked for it.
    order: OnceLock<Order>,
}

impl WriteBack {
    #[inline(always)]
    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.index
            .find(hash, |slot| same(self.slots[slot as usize].key(), key))
    }

    /// The slot of `key`, of which something is known; otherwise the engine decides. The slot stays the key's until it is
    /// evicted, as long as nothing else is written.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u32, key: &[u8]) -> Option<u32> {
        let slot = self.find(hash, key)?;
        self.slots[slot as usize].touch();
        Some(slot)
    }

    /// The key of a slot.
    pub(crate) fn key(&self, slot: u32) -> &[u8] {
        self.slots[slot as usize].key()
    }

    /// The value of a slot; `None` is a deletion.
    #[inline(always)]
    pub(crate) fn value(&self, slot: u32) -> Option<&[u8]> {
        self.slots[slot as usize].value()
    }

    /// Sets an entry that the engine does not have. `known` may be its slot: [`Self::get`] answered it some time ago.
    #[inline]
    pub(crate) fn set(&mut self, hash: u32, key: &[u8], value: Option<&[u8]>, known: u32) {
        let is_known = (self.slots.get(known as usize)).is_some_and(|slot| {
            slot.hash == hash && slot.state != State::Free && same(slot.key(), key)
        });
        let found = match is_known {
            true => Some(known),
            false => self.find(hash, key),
        };
        let Some(slot) = found else {
            let slot = self.claim(hash, key, value, State::Dirty);
            self.dirty_bytes += self.slots[slot as usize].cost_bytes();
            return self.enlist(slot);
        };
        let place = &mut self.slots[slot as usize];
        let before = place.cost_bytes();
        place.set_value(value);
        place.touch();
        let after = place.cost_bytes();
        if place.state == State::Dirty {
            self.dirty_bytes = self.dirty_bytes + after - before;
        } else {
            place.state = State::Dirty;
            self.clean_bytes -= before;
            self.dirty_bytes += after;
            self.enlist(slot);
        }
    }

    /// Keeps what the engine answered for a key that is not here.
    pub(crate) fn fill(&mut self, hash: u32, key: &[u8], value: &[u8]) {
        if self.find(hash, key).is_none() {
            let slot = self.claim(hash, key, Some(value), State::Clean);
            self.clean_bytes += self.slots[slot as usize].cost_bytes();
        }
    }

    fn enlist(&mut self, slot: u32) {
        self.dirty.push(slot);
        if let Some(mut order) = self.order.take() {
            order.insert(slot, |slot| self.key(slot));
            self.order = OnceLock::from(order);
        }
    }

    fn claim(&mut self, hash: u32, key: &[u8], value: Option<&[u8]>, state: State) -> u32 {
        let mut entry = Slot {
            hash,
            key_len: key.len() as u32,
            value_len: 0,
            state,
            deleted: true,
            used: AtomicBool::new(false),
            bytes: Bytes::Here([0; INLINE_BYTES]),
        };
        let all = key.len() + value.map_or(0, <[u8]>::len);
        match &mut entry.bytes {
            Bytes::Here(bytes) if all <= INLINE_BYTES => bytes[..key.len()].copy_from_slice(key),
            bytes => {
                let mut heap = Vec::with_capacity(all);
                heap.extend_from_slice(key);
                *bytes = Bytes::Heap(heap);
            }
        }
        entry.set_value(value);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(hash, slot);
        slot
    }

    fn release(&mut self, slot: u32) {
        let place = &mut self.slots[slot as usize];
        let cost = place.cost_bytes();
        match place.state {
            State::Clean => self.clean_bytes -= cost,
            State::Dirty => self.dirty_bytes -= cost,
            State::Free => return,
        }
        place.state = State::Free;
        (place.key_len, place.value_len) = (0, 0);
        place.bytes = Bytes::Here([0; INLINE_BYTES]);
        let hash = place.hash;
        self.index.remove(hash, slot);
        self.free.push(slot);
    }

    /// The dirty slots in key order.
    pub(crate) fn dirty_sorted(&self) -> Vec<u32> {
        // The first bytes travel with the slot: most comparisons then touch no entry.
        let head = |key: &[u8]| {
            let mut head = [0; 8];
            let len = key.len().min(8);
            head[..len].copy_from_slice(&key[..len]);
            u64::from_be_bytes(head)
        };
        let mut sorted: Vec<(u64, u32)> = self
            .dirty
            .iter()
            .map(|&slot| (head(self.key(slot)), slot))
            .collect();
        sorted
            .sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.key(a.1).cmp(self.key(b.1))));
        sorted.into_iter().map(|(_, slot)| slot).collect()
    }

    /// The dirty slots of a range in key order.
    pub(crate) fn dirty_range(&self, range: KeyRange<'_>, direction: Direction) -> Walk<'_> {
        let order = self
            .order
            .get_or_init(|| Order::build(self.dirty.clone(), |slot| self.key(slot)));
        order.range(range, direction, |slot| self.key(slot))
    }

    /// A checkpoint holds every dirty entry: they are clean from here on, and deletions need not be remembered.
    pub(crate) fn mark_clean(&mut self) {
        for slot in std::mem::take(&mut self.dirty) {
            if self.slots[slot as usize].deleted {
                self.release(slot);
            } else {
                self.slots[slot as usize].state = State::Clean;
            }
        }
        self.clean_bytes += std::mem::take(&mut self.dirty_bytes);
        self.order = OnceLock::new();
    }

    /// Evicts clean entries that were not used lately until `bytes` are free or the hand went round twice.
    pub(crate) fn evict(&mut self, bytes: usize) {
        let goal = self.clean_bytes.saturating_sub(bytes);
        let mut steps = 2 * self.slots.len();
        while self.clean_bytes > goal && steps > 0 {
            steps -= 1;
            self.hand = if self.hand + 1 < self.slots.len() {
                self.hand + 1
            } else {
                0
            };
            let slot = &mut self.slots[self.hand];
            if slot.state == State::Clean && !std::mem::take(slot.used.get_mut()) {
                self.release(self.hand as u32);
            }
        }
    }

    /// Drops the entries `keep` refuses, dirty ones too.
    pub(crate) fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        for slot in 0..self.slots.len() as u32 {
            if self.slots[slot as usize].state != State::Free && !keep(self.key(slot)) {
                self.release(slot);
            }
        }
        let slots = &self.slots;
        self.dirty
            .retain(|&slot| slots[slot as usize].state == State::Dirty);
        self.order = OnceLock::new();
    }

    /// Bytes no checkpoint holds.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    /// Bytes the engine holds as well.
    pub(crate) fn clean_bytes(&self) -> usize {
        self.clean_bytes
    }

    /// The number of dirty entries.
    pub(crate) fn dirty_len(&self) -> usize {
        self.dirty.len()
    }
}
