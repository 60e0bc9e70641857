//! Committed entries in memory: dirty ones no checkpoint holds yet, clean ones the engine holds as well.
//! Not the record cache: nothing here decides what is emitted.
//! Invariant: a dirty entry is newer than the engine's and stays until a checkpoint; a clean one equals the engine's. In window and
//! session stores every entry from `complete_from_ms` on is here, so that nobody has to ask the engine for those.

use crate::{
    Direction, KeyRange, KeysAhead, PlainKey,
    ahead::{WARM_ENTRIES_MIN, load_all},
    families::{Families, Slots},
    huge,
    index::{Index, same},
    order::Order,
    overlay::{Changed, UNKNOWN},
};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// What an entry costs beside the capacity of its own allocation: slot, index cell at a usual load, allocator.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<Slot>() + 12 + 16;

/// Key and value of so many bytes lie in the slot itself, which is then one cache line.
const INLINE_BYTES: usize = 47;

/// How often older and older entries are given up for one eviction.
const ROUNDS_MAX: usize = 8;

/// Entries that are looked at to find the oldest quarter.
const SAMPLES: usize = 64;

/// The time of a key that has one: the first number behind the plain key.
#[inline]
fn time_of(key: &[u8], tail_bytes: Option<usize>) -> Option<i64> {
    let tail = &key[key.len().checked_sub(tail_bytes?)?..];
    tail.first_chunk().map(|time| i64::from_be_bytes(*time))
}

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
    /// The slots of each plain key, dirty or clean, once a read of one asked for them.
    families: OnceLock<Families>,
    /// The bytes behind the plain key, which begin with its time.
    tail_bytes: Option<usize>,
    /// The engine has no entry of this time or later that is not here.
    complete_from_ms: i64,
}

impl WriteBack {
    /// An empty one. The engine has no entry of `complete_from_ms` or later. `tail_bytes` are behind the plain keys, if the layout
    /// has such.
    pub(crate) fn new(tail_bytes: Option<usize>, complete_from_ms: i64) -> Self {
        Self {
            tail_bytes,
            complete_from_ms,
            ..Self::default()
        }
    }

    /// True when what the engine has of this time or later is here too.
    pub(crate) fn is_complete_from(&self, time_ms: i64) -> bool {
        self.tail_bytes.is_some() && time_ms >= self.complete_from_ms
    }

    /// True when the engine does not have this key unless it is here.
    #[inline]
    pub(crate) fn would_have(&self, key: &[u8]) -> bool {
        time_of(key, self.tail_bytes).is_some_and(|time_ms| time_ms >= self.complete_from_ms)
    }

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

    /// The first load of a search.
    #[inline]
    pub(crate) fn begin(&self, hash: u32) -> u64 {
        self.index.begin(hash)
    }

    /// What [`WriteBack::get`] loads of a key that is probably there.
    #[inline]
    pub(crate) fn load(&self, hash: u32) -> u64 {
        self.index
            .likely(hash)
            .map_or(0, |slot| self.load_slot(slot))
    }

    #[inline]
    pub(crate) fn load_slot(&self, slot: u32) -> u64 {
        let slot = self.slots.get(slot as usize);
        slot.map_or(0, |slot| u64::from(slot.hash))
    }

    /// The slots by plain key, once a read of one asked for them.
    #[inline]
    pub(crate) fn families(&self) -> Option<&Families> {
        self.families.get()
    }

