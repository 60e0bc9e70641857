//! From a key's hash to the slot that holds the key. Not a map: keys and values stay in the owner's slots, stored once.
//! Invariant: a slot is in the table once, under the hash of its key.

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// The hash of a key. Only 32 bits are kept, so that a table cell is 8 bytes; a clash costs one comparison of keys.
pub(crate) fn hash(key: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

/// The table wants its bucket in the low bits and a tag in the high ones: an odd multiplier fills both.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Clone, Copy)]
struct Cell {
    hash: u32,
    slot: u32,
}

/// Hash to slot.
#[derive(Default)]
pub(crate) struct Index {
    table: HashTable<Cell>,
}

impl Index {
    /// The slot with this hash that `is_key` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        self.table
            .find(spread(hash), |cell| cell.hash == hash && is_key(cell.slot))
            .map(|cell| cell.slot)
    }

    /// Adds a slot whose key is not in the table.
    pub(crate) fn insert(&mut self, hash: u32, slot: u32) {
        self.table
            .insert_unique(spread(hash), Cell { hash, slot }, |cell| spread(cell.hash));
    }

    /// Removes a slot.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        if let Ok(found) = self
            .table
            .find_entry(spread(hash), |cell| cell.slot == slot)
        {
            found.remove();
        }
    }

    /// The number of slots.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Removes every slot; keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// Gives memory back when few slots are left of many.
    pub(crate) fn shrink(&mut self) {
        self.table.shrink_to(0, |cell| spread(cell.hash));
    }
}
