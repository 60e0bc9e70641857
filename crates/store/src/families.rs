//! Slots by the plain key before the times in their keys (windows, sessions): what reads of one key walk, at the price of one
//! look-up instead of a search through all keys. Not an order over all keys: that is `order.rs`.
//! Invariant: a slot is in one family, that of its plain key's hash. Plain keys of one hash share a family, so whoever walks it
//! compares.

use crate::{
    Direction, KEYS_AHEAD_MAX, KeyRange, KeysAhead,
    ahead::load_all,
    huge,
    index::{Index, hash},
    order::Walk,
    scan::compare,
};
use std::{
    collections::{BTreeSet, btree_set},
    ops::{Bound, Range},
};

/// Members that need no memory beside the family: most keys have few windows or sessions at a time.
const FEW: usize = 4;

/// Families whose memory is kept when there are none.
const IDLE_FAMILIES_MAX: usize = 1 << 16;

/// One key of a store whose keys are `plain key | tail`, see [`crate::Layout::plain_key`].
#[derive(Clone, Copy, Debug)]
pub struct PlainKey<'a> {
    key: &'a [u8],
    tail_bytes: usize,
}

impl<'a> PlainKey<'a> {
    pub(crate) fn new(key: &'a [u8], tail_bytes: usize) -> Self {
        Self { key, tail_bytes }
    }

    /// True for the entries of this key alone: bytes between two of them may belong to a longer key that begins with this one.
    #[inline]
    pub(crate) fn owns(&self, key: &[u8]) -> bool {
        key.len() == self.key.len() + self.tail_bytes && key.starts_with(self.key)
    }
}

/// The bytes after the plain key as numbers that order as they do, and the slot.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Member {
    tail: (u64, u64),
    slot: u32,
}

enum Members {
    /// In no order; the first so many count.
    Few(u8, [u32; FEW]),
    Many(BTreeSet<Member>),
}

impl Members {
    fn size(&self) -> u64 {
        match self {
            Self::Few(len, _) => u64::from(*len),
            Self::Many(many) => many.len() as u64,
        }
    }

    /// Those that reads look at first, of many the one of the latest time.
    fn newest(&self) -> impl Iterator<Item = &u32> {
        let (few, many) = match self {
            Self::Few(len, few) => (&few[..*len as usize], None),
            Self::Many(many) => (&[][..], many.last()),
        };
        few.iter().chain(many.map(|member| &member.slot))
    }
}

/// The families of a structure's slots.
pub(crate) struct Families {
    tail_bytes: usize,
    index: Index,
    members: Vec<Members>,
    free: Vec<u32>,
}

impl Families {
    /// Of keys with so many bytes behind the plain key, 16 at most.
    fn new(tail_bytes: usize) -> Self {
        Self {
            tail_bytes,
            index: Index::default(),
            members: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Those of `slots`, whose keys have a tail like that of `plain`.
    pub(crate) fn build<'k>(
        plain: PlainKey<'_>,
        slots: impl Iterator<Item = u32>,
        key_of: impl Fn(u32) -> &'k [u8],
    ) -> Self {
        let mut families = Self::new(plain.tail_bytes);
        slots.for_each(|slot| families.insert(slot, &key_of));
        families
    }

    /// The hash of a key's plain part, and what follows it.
    #[inline]
    fn split(&self, key: &[u8]) -> (u32, (u64, u64)) {
        let (plain, tail) = key.split_at(key.len().saturating_sub(self.tail_bytes));
        (hash(plain), ordered(tail))
    }

    /// The hash of a key's plain part.
    #[inline]
    pub(crate) fn plain_hash(&self, key: &[u8]) -> u32 {
        hash(&key[..key.len().saturating_sub(self.tail_bytes)])
    }

    /// Loads what adding and removing slots of these plain keys will wait for.
    pub(crate) fn warm(&self, plain: &KeysAhead) {
        load_all(plain.hashes().iter().map(|hash| self.index.begin(*hash)));
        load_all(self.likely(plain).map(Members::size));
    }

    /// As [`Self::warm`], and what reading these keys will: `load` loads slots.
    pub(crate) fn warm_slots(&self, plain: &KeysAhead, load: impl Fn(&[u32])) {
        self.warm(plain);
        let mut slots = [0; FEW * KEYS_AHEAD_MAX];
        let mut len = 0;
        for members in self.likely(plain) {
            for (place, slot) in slots[len..].iter_mut().zip(members.newest()) {
                *place = *slot;
                len += 1;
            }
        }
        load(&slots[..len]);
    }

    /// The families with these hashes.
    fn likely(&self, plain: &KeysAhead) -> impl Iterator<Item = &Members> {
        let families = plain.hashes().iter().map(|hash| self.index.likely(*hash));
        families
            .flatten()
            .map(|family| &self.members[family as usize])
    }

    /// Adds a slot.
    pub(crate) fn insert<'k>(&mut self, slot: u32, key_of: impl Fn(u32) -> &'k [u8]) {
        let (hash, tail) = self.split(key_of(slot));
        let Some(family) = self.index.find(hash, |_| true) else {
            return self.found(hash, slot);
        };
        match &mut self.members[family as usize] {
            Members::Few(len, few) if (*len as usize) < FEW => {
                few[*len as usize] = slot;
                *len += 1;
            }
            Members::Few(_, few) => {
                let few = *few;
                let member = |slot| Member {
                    tail: self.split(key_of(slot)).1,
                    slot,
                };
                let many = few.into_iter().chain([slot]).map(member).collect();
                self.members[family as usize] = Members::Many(many);
            }
            Members::Many(many) => drop(many.insert(Member { tail, slot })),
        }
    }

