//! Slots from the newest to the oldest: a doubly linked list by slot number. Not a cache: it owns no keys.
//! Invariant: a slot is in the list at most once, and its neighbours name it back.

/// No slot: the end of the list.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Link {
    newer: u32,
    older: u32,
}

/// A list of slots by recency.
pub(crate) struct Recency {
    links: Vec<Link>,
    newest: u32,
    oldest: u32,
}

impl Default for Recency {
    fn default() -> Self {
        Self {
            links: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }
}

impl Recency {
    /// The slot that was touched longest ago, or [`NONE`].
    pub(crate) fn oldest(&self) -> u32 {
        self.oldest
    }

    /// The slot touched next after `slot`, or [`NONE`].
    pub(crate) fn newer(&self, slot: u32) -> u32 {
        self.links[slot as usize].newer
    }

    /// The neighbours of a slot, as one number.
    #[inline]
    pub(crate) fn neighbours(&self, slot: u32) -> u64 {
        let link = self.links.get(slot as usize);
        link.map_or(0, |link| {
            u64::from(link.newer) << 32 | u64::from(link.older)
        })
    }

    /// The slots touched longest ago, the eldest first.
    pub(crate) fn eldest(&self) -> impl Iterator<Item = u32> + '_ {
        let first = Some(self.oldest).filter(|slot| *slot != NONE);
        std::iter::successors(first, |slot| {
            Some(self.newer(*slot)).filter(|slot| *slot != NONE)
        })
    }

    /// True when no slot is listed.
    pub(crate) fn is_empty(&self) -> bool {
        self.newest == NONE
    }

    /// Lists a slot that is not listed, as the newest.
    pub(crate) fn push(&mut self, slot: u32) {
        let place = slot as usize;
        if place >= self.links.len() {
            let unlisted = Link {
                newer: NONE,
                older: NONE,
            };
            self.links.resize(place + 1, unlisted);
        }
        self.links[place] = Link {
            newer: NONE,
            older: self.newest,
        };
        match self.newest {
            NONE => self.oldest = slot,
            newest => self.links[newest as usize].newer = slot,
        }
        self.newest = slot;
    }

    /// Takes a listed slot out.
    pub(crate) fn unlink(&mut self, slot: u32) {
        let Link { newer, older } = self.links[slot as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
    }

    /// Makes a listed slot the newest.
    pub(crate) fn renew(&mut self, slot: u32) {
        if self.newest != slot {
            self.unlink(slot);
            self.push(slot);
        }
    }

    /// Forgets every slot; keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.newest = NONE;
        self.oldest = NONE;
    }
}
