//! Changes that are not committed: one overlay is open, one may be pending. Not visible to any other thread.
//! Invariant: a key has one slot; its last change wins; keys and values live in one buffer that is emptied as a whole.

use crate::{
    Direction, KeyRange,
    index::Index,
    order::{Order, Walk},
};
use std::cell::OnceCell;

/// The value length of a deletion.
const DELETED: u32 = u32::MAX;

/// Memory an empty overlay may keep for the next commit.
const IDLE_BYTES_MAX: usize = 4 << 20;

struct Slot {
    hash: u32,
    key_len: u32,
    key_at: usize,
    value_at: usize,
    value_len: u32,
    /// Bytes reserved at `value_at`: a value that fits is overwritten in place.
    value_room: u32,
}

/// Uncommitted changes.
#[derive(Default)]
pub(crate) struct Overlay {
    index: Index,
    slots: Vec<Slot>,
    arena: Vec<u8>,
    order: OnceCell<Order>,
}

impl Overlay {
    /// The change of `key`, if there is one: `Some(None)` is a deletion.
    #[inline]
    pub(crate) fn get(&self, hash: u32, key: &[u8]) -> Option<Option<&[u8]>> {
        if self.slots.is_empty() {
            return None;
        }
        self.find(hash, key).map(|slot| self.value(slot))
    }

    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.index.find(hash, |slot| self.key(slot) == key)
    }

    /// The key of a slot.
    pub(crate) fn key(&self, slot: u32) -> &[u8] {
        let slot = &self.slots[slot as usize];
        &self.arena[slot.key_at..slot.key_at + slot.key_len as usize]
    }

    /// The value of a slot; `None` is a deletion.
    pub(crate) fn value(&self, slot: u32) -> Option<&[u8]> {
        let slot = &self.slots[slot as usize];
        (slot.value_len != DELETED)
            .then(|| &self.arena[slot.value_at..slot.value_at + slot.value_len as usize])
    }

    /// Records a change. Keys and values are shorter than 4 GiB: the store refuses others.
    pub(crate) fn set(&mut self, hash: u32, key: &[u8], value: Option<&[u8]>) {
        let slot = match self.find(hash, key) {
            Some(slot) => slot,
            None => self.claim(hash, key, value.map_or(0, <[u8]>::len)),
        };
        let place = &mut self.slots[slot as usize];
        let Some(value) = value else {
            place.value_len = DELETED;
            return;
        };
        if value.len() > place.value_room as usize {
            // Twice the old room: a value that grows with each change moves a logarithmic number of times.
            place.value_room = (value.len() as u32)
                .max(place.value_room.saturating_mul(2))
                .min(DELETED - 1);
            place.value_at = self.arena.len();
            self.arena
                .resize(place.value_at + place.value_room as usize, 0);
        }
        place.value_len = value.len() as u32;
        self.arena[place.value_at..place.value_at + value.len()].copy_from_slice(value);
    }

    fn claim(&mut self, hash: u32, key: &[u8], value_len: usize) -> u32 {
        let slot = self.slots.len() as u32;
        let key_at = self.arena.len();
        self.arena.extend_from_slice(key);
        let value_at = self.arena.len();
        self.arena.resize(value_at + value_len, 0);
        self.slots.push(Slot {
            hash,
            key_len: key.len() as u32,
            key_at,
            value_at,
            value_len: DELETED,
            value_room: value_len as u32,
        });
        self.index.insert(hash, slot);
        if let Some(mut order) = self.order.take() {
            order.insert(slot, |slot| self.key(slot));
            self.order = OnceCell::from(order);
        }
        slot
    }

    /// Turns the changes `keep` refuses into deletions.
    pub(crate) fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        for slot in 0..self.slots.len() as u32 {
            if !keep(self.key(slot)) {
                self.slots[slot as usize].value_len = DELETED;
            }
        }
    }

    /// Every change in the order keys were first touched: hash, key, value.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (u32, &[u8], Option<&[u8]>)> {
        (0..self.slots.len() as u32).map(|slot| {
            (
                self.slots[slot as usize].hash,
                self.key(slot),
                self.value(slot),
            )
        })
    }

    /// The slots of a range in key order. The first call sorts; from then on each new key is put in its place.
    pub(crate) fn range(&self, range: KeyRange<'_>, direction: Direction) -> Walk<'_> {
        let order = self.order.get_or_init(|| {
            Order::build((0..self.slots.len() as u32).collect(), |slot| {
                self.key(slot)
            })
        });
        order.range(range, direction, |slot| self.key(slot))
    }

    /// True when nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The memory in use for changes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.len() + self.slots.len() * (size_of::<Slot>() + size_of::<u64>())
    }

    /// Drops every change; keeps some memory for the next ones.
    pub(crate) fn clear(&mut self) {
        let large =
            self.arena.capacity() > IDLE_BYTES_MAX && self.arena.len() < self.arena.capacity() / 4;
        self.index.clear();
        self.slots.clear();
        self.arena.clear();
        if large {
            self.arena.shrink_to(IDLE_BYTES_MAX);
            self.slots.shrink_to(IDLE_BYTES_MAX / size_of::<Slot>());
            self.index.shrink();
        }
        self.order = OnceCell::new();
    }
}