    /// A family of one.
    fn found(&mut self, hash: u32, slot: u32) {
        let mut few = [0; FEW];
        few[0] = slot;
        let family = match self.free.pop() {
            Some(family) => {
                self.members[family as usize] = Members::Few(1, few);
                family
            }
            None => {
                huge::push(&mut self.members, Members::Few(1, few));
                (self.members.len() - 1) as u32
            }
        };
        self.index.insert(hash, family);
    }

    /// Removes a slot, which has this key.
    pub(crate) fn remove(&mut self, slot: u32, key: &[u8]) {
        let (hash, tail) = self.split(key);
        let Some(family) = self.index.find(hash, |_| true) else {
            return;
        };
        let members = &mut self.members[family as usize];
        let is_empty = match members {
            Members::Few(len, few) => {
                let count = *len as usize;
                if let Some(at) = few[..count].iter().position(|other| *other == slot) {
                    few.swap(at, count - 1);
                    *len -= 1;
                }
                *len == 0
            }
            Members::Many(many) => {
                many.remove(&Member { tail, slot });
                many.is_empty()
            }
        };
        if is_empty {
            // Not with the memory of many: the next family to be here may be small.
            *members = Members::Few(0, [0; FEW]);
            self.index.remove(hash, family);
            self.free.push(family);
        }
    }

    /// Removes every slot; keeps some memory for the next ones.
    pub(crate) fn clear(&mut self) {
        self.index.clear();
        self.members.clear();
        self.members.shrink_to(IDLE_FAMILIES_MAX);
        self.free.clear();
    }

    /// The slots of a key in a range whose bounds begin with it, by key.
    pub(crate) fn range<'k>(
        &self,
        plain: PlainKey<'_>,
        range: KeyRange<'_>,
        direction: Direction,
        key_of: impl Fn(u32) -> &'k [u8],
    ) -> Kin<'_> {
        let family = self.index.find(hash(plain.key), |_| true);
        match family.map(|family| &self.members[family as usize]) {
            None => Kin::Few(0, [0; FEW]),
            Some(Members::Few(len, few)) => {
                let (mut found, mut count) = ([0; FEW], 0);
                let few = few[..*len as usize].iter().copied();
                for slot in
                    few.filter(|slot| plain.owns(key_of(*slot)) && range.contains(key_of(*slot)))
                {
                    found[count] = slot;
                    count += 1;
                }
                // The next one is taken from the end.
                found[..count].sort_unstable_by(|a, b| compare(direction, key_of(*b), key_of(*a)));
                Kin::Few(count as u8, found)
            }
            Some(Members::Many(many)) => Kin::Many(many.range(bounds(plain, range)), direction),
        }
    }
}

/// The members between the bounds of a range. No slot has the largest number: the second one is always excluded.
fn bounds(plain: PlainKey<'_>, range: KeyRange<'_>) -> Range<Member> {
    let rest = |bytes: &[u8]| ordered(bytes.get(plain.key.len()..).unwrap_or_default());
    let member = |tail, slot| Member { tail, slot };
    let start = match range.from {
        Bound::Included(from) => member(rest(from), 0),
        Bound::Excluded(from) => member(rest(from), u32::MAX),
        Bound::Unbounded => Member::default(),
    };
    let end = match range.to {
        Bound::Included(to) => member(rest(to), u32::MAX),
        Bound::Excluded(to) => member(rest(to), 0),
        Bound::Unbounded => member((u64::MAX, u64::MAX), u32::MAX),
    };
    start..end.max(start)
}

/// Up to 16 bytes as numbers of the same order.
#[inline]
fn ordered(bytes: &[u8]) -> (u64, u64) {
    let mut padded = [0; 16];
    let len = bytes.len().min(16);
    padded[..len].copy_from_slice(&bytes[..len]);
    let number = u128::from_be_bytes(padded);
    ((number >> 64) as u64, number as u64)
}

/// Slots of a family.
pub(crate) enum Kin<'a> {
    /// So many, the first one last.
    Few(u8, [u32; FEW]),
    /// May hold those of another key of the same hash.
    Many(btree_set::Range<'a, Member>, Direction),
}

impl Iterator for Kin<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match self {
            Self::Few(len, few) => {
                *len = len.checked_sub(1)?;
                Some(few[*len as usize])
            }
            Self::Many(walk, Direction::Forward) => walk.next().map(|member| member.slot),
            Self::Many(walk, Direction::Backward) => walk.next_back().map(|member| member.slot),
        }
    }
}

/// Slots of a range: of all keys, or of one.
pub(crate) enum Slots<'a> {
    None,
    All(Walk<'a>),
    OfOne(Kin<'a>),
}

impl Iterator for Slots<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::All(walk) => walk.next(),
            Self::OfOne(kin) => kin.next(),
        }
    }
}
