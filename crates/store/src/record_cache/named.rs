//! The record cache of one store: a hash index into slots, threaded by a use list and a dirty list. Not budgeted by itself.
//! Invariant: `bytes` is the sum of the sizes of the cached entries.

use super::Entry;
use crate::{
    Direction, KEYS_AHEAD_MAX, KeyRange, KeysAhead, PlainKey, ShortBytes,
    ahead::{WARM_ENTRIES_MIN, load_all},
    families::{Families, Slots},
    huge,
    index::{Index, hash, same},
    order::Order,
    recency::{NONE, Recency},
};
use std::cell::OnceCell;

/// Two cache lines, the first with what a search compares: a search misses the processor's caches once and not thrice. A short
/// value lies in it as well.
#[derive(Default)]
#[repr(C, align(64))]
struct Slot {
    key: ShortBytes,
    hash: u32,
    live: bool,
    entry: Entry,
}

/// The record cache of one store.
#[derive(Default)]
pub(super) struct NamedCache {
    index: Index,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_use: Recency,
    dirty: Recency,
    bytes: usize,
    order: OnceCell<Order>,
    families: OnceCell<Families>,
}

impl NamedCache {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    #[inline(always)]
    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.index
            .find(hash, |slot| same(&self.slots[slot as usize].key, key))
    }

    pub(super) fn peek(&self, key: &[u8]) -> Option<&Entry> {
        self.find(hash(key), key)
            .map(|slot| &self.slots[slot as usize].entry)
    }

    pub(super) fn get(&mut self, key: &[u8]) -> Option<&Entry> {
        let slot = self.find(hash(key), key)?;
        self.by_use.renew(slot);
        Some(&self.slots[slot as usize].entry)
    }

    /// Loads what reading these keys will wait for, and what dropping as many of the eldest entries as are not there yet will.
    /// Leaves those that are not there.
    pub(super) fn warm(&self, keys: &mut KeysAhead) {
        load_all(keys.hashes().iter().map(|hash| self.index.begin(*hash)));
        let mut slots = [NONE; KEYS_AHEAD_MAX];
        let mut found = 0;
        keys.retain(|hash| match self.index.likely(hash) {
            Some(slot) => {
                slots[found] = slot;
                found += 1;
                false
            }
            None => true,
        });
        let missing = keys.hashes().len().min(slots.len() - found);
        let places = slots[found..].iter_mut().take(missing);
        let eldest = places.zip(self.by_use.eldest());
        let all = found + eldest.map(|(place, slot)| *place = slot).count();
        self.load(&slots[..all]);
        self.warm_release(&slots[found..all]);
    }

    /// As [`Self::warm`], of ranges of plain keys; each may put one entry and so drop another.
    pub(super) fn warm_plain(&self, keys: &KeysAhead) {
        let Some(families) = self.families.get() else {
            return;
        };
        families.warm_slots(keys, |slots| self.load(slots));
        self.load_to_drop(self.by_use.eldest());
    }

    /// Loads the first of these slots, and what taking them out will wait for.
    fn load_to_drop(&self, next: impl Iterator<Item = u32>) {
        let mut slots = [NONE; KEYS_AHEAD_MAX];
        let places = slots.iter_mut().zip(next);
        let len = places.map(|(place, slot)| *place = slot).count();
        self.load(&slots[..len]);
        self.warm_release(&slots[..len]);
    }

    /// Loads what taking these slots out will wait for.
    fn warm_release(&self, slots: &[u32]) {
        let places = || slots.iter().map(|slot| &self.slots[*slot as usize]);
        load_all(places().map(|place| self.index.begin(place.hash)));
        if let Some(families) = self.families.get() {
            let mut plain = KeysAhead::default();
            places().for_each(|place| plain.push_hash(families.plain_hash(&place.key)));
            families.warm(&plain);
        }
    }

    pub(super) fn warm_dropped<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        if self.slots.len() < WARM_ENTRIES_MIN {
            return;
        }
        let mut ahead = KeysAhead::default();
        keys.for_each(|key| ahead.push(key));
        let hashes = || ahead.hashes().iter().copied();
        load_all(hashes().map(|hash| self.index.begin(hash)));
        self.load_to_drop(hashes().filter_map(|hash| self.index.likely(hash)));
    }

    /// Loads whole slots, which a look-up of each one would wait for.
    fn load(&self, slots: &[u32]) {
        let places = || slots.iter().map(|slot| &self.slots[*slot as usize]);
        let entries = places().map(|place| place.entry.timestamp.cast_unsigned());
        load_all(
            entries
                .zip(slots)
                .zip(places())
                .map(|((entry, slot), place)| {
                    entry ^ u64::from(place.hash) ^ self.by_use.neighbours(*slot)
                }),
        );
        let values = places().filter_map(|place| place.entry.value.as_ref()?.first_on_heap());
        load_all(values.map(u64::from));
    }

    pub(super) fn put(&mut self, key: &[u8], entry: Entry) {
        self.change(key, entry.dirty, |slot| *slot = entry);
    }

    pub(super) fn put_slice(&mut self, key: &[u8], value: Option<&[u8]>, context: &Entry) {
        self.change(key, true, |entry| {
            match value {
                Some(value) => entry.value.get_or_insert_default().set(value),
                None => entry.value = None,
            }
            entry.timestamp = context.timestamp;
            if !entry.headers.is_empty() || !context.headers.is_empty() {
                entry.headers.clone_from(&context.headers);
            }
            (entry.topic, entry.context_len) = (context.topic, context.context_len);
            entry.value_overhead = context.value_overhead;
            (entry.partition, entry.offset) = (context.partition, context.offset);
        });
    }

    pub(super) fn put_clean_slice(&mut self, key: &[u8], value: &[u8], value_overhead: u32) {
        self.change(key, false, |entry| {
            let mut bytes = entry.value.take().unwrap_or_default();
            bytes.set(value);
            *entry = Entry {
                value: Some(bytes),
                value_overhead,
                ..Entry::default()
            };
        });
    }

    /// Lets `apply` write the entry of `key`, makes it the most recently used, and the last of the dirty ones if it is dirty.
    fn change(&mut self, key: &[u8], dirty: bool, apply: impl FnOnce(&mut Entry)) {
        let hash = hash(key);
        let found = self.find(hash, key);
        let slot = match found {
            Some(slot) => {
                self.bytes -= self.slots[slot as usize].entry.size_bytes(key.len());
                self.by_use.renew(slot);
                slot
            }
            None => self.claim(hash, key),
        };
        let entry = &mut self.slots[slot as usize].entry;
        let was_dirty = entry.dirty;
        apply(entry);
        entry.dirty = dirty;
        self.bytes += entry.size_bytes(key.len());
        match (was_dirty, dirty) {
            (true, true) => self.dirty.renew(slot),
            (false, true) => self.dirty.push(slot),
            (true, false) => self.dirty.unlink(slot),
            (false, false) => {}
        }
    }

    /// A slot for a key that is not cached; its memory is an evicted entry's where possible.
    fn claim(&mut self, hash: u32, key: &[u8]) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            huge::push(&mut self.slots, Slot::default());
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        place.key.set(key);
        (place.hash, place.live, place.entry.dirty) = (hash, true, false);
        self.index.insert(hash, slot);
        self.by_use.push(slot);
        let slots = &self.slots;
        if let Some(order) = self.order.get_mut() {
            order.insert(slot, |slot| &slots[slot as usize].key);
        }
        if let Some(families) = self.families.get_mut() {
            families.insert(slot, |slot| &slots[slot as usize].key);
        }
        slot
    }

    /// Takes a slot out of everything. Its key and entry stay readable until the slot is claimed again.
    fn release(&mut self, slot: u32) {
        let slots = &self.slots;
        if let Some(order) = self.order.get_mut() {
            order.remove(slot, |slot| &slots[slot as usize].key);
        }
        if let Some(families) = self.families.get_mut() {
            families.remove(slot, &slots[slot as usize].key);
        }
        self.by_use.unlink(slot);
        let place = &mut self.slots[slot as usize];
        self.bytes -= place.entry.size_bytes(place.key.len());
        self.index.remove(place.hash, slot);
        place.live = false;
        let dirty = std::mem::take(&mut place.entry.dirty);
        if dirty {
            self.dirty.unlink(slot);
        }
        self.free.push(slot);
    }

    pub(super) fn take_dirty(&mut self, take: &mut impl FnMut(&[u8], &Entry)) {
        let mut next = self.dirty.oldest();
        let mut group = [NONE; KEYS_AHEAD_MAX];
        while next != NONE {
            let mut len = 0;
            while next != NONE && len < group.len() {
                group[len] = next;
                next = self.dirty.newer(next);
                len += 1;
            }
            if self.slots.len() >= WARM_ENTRIES_MIN {
                self.load(&group[..len]);
            }
            for slot in &group[..len] {
                let place = &mut self.slots[*slot as usize];
                take(&place.key, &place.entry);
                place.entry.dirty = false;
            }
        }
        self.dirty.clear();
    }

    pub(super) fn drop_deleted(&mut self, key: &[u8]) {
        if let Some(slot) = self.find(hash(key), key) {
            let entry = &self.slots[slot as usize].entry;
            if !entry.dirty && entry.value.is_none() {
                self.release(slot);
            }
        }
    }

    pub(super) fn evict(&mut self, take: &mut impl FnMut(&[u8], &Entry)) {
        let eldest = self.by_use.oldest();
        if eldest == NONE {
            return;
        }
        let dirty = self.slots[eldest as usize].entry.dirty;
        if dirty {
            let place = &self.slots[eldest as usize];
            take(&place.key, &place.entry);
        }
        self.release(eldest);
        if dirty {
            self.take_dirty(take);
        }
    }

    /// Of one plain key where one is named.
    pub(super) fn range<'a>(
        &'a self,
        range: KeyRange<'_>,
        plain: Option<PlainKey<'a>>,
        direction: Direction,
    ) -> impl Iterator<Item = (&'a [u8], &'a Entry)> + use<'a> {
        let key_of = |slot: u32| &self.slots[slot as usize].key[..];
        let live = || (0..self.slots.len() as u32).filter(|&slot| self.slots[slot as usize].live);
        let slots = match plain {
            _ if self.len() == 0 => Slots::None,
            None => {
                let order = (self.order).get_or_init(|| Order::build(live().collect(), key_of));
                Slots::All(order.range(range, direction, key_of))
            }
            Some(plain) => {
                let families =
                    (self.families).get_or_init(|| Families::build(plain, live(), key_of));
                Slots::OfOne(families.range(plain, range, direction, key_of))
            }
        };
        slots
            .map(|slot| {
                let place = &self.slots[slot as usize];
                (&place.key[..], &place.entry)
            })
            .filter(move |(key, _)| plain.is_none_or(|plain| plain.owns(key)))
    }
}