    /// Loads what setting these will wait for.
    #[inline]
    pub(crate) fn warm<'a>(&self, next: impl Iterator<Item = Changed<'a>> + Clone) {
        if self.is_small() {
            return;
        }
        load_all(next.clone().map(|change| match change.below {
            UNKNOWN => self.begin(change.hash),
            below => self.load_slot(below),
        }));
        if let Some(families) = self.families() {
            let mut plain = KeysAhead::default();
            let new = next.filter(|change| change.below == UNKNOWN);
            new.for_each(|change| plain.push_hash(families.plain_hash(change.key)));
            families.warm(&plain);
        }
    }

    /// True when it lies in the processor's own caches.
    #[inline]
    pub(crate) fn is_small(&self) -> bool {
        self.slots.len() < WARM_ENTRIES_MIN
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
                huge::push(&mut self.slots, entry);
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(hash, slot);
        if let Some(families) = self.families.get_mut() {
            let slots = &self.slots;
            families.insert(slot, |slot| slots[slot as usize].key());
        }
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
        if let Some(families) = self.families.get_mut() {
            families.remove(slot, place.key());
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
        // The first bytes travel with the slot, of most keys with a time that as well: few comparisons then touch an entry.
        let head = |key: &[u8]| {
            let mut head = [0; 16];
            let len = key.len().min(16);
            head[..len].copy_from_slice(&key[..len]);
            u128::from_be_bytes(head)
        };
        let mut sorted: Vec<(u128, u32)> = self
            .dirty
            .iter()
            .map(|&slot| (head(self.key(slot)), slot))
            .collect();
        sorted
            .sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.key(a.1).cmp(self.key(b.1))));
        sorted.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Loads entries that are read next.
    pub(crate) fn warm_slots(&self, slots: &[u32]) {
        load_all(slots.iter().map(|slot| self.load_slot(*slot)));
    }

    /// The dirty slots of a range in key order; where a plain key is named, all slots of that.
    pub(crate) fn range<'a>(
        &'a self,
        range: KeyRange<'_>,
        plain: Option<PlainKey<'a>>,
        direction: Direction,
    ) -> impl Iterator<Item = u32> + use<'a> {
        let key_of = |slot| self.key(slot);
        let slots = match plain {
            None if self.dirty.is_empty() => Slots::None,
            None => {
                let order = (self.order).get_or_init(|| Order::build(self.dirty.clone(), key_of));
                Slots::All(order.range(range, direction, key_of))
            }
            Some(plain) => {
                let is_live = |slot: &u32| self.slots[*slot as usize].state != State::Free;
                let live = || (0..self.slots.len() as u32).filter(is_live);
                let families =
                    (self.families).get_or_init(|| Families::build(plain, live(), key_of));
                Slots::OfOne(families.range(plain, range, direction, key_of))
            }
        };
        slots.filter(move |slot| plain.is_none_or(|plain| plain.owns(self.key(*slot))))
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

    /// Evicts clean entries that were not used lately until `bytes` are free or the hand went round often; where entries have
    /// times the old ones before the new ones, which are asked for soon.
    pub(crate) fn evict(&mut self, bytes: usize) {
        let goal = self.clean_bytes.saturating_sub(bytes);
        for _ in 0..ROUNDS_MAX {
            self.evict_to(goal);
            if self.clean_bytes <= goal || self.tail_bytes.is_none() || !self.give_up_oldest() {
                return;
            }
        }
    }

    /// A quarter of the clean entries, about, may go: those of the earliest times. False when there are none.
    fn give_up_oldest(&mut self) -> bool {
        let every = (self.slots.len() / SAMPLES).max(1);
        let mut times = self.clean_times(every);
        if times.is_empty() {
            times = self.clean_times(1);
        }
        times.sort_unstable();
        let Some(oldest) = times.get(times.len() / 4) else {
            return false;
        };
        self.complete_from_ms = oldest.saturating_add(1);
        true
    }

    /// The times of clean entries that may not go, of each so manieth slot.
    fn clean_times(&self, every: usize) -> Vec<i64> {
        let slots = self.slots.iter().step_by(every);
        let clean = slots.filter(|slot| slot.state == State::Clean);
        let times = clean.filter_map(|slot| time_of(slot.key(), self.tail_bytes));
        times
            .filter(|time_ms| *time_ms >= self.complete_from_ms)
            .collect()
    }

    /// The engine has nothing any more.
    pub(crate) fn engine_wiped(&mut self) {
        self.complete_from_ms = i64::MIN;
    }

    fn evict_to(&mut self, goal: usize) {
        let (from, tail_bytes) = (self.complete_from_ms, self.tail_bytes);
        let mut steps = 2 * self.slots.len();
        while self.clean_bytes > goal && steps > 0 {
            steps -= 1;
            self.hand = if self.hand + 1 < self.slots.len() {
                self.hand + 1
            } else {
                0
            };
            let slot = &mut self.slots[self.hand];
            let may_go = slot.state == State::Clean
                && time_of(slot.key(), tail_bytes).is_none_or(|time_ms| time_ms < from);
            if may_go && !std::mem::take(slot.used.get_mut()) {
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
