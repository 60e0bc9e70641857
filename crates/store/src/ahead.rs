//! Keys that are asked for next, so that what the processor has to wait for is on its way before it is needed. Not a cache: nothing
//! is copied, kept or promised, and a key that is never asked for costs a few loads.
//! Invariant: warming changes nothing that anybody can see, the ages of cached entries included.

use crate::index::hash;
use std::hint::black_box;

/// Keys looked at together: about as many loads as a core can wait for at once.
pub const KEYS_AHEAD_MAX: usize = 16;

/// Below so many entries a table lies in the processor's own caches, and warming costs more than it saves.
pub(crate) const WARM_ENTRIES_MIN: usize = 4_096;

/// The next keys, by their hashes.
#[derive(Clone, Default)]
pub struct KeysAhead {
    hashes: [u32; KEYS_AHEAD_MAX],
    len: usize,
}

impl KeysAhead {
    /// Adds a key; one too many is left out.
    #[inline]
    pub fn push(&mut self, key: &[u8]) {
        self.push_hash(hash(key));
    }

    #[inline]
    pub(crate) fn push_hash(&mut self, hash: u32) {
        if let Some(place) = self.hashes.get_mut(self.len) {
            *place = hash;
            self.len += 1;
        }
    }

    pub(crate) fn hashes(&self) -> &[u32] {
        &self.hashes[..self.len]
    }

    /// Leaves those that `keep` accepts.
    #[inline]
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        let mut kept = 0;
        for at in 0..self.len {
            let hash = self.hashes[at];
            self.hashes[kept] = hash;
            kept += usize::from(keep(hash));
        }
        self.len = kept;
    }
}

/// Loads that do not wait for each other: a processor has as many under way as fit, where one look-up after the other waits for each.
/// What they add up to is of no use, and the compiler may not know.
#[inline]
pub(crate) fn load_all(loads: impl Iterator<Item = u64>) {
    black_box(loads.fold(0, std::ops::BitXor::bitxor));
}

#[cfg(test)]
mod tests {
    use super::{KEYS_AHEAD_MAX, KeysAhead};
    use crate::index::hash;

    #[test]
    fn a_key_too_many_is_left_out_and_kept_ones_stay_in_order() {
        let mut keys = KeysAhead::default();
        for number in 0..KEYS_AHEAD_MAX as u64 + 3 {
            keys.push(&number.to_be_bytes());
        }
        assert_eq!(keys.hashes().len(), KEYS_AHEAD_MAX);
        let wanted = [1_u64, 5].map(|number| hash(&number.to_be_bytes()));
        keys.retain(|hash| wanted.contains(&hash));
        assert_eq!(keys.hashes(), wanted);
    }
}
