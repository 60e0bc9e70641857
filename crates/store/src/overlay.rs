//! Changes that are not committed: one overlay is open, one may be pending. Not visible to any other thread.
//! Invariant: a key has one slot; its last change wins; keys and values live in one buffer that is emptied as a whole.

use crate::{
    Direction, KeyRange, PlainKey,
    families::{Families, Kin, Slots},
    huge,
    index::{Index, same},
    order::{Order, Walk},
};
use std::cell::OnceCell;

/// The value length of a deletion.
const DELETED: u32 = u32::MAX;

/// Memory an empty overlay may keep for the next commit.
const IDLE_BYTES_MAX: usize = 4 << 20;

/// Key and value of so many bytes lie in the slot itself, which is then one cache line.
const INLINE_BYTES: usize = 40;

/// No slot of the write-back cache.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// A change: its value lies behind its key, in the slot where both have room, otherwise in the arena.
#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    key_len: u32,
    value_len: u32,
    /// Bytes reserved behind the key: a value that fits is overwritten in place.
    value_room: u32,
    /// Where the write-back cache had the key when it was read; a hint.
    below: u32,
    /// Key and value, or their place in the arena.
    bytes: [u8; INLINE_BYTES],
}

impl Slot {
    const EMPTY: Self = Self {
        hash: 0,
        key_len: 0,
        value_len: DELETED,
        value_room: 0,
        below: UNKNOWN,
        bytes: [0; INLINE_BYTES],
    };

    #[inline(always)]
    fn is_inline(&self) -> bool {
        self.key_len as usize + self.value_room as usize <= INLINE_BYTES
    }

    /// Where it is in the arena, unless it is inline.
    #[inline(always)]
    fn at(&self) -> usize {
        let at = self.bytes.first_chunk().map(|at| u64::from_ne_bytes(*at));
        at.unwrap_or(0) as usize
    }

    #[inline(always)]
    fn bytes<'a>(&'a self, arena: &'a [u8]) -> &'a [u8] {
        match self.is_inline() {
            true => &self.bytes,
            false => &arena[self.at()..],
        }
    }

    #[inline(always)]
    fn key<'a>(&'a self, arena: &'a [u8]) -> &'a [u8] {
        &self.bytes(arena)[..self.key_len as usize]
    }

    #[inline(always)]
    fn value<'a>(&'a self, arena: &'a [u8]) -> Option<&'a [u8]> {
        let at = self.key_len as usize;
        (self.value_len != DELETED).then(|| &self.bytes(arena)[at..at + self.value_len as usize])
    }

    /// Puts key and value into the arena, with this room for the value. Twice the old room where there was one, so that a value
    /// that grows with each change moves a logarithmic number of times.
    #[cold]
    fn move_to_arena(&mut self, arena: &mut Vec<u8>, value_len: u32) {
        let (key_len, end) = (self.key_len as usize, arena.len());
        match self.is_inline() {
            true => arena.extend_from_slice(&self.bytes[..key_len]),
            false => arena.extend_from_within(self.at()..self.at() + key_len),
        }
        let least = (INLINE_BYTES + 1).saturating_sub(key_len) as u32;
        self.value_room = value_len
            .max(self.value_room.saturating_mul(2))
            .clamp(least, DELETED - 1);
        arena.resize(end + key_len + self.value_room as usize, 0);
        self.bytes[..8].copy_from_slice(&(end as u64).to_ne_bytes());
    }
}

/// Uncommitted changes.
#[derive(Default)]
pub(crate) struct Overlay {
    index: Index,
    slots: Vec<Slot>,
    arena: Vec<u8>,
    order: OnceCell<Order>,
    families: OnceCell<Families>,
}

