//! Old values for snapshots: while one lives, each commit saves what it overwrites. Not a history: nothing is saved for
//! commits no snapshot can ask about. Invariant: the first saved change of a key after a snapshot's commit holds the
//! key's value at that commit.

use crate::{Direction, KeyRange};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Old values kept at most. Past it the live snapshots are given up, and say so.
const UNDO_BYTES_MAX: usize = 256 << 20;

/// A value that a commit replaced; `None` when there was none.
struct Change {
    commit: u64,
    old: Option<Box<[u8]>>,
}

/// The commits that live snapshots stand at, and how many at each.
#[derive(Default)]
pub(crate) struct Live(Mutex<BTreeMap<u64, usize>>);

impl Live {
    pub(crate) fn add(&self, commit: u64) {
        *self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(commit)
            .or_default() += 1;
    }

    pub(crate) fn remove(&self, commit: u64) {
        let mut live = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = live.get_mut(&commit) {
            *count -= 1;
            if *count == 0 {
                live.remove(&commit);
            }
        }
    }

    /// The commit of the oldest live snapshot.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .next()
            .copied()
    }
}

/// Saved old values by key.
#[derive(Default)]
pub(crate) struct Undo {
    changes: BTreeMap<Vec<u8>, Vec<Change>>,
    bytes: usize,
    /// Snapshots of earlier commits were given up.
    readable_from: u64,
}

impl Undo {
    /// Forgets what no live snapshot needs; answers whether the next commit has to save old values.
    pub(crate) fn prepare(&mut self, oldest: Option<u64>) -> bool {
        match oldest {
            None if !self.changes.is_empty() => self.clear(),
            None => {}
            Some(oldest) => self.changes.retain(|key, changes| {
                let needed = changes.partition_point(|change| change.commit <= oldest);
                for change in changes.drain(..needed) {
                    self.bytes -= change_bytes(key, change.old.as_deref());
                }
                !changes.is_empty()
            }),
        }
        oldest.is_some()
    }

    fn clear(&mut self) {
        self.changes.clear();
        self.bytes = 0;
    }

    /// Gives up the snapshots of commits before `commit`.
    pub(crate) fn give_up(&mut self, commit: u64) {
        self.clear();
        self.readable_from = commit;
    }

    /// True when the old value of `key` for `commit` is saved already.
    pub(crate) fn has(&self, key: &[u8], commit: u64) -> bool {
        self.changes
            .get(key)
            .and_then(|changes| changes.last())
            .is_some_and(|last| last.commit == commit)
    }

    /// Saves what `commit` replaces.
    pub(crate) fn save(&mut self, key: &[u8], commit: u64, old: Option<&[u8]>) {
        if self.bytes > UNDO_BYTES_MAX {
            self.give_up(commit);
        }
        self.bytes += change_bytes(key, old);
        let old = old.map(Box::from);
        self.changes
            .entry(key.to_vec())
            .or_default()
            .push(Change { commit, old });
    }

    /// False when the snapshot of `commit` was given up.
    pub(crate) fn is_readable(&self, commit: u64) -> bool {
        commit >= self.readable_from
    }

    /// The value of `key` at `commit`, if it changed since: `Some(None)` when there was none.
    pub(crate) fn at(&self, key: &[u8], commit: u64) -> Option<Option<&[u8]>> {
        if self.changes.is_empty() {
            return None;
        }
        value_at(self.changes.get(key)?, commit)
    }

    /// The keys of a range that changed since `commit`, with their values then, in `direction`.
    pub(crate) fn range(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        commit: u64,
    ) -> UndoRange<'_> {
        UndoRange {
            entries: self.changes.range::<[u8], _>((range.from, range.to)),
            direction,
            commit,
        }
    }
}

fn change_bytes(key: &[u8], old: Option<&[u8]>) -> usize {
    key.len() + old.map_or(0, <[u8]>::len) + 64
}

fn value_at(changes: &[Change], commit: u64) -> Option<Option<&[u8]>> {
    let first = changes.partition_point(|change| change.commit <= commit);
    changes.get(first).map(|change| change.old.as_deref())
}

/// Keys of a range that changed since a commit.
pub(crate) struct UndoRange<'a> {
    entries: std::collections::btree_map::Range<'a, Vec<u8>, Vec<Change>>,
    direction: Direction,
    commit: u64,
}

impl<'a> Iterator for UndoRange<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (key, changes) = match self.direction {
                Direction::Forward => self.entries.next(),
                Direction::Backward => self.entries.next_back(),
            }?;
            if let Some(old) = value_at(changes, self.commit) {
                return Some((key, old));
            }
        }
    }
}
