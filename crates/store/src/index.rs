//! From a key's hash to the slot that holds the key. Not a map: keys and values stay in the owner's slots, stored once.
//! Invariant: a slot is in the table once, under the hash of its key, and no empty cell lies between a slot and the place
//! where its hash begins to look.

use crate::huge;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Cells of the smallest table.
const CELLS_MIN: usize = 16;

/// What `Index::clear` leaves of a table that was far larger than its content: cells for each slot.
const CELLS_PER_SLOT_MAX: usize = 16;

/// The hash of a key. Only 32 bits are kept, so that a table cell is 8 bytes; a clash costs one comparison of keys.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}

/// Equality of keys. Most are short: a call of memcmp costs more than the comparison.
#[inline(always)]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.first_chunk(), one.last_chunk()) {
        (Some(first), Some(last)) if one.len() <= 16 => {
            let eight = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
            other.first_chunk().map(eight) == Some(eight(first))
                && other.last_chunk().map(eight) == Some(eight(last))
        }
        _ => one == other,
    }
}

/// Appends `bytes` to `out`. Rows of numbers are common: a copy of fixed size is no call.
#[inline(always)]
pub(crate) fn append(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(bytes) = <&[u8; 16]>::try_from(bytes) {
        out.extend_from_slice(bytes);
    } else {
        out.extend_from_slice(bytes);
    }
}

/// Hash to slot: one array of cells, each `hash (32 bits) | slot + 1 (32 bits)`, 0 when empty. A search begins where the hash
/// says and ends at an empty cell, as a rule within one cache line.
#[derive(Default)]
pub(crate) struct Index {
    /// A power of two, or none.
    cells: Vec<u64>,
    len: usize,
}

fn cell(hash: u32, slot: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(slot + 1)
}

impl Index {
    /// Where a search for `hash` begins. The multiplier carries every bit of the hash to the top, which chooses.
    #[inline(always)]
    fn start(&self, hash: u32) -> usize {
        let spread = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (spread >> 32) as usize & self.cells.len().wrapping_sub(1)
    }

    /// The slot with this hash that `is_key` accepts.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        let cells = self.cells.as_slice();
        let mut at = self.start(hash);
        // An empty table has no cell; another one always has an empty cell.
        while let Some(cell) = cells.get(at).copied().filter(|cell| *cell != 0) {
            if (cell >> 32) as u32 == hash {
                let slot = (cell as u32).wrapping_sub(1);
                if is_key(slot) {
                    return Some(slot);
                }
            }
            at = (at + 1) & (cells.len() - 1);
        }
        None
    }

    /// The cell at which a search for `hash` begins: the one load that every search waits for.
    #[inline(always)]
    pub(crate) fn begin(&self, hash: u32) -> u64 {
        self.cells.get(self.start(hash)).copied().unwrap_or(0)
    }

    /// A slot with this hash, whosever it is.
    #[inline(always)]
    pub(crate) fn likely(&self, hash: u32) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds a slot whose key is not in the table.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 3 > self.cells.len() * 2 {
            self.grow();
        }
        self.len += 1;
        self.place(cell(hash, slot));
    }

    /// Puts a cell into the first empty place from its hash's on.
    #[inline(always)]
    fn place(&mut self, cell: u64) {
        let mut at = self.start((cell >> 32) as u32);
        let mask = self.cells.len() - 1;
        while self.cells[at] != 0 {
            at = (at + 1) & mask;
        }
        self.cells[at] = cell;
    }

    #[cold]
    fn grow(&mut self) {
        self.resize((self.cells.len() * 2).max(CELLS_MIN));
    }

    fn resize(&mut self, cells: usize) {
        let cells = vec![0; cells];
        huge::prefer(&cells);
        for cell in std::mem::replace(&mut self.cells, cells) {
            if cell != 0 {
                self.place(cell);
            }
        }
    }

    /// Removes a slot.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let (wanted, mask) = (cell(hash, slot), self.cells.len().wrapping_sub(1));
        let mut at = self.start(hash);
        loop {
            match self.cells.get(at) {
                None | Some(0) => return,
                Some(cell) if *cell == wanted => break,
                Some(_) => at = (at + 1) & mask,
            }
        }
        self.len -= 1;
        // What follows moves up where it may, so that no search ends at the gap.
        let mut next = at;
        loop {
            self.cells[at] = 0;
            loop {
                next = (next + 1) & mask;
                let moved = self.cells[next];
                if moved == 0 {
                    return;
                }
                let start = self.start((moved >> 32) as u32);
                // It may lie in the gap unless it begins to look behind it.
                if (next.wrapping_sub(start) & mask) >= (next.wrapping_sub(at) & mask) {
                    self.cells[at] = moved;
                    at = next;
                    break;
                }
            }
        }
    }

    /// The number of slots.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Removes every slot; keeps the memory, but no more than the next slots may need if there are as many: emptying costs as
    /// much as the table is large.
    pub(crate) fn clear(&mut self) {
        let wanted = (self.len * CELLS_PER_SLOT_MAX).next_power_of_two();
        if self.cells.len() > wanted.max(CELLS_MIN) {
            self.cells = vec![0; wanted.max(CELLS_MIN)];
        } else {
            self.cells.fill(0);
        }
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Index, append, same};
    use std::collections::BTreeMap;

    #[test]
    fn slots_are_found_after_any_inserts_and_removals() {
        // Few different hashes, so that runs of cells touch and wrap around.
        let (mut index, mut known) = (Index::default(), BTreeMap::new());
        let mut state = 7_u64;
        for round in 0..20_000_u32 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let slot = (state >> 40) as u32 % 200;
            let hash = slot % 37;
            match known.remove(&slot) {
                Some(hash) => index.remove(hash, slot),
                None => {
                    index.insert(hash, slot);
                    known.insert(slot, hash);
                }
            }
            if round % 5_000 == 4_999 {
                index.clear();
                known.clear();
            }
            assert_eq!(index.len(), known.len());
            for slot in 0..200 {
                let found = index.find(slot % 37, |found| found == slot);
                assert_eq!(found.is_some(), known.contains_key(&slot), "slot {slot}");
            }
        }
    }

    #[test]
    fn bytes_of_any_length_are_compared_and_copied_whole() {
        let bytes: Vec<u8> = (0..40).collect();
        for len in 0..40 {
            let (mut out, mut other) = (vec![1], bytes[..len].to_vec());
            append(&mut out, &other);
            assert_eq!(out[1..], other[..]);
            assert!(same(&bytes[..len], &other) && !same(&bytes, &other));
            for at in 0..len {
                other[at] ^= 1;
                assert!(!same(&bytes[..len], &other), "{at} of {len}");
                other[at] ^= 1;
            }
        }
    }
}