impl Overlay {
    /// The change of `key`, if there is one: `Some(None)` is a deletion.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u32, key: &[u8]) -> Option<Option<&[u8]>> {
        if self.slots.is_empty() {
            return None;
        }
        self.find(hash, key).map(|slot| self.value(slot))
    }

    /// The first load of a search.
    #[inline]
    pub(crate) fn begin(&self, hash: u32) -> u64 {
        self.index.begin(hash)
    }

    /// The slots by plain key, once a read of one asked for them.
    #[inline]
    pub(crate) fn families(&self) -> Option<&Families> {
        self.families.get()
    }

    /// What a read of this slot loads.
    #[inline]
    pub(crate) fn load_slot(&self, slot: u32) -> u64 {
        let slot = self.slots.get(slot as usize);
        slot.map_or(0, |slot| u64::from(slot.hash))
    }

    /// What [`Overlay::get`] loads of a key that has probably changed.
    #[inline]
    pub(crate) fn load(&self, hash: u32) -> u64 {
        self.index
            .likely(hash)
            .map_or(0, |slot| self.load_slot(slot))
    }

    #[inline(always)]
    fn find(&self, hash: u32, key: &[u8]) -> Option<u32> {
        self.index.find(hash, |slot| same(self.key(slot), key))
    }

    /// The key of a slot.
    #[inline(always)]
    pub(crate) fn key(&self, slot: u32) -> &[u8] {
        self.slots[slot as usize].key(&self.arena)
    }

    /// The value of a slot; `None` is a deletion.
    #[inline(always)]
    pub(crate) fn value(&self, slot: u32) -> Option<&[u8]> {
        self.slots[slot as usize].value(&self.arena)
    }

    /// Records a change. Keys and values are shorter than 4 GiB: the store refuses others. `below` is where the write-back cache
    /// is thought to have the key.
    #[inline]
    pub(crate) fn set(&mut self, hash: u32, key: &[u8], value: Option<&[u8]>, below: u32) {
        let slot = match self.find(hash, key) {
            Some(slot) => slot,
            None => self.claim(hash, key, value.map_or(0, <[u8]>::len), below),
        };
        let place = &mut self.slots[slot as usize];
        let Some(value) = value else {
            place.value_len = DELETED;
            return;
        };
        if value.len() > place.value_room as usize {
            place.move_to_arena(&mut self.arena, value.len() as u32);
        }
        place.value_len = value.len() as u32;
        let at = place.key_len as usize;
        match place.is_inline() {
            true => copy(&mut place.bytes[at..], value),
            false => copy(&mut self.arena[place.at() + at..], value),
        }
    }

    /// A slot for a key that has none. It is filled where it is: built elsewhere and copied it would cost a multiple.
    #[inline]
    fn claim(&mut self, hash: u32, key: &[u8], value_len: usize, below: u32) -> u32 {
        let slot = self.slots.len() as u32;
        huge::push(&mut self.slots, Slot::EMPTY);
        let place = &mut self.slots[slot as usize];
        (place.hash, place.below) = (hash, below);
        place.key_len = key.len() as u32;
        if key.len() + value_len <= INLINE_BYTES {
            place.value_room = (INLINE_BYTES - key.len()) as u32;
            copy(&mut place.bytes, key);
        } else {
            let at = self.arena.len();
            place.value_room = value_len as u32;
            place.bytes[..8].copy_from_slice(&(at as u64).to_ne_bytes());
            self.arena.extend_from_slice(key);
            self.arena.resize(at + key.len() + value_len, 0);
        }
        self.index.insert(hash, slot);
        if let Some(mut order) = self.order.take() {
            order.insert(slot, |slot| self.key(slot));
            self.order = OnceCell::from(order);
        }
        if let Some(families) = self.families.get_mut() {
            let (slots, arena) = (&self.slots, &self.arena);
            families.insert(slot, |slot| slots[slot as usize].key(arena));
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

    /// Every change in the order keys were first touched.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Changed<'_>> {
        self.changes_from(0)
    }

    /// The changes from number `at` on.
    pub(crate) fn changes_from(&self, at: usize) -> impl Iterator<Item = Changed<'_>> + Clone {
        self.slots[at..].iter().map(|slot| Changed {
            hash: slot.hash,
            below: slot.below,
            key: slot.key(&self.arena),
            value: slot.value(&self.arena),
        })
    }

    /// The slots of a range in key order. The first call sorts; from then on each new key is put in its place.
    fn range(&self, range: KeyRange<'_>, direction: Direction) -> Walk<'_> {
        let order = self.order.get_or_init(|| {
            Order::build((0..self.slots.len() as u32).collect(), |slot| {
                self.key(slot)
            })
        });
        order.range(range, direction, |slot| self.key(slot))
    }

    /// As [`Self::range`], of one plain key. The first call finds all families; from then on each new key joins its own.
    fn family(&self, plain: PlainKey<'_>, range: KeyRange<'_>, direction: Direction) -> Kin<'_> {
        let families = self.families.get_or_init(|| {
            let slots = 0..self.slots.len() as u32;
            Families::build(plain, slots, |slot| self.key(slot))
        });
        families.range(plain, range, direction, |slot| self.key(slot))
    }

    /// The changes of a range, of one plain key where one is named, in key order.
    pub(crate) fn scan<'a>(
        &'a self,
        range: KeyRange<'_>,
        plain: Option<PlainKey<'a>>,
        direction: Direction,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let slots = match plain {
            _ if self.is_empty() => Slots::None,
            None => Slots::All(self.range(range, direction)),
            Some(plain) => Slots::OfOne(self.family(plain, range, direction)),
        };
        slots
            .map(|slot| (self.key(slot), self.value(slot)))
            .filter(move |(key, _)| plain.is_none_or(|plain| plain.owns(key)))
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
        let capacity = self.arena.capacity() + self.slots.capacity() * size_of::<Slot>();
        let large = capacity > IDLE_BYTES_MAX && self.bytes() < capacity / 4;
        self.index.clear();
        self.slots.clear();
        self.arena.clear();
        if large {
            self.arena.shrink_to(IDLE_BYTES_MAX);
            self.slots.shrink_to(IDLE_BYTES_MAX / size_of::<Slot>());
        }
        self.order = OnceCell::new();
        if let Some(families) = self.families.get_mut() {
            families.clear();
        }
    }
}

/// One change.
pub(crate) struct Changed<'a> {
    pub(crate) hash: u32,
    /// Where the write-back cache had the key when it was read, or [`UNKNOWN`].
    pub(crate) below: u32,
    pub(crate) key: &'a [u8],
    /// `None` is a deletion.
    pub(crate) value: Option<&'a [u8]>,
}

/// Copies `bytes` to the start of `out`.
#[inline(always)]
fn copy(out: &mut [u8], bytes: &[u8]) {
    match (<&[u8; 8]>::try_from(bytes), <&[u8; 16]>::try_from(bytes)) {
        (Ok(bytes), _) => out[..8].copy_from_slice(bytes),
        (_, Ok(bytes)) => out[..16].copy_from_slice(bytes),
        _ => out[..bytes.len()].copy_from_slice(bytes),
    }
}
