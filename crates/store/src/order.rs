//! Slots in the byte order of their keys: what range reads walk. Not the keys: the owner says which key a slot has.
//! Invariant: chunks are never empty, and slots ascend by key within and across chunks.

use crate::{Direction, KeyRange};
use std::ops::Bound;

/// Slots in one chunk at most: inserting moves half of them on average, 1 KiB.
const CHUNK_SLOTS_MAX: usize = 512;

/// Slots in key order.
#[derive(Default)]
pub(crate) struct Order {
    chunks: Vec<Vec<u32>>,
}

/// A place between two slots: before slot `at` of chunk `chunk`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    chunk: usize,
    at: usize,
}

impl Order {
    /// Sorts `slots`, whose keys must differ.
    pub(crate) fn build<'k>(mut slots: Vec<u32>, key_of: impl Fn(u32) -> &'k [u8]) -> Self {
        slots.sort_unstable_by(|&a, &b| key_of(a).cmp(key_of(b)));
        Self {
            chunks: slots
                .chunks(CHUNK_SLOTS_MAX / 2)
                .map(<[u32]>::to_vec)
                .collect(),
        }
    }

    /// Adds a slot whose key is not there.
    pub(crate) fn insert<'k>(&mut self, slot: u32, key_of: impl Fn(u32) -> &'k [u8]) {
        let place = self.place(Bound::Included(key_of(slot)), &key_of);
        // A place at the start of a chunk belongs as well to the end of the one before, which an ascending writer fills.
        let Some(chunk) = place.chunk.checked_sub(usize::from(place.at == 0)) else {
            match self.chunks.first_mut() {
                Some(first) => first.insert(0, slot),
                None => self.chunks.push(vec![slot]),
            }
            return self.split(0);
        };
        let at = if place.at == 0 {
            self.chunks[chunk].len()
        } else {
            place.at
        };
        self.chunks[chunk].insert(at, slot);
        self.split(chunk);
    }

    fn split(&mut self, chunk: usize) {
        let len = self.chunks[chunk].len();
        if len > CHUNK_SLOTS_MAX {
            let tail = self.chunks[chunk].split_off(len / 2);
            self.chunks.insert(chunk + 1, tail);
        }
    }

    /// Removes a slot while its key can still be read.
    pub(crate) fn remove<'k>(&mut self, slot: u32, key_of: impl Fn(u32) -> &'k [u8]) {
        let place = self.place(Bound::Included(key_of(slot)), &key_of);
        let Some(chunk) = self.chunks.get_mut(place.chunk) else {
            return;
        };
        if chunk.get(place.at) == Some(&slot) {
            chunk.remove(place.at);
            if chunk.is_empty() {
                self.chunks.remove(place.chunk);
            }
        }
    }

    /// The first place whose key is `>=` an included or `>` an excluded bound; the very first for an unbounded one.
    fn place<'k>(&self, bound: Bound<&[u8]>, key_of: &impl Fn(u32) -> &'k [u8]) -> Place {
        let before = |slot: u32| match bound {
            Bound::Included(key) => key_of(slot) < key,
            Bound::Excluded(key) => key_of(slot) <= key,
            Bound::Unbounded => false,
        };
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.last().is_some_and(|&last| before(last)));
        let at = self
            .chunks
            .get(chunk)
            .map_or(0, |chunk| chunk.partition_point(|&slot| before(slot)));
        Place { chunk, at }
    }

    /// The slots of `range`, in `direction`.
    pub(crate) fn range<'k>(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        key_of: impl Fn(u32) -> &'k [u8],
    ) -> Walk<'_> {
        let from = self.place(range.from, &key_of);
        let to = match range.to {
            Bound::Included(key) => self.place(Bound::Excluded(key), &key_of),
            Bound::Excluded(key) => self.place(Bound::Included(key), &key_of),
            Bound::Unbounded => Place {
                chunk: self.chunks.len(),
                at: 0,
            },
        };
        Walk {
            order: self,
            from,
            to,
            direction,
        }
    }
}

/// The slots of a range.
pub(crate) struct Walk<'a> {
    order: &'a Order,
    from: Place,
    to: Place,
    direction: Direction,
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.from >= self.to {
            return None;
        }
        match self.direction {
            Direction::Forward => {
                let chunk = &self.order.chunks[self.from.chunk];
                let slot = chunk[self.from.at];
                self.from.at += 1;
                if self.from.at == chunk.len() {
                    self.from = Place {
                        chunk: self.from.chunk + 1,
                        at: 0,
                    };
                }
                Some(slot)
            }
            Direction::Backward => {
                if self.to.at == 0 {
                    self.to.chunk -= 1;
                    self.to.at = self.order.chunks[self.to.chunk].len();
                }
                self.to.at -= 1;
                Some(self.order.chunks[self.to.chunk][self.to.at])
            }
        }
    }
}
