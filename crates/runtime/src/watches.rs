//! Who waits for what in this process: a key or range to change, a position to be reached, a partition to come or go.
//! Not the looking: a waiter registers first, then looks, then waits, and looks again when it is rung. Invariant: what becomes
//! visible after a waiter has registered rings it; what is rung twice before it looks is rung once.
//!
//! No thread waits: a [`Waiter`] is polled with a task's waker. Each is gone when it is dropped, at its deadline at the latest.

use crate::waiter::{Bell, Waiter};
use headwater_log::{Offset, TopicPartition};
use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Waiters of a process; one more is refused.
pub const WAITERS_MAX: usize = 200_000;
/// Changed keys of one store in one commit that are told one by one; beyond it waiters look at all.
const CHANGED_KEYS_MAX: usize = 100_000;

/// What a waiter is rung for.
#[derive(Clone, Debug)]
pub enum Interest {
    /// A commit changed this key of a store's partition, or the partition moved. In the bytes of the store.
    Key {
        /// The store.
        store: Arc<str>,
        /// The partition.
        partition: u32,
        /// The key.
        key: Vec<u8>,
    },
    /// A commit changed a key in this range of a store's partition, or the partition moved. In the bytes of the store.
    Range {
        /// The store.
        store: Arc<str>,
        /// The partition.
        partition: u32,
        /// Lower bound.
        from: Bound<Vec<u8>>,
        /// Upper bound.
        to: Bound<Vec<u8>>,
    },
    /// This store's partition came or went here.
    Moves {
        /// The store.
        store: Arc<str>,
        /// The partition.
        partition: u32,
    },
    /// Everything of this input before this offset is visible.
    Position {
        /// The input.
        at: TopicPartition,
        /// The offset.
        offset: Offset,
    },
    /// A partition of some store came or went here, or the hosts changed.
    Placement,
}

/// A range of store keys and who watches it.
type Watched = (Bound<Vec<u8>>, Bound<Vec<u8>>, Arc<Bell>);

/// Who watches a key: mostly one, for whom a tree would be as large as all else of it.
enum Bells {
    One(u64, Arc<Bell>),
    More(BTreeMap<u64, Arc<Bell>>),
}

impl Default for Bells {
    fn default() -> Self {
        Self::More(BTreeMap::new())
    }
}

impl Bells {
    fn insert(&mut self, number: u64, bell: Arc<Bell>) {
        *self = match std::mem::take(self) {
            Self::More(others) if others.is_empty() => Self::One(number, bell),
            Self::More(mut others) => {
                others.insert(number, bell);
                Self::More(others)
            }
            Self::One(of, other) => Self::More(BTreeMap::from([(of, other), (number, bell)])),
        };
    }

    fn remove(&mut self, number: u64) {
        match self {
            Self::One(of, _) if *of == number => *self = Self::default(),
            Self::One(..) => {}
            Self::More(others) => drop(others.remove(&number)),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::More(others) if others.is_empty())
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Bell>> {
        let (one, others) = match self {
            Self::One(_, bell) => (Some(bell), None),
            Self::More(others) => (None, Some(others.values())),
        };
        one.into_iter().chain(others.into_iter().flatten())
    }
}

#[derive(Default)]
struct OfPartition {
    keys: HashMap<Vec<u8>, Bells>,
    ranges: BTreeMap<u64, Watched>,
    moves: BTreeMap<u64, Arc<Bell>>,
}

impl OfPartition {
    fn bells(&self) -> impl Iterator<Item = &Arc<Bell>> {
        let ranges = self.ranges.values().map(|(_, _, bell)| bell);
        self.keys.values().flat_map(Bells::iter).chain(ranges)
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty() && self.moves.is_empty()
    }
}

#[derive(Default)]
struct Registry {
    numbers: u64,
    stores: HashMap<Arc<str>, BTreeMap<u32, OfPartition>>,
    positions: HashMap<TopicPartition, BTreeMap<(Offset, u64), Arc<Bell>>>,
    placement: BTreeMap<u64, Arc<Bell>>,
}

#[derive(Default)]
struct Shared {
    registry: Mutex<Registry>,
    /// How many there are: who changes something and finds none does not lock.
    waiters: AtomicUsize,
}

/// The waiters of a process.
#[derive(Clone, Default)]
pub struct Watches(Arc<Shared>);

/// What a commit changed of one store's partition.
pub(crate) enum Changed {
    Keys(Vec<Vec<u8>>),
    /// Too many to name, or nobody asked for names before the commit.
    All,
}

impl Changed {
    pub(crate) fn push(&mut self, key: &[u8]) {
        match self {
            Self::Keys(keys) if keys.len() < CHANGED_KEYS_MAX => keys.push(key.to_vec()),
            _ => *self = Self::All,
        }
    }
}

impl Watches {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        let registry = self.0.registry.lock();
        registry.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub fn waiters(&self) -> usize {
        self.0.waiters.load(Ordering::SeqCst)
    }

    /// Registers a waiter that keeps the names of up to `keys_max` changed keys; `None` when [`WAITERS_MAX`] wait.
    /// Whoever registers looks afterwards: only what becomes visible later rings.
    pub fn register(&self, interests: Vec<Interest>, keys_max: usize) -> Option<Waiter> {
        let mut registry = self.lock();
        if self.waiters() >= WAITERS_MAX {
            return None;
        }
        self.0.waiters.fetch_add(1, Ordering::SeqCst);
        registry.numbers += 1;
        let number = registry.numbers;
        let bell = Arc::new(Bell::new(keys_max));
        for interest in &interests {
            registry.add(number, interest, &bell);
        }
        Some(Waiter::new(self.clone(), number, interests, bell))
    }

    pub(crate) fn deregister(&self, number: u64, interests: &[Interest]) {
        let mut registry = self.lock();
        for interest in interests {
            registry.remove(number, interest);
        }
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
    }

    /// Where the keys that a commit changes are to be noted; answers [`Changed::All`] where nobody watches yet.
    pub(crate) fn collect(&self, store: &str, partition: u32) -> Changed {
        let is_watched = self.waiters() > 0 && {
            let registry = self.lock();
            let found = registry.stores.get(store);
            found.is_some_and(|partitions| partitions.contains_key(&partition))
        };
        match is_watched {
            true => Changed::Keys(Vec::new()),
            false => Changed::All,
        }
    }

    /// A commit that changed this is visible.
    pub(crate) fn changed(&self, store: &str, partition: u32, changed: &Changed) {
        if self.waiters() == 0 {
            return;
        }
        let registry = self.lock();
        let found = registry.stores.get(store);
        let Some(watched) = found.and_then(|partitions| partitions.get(&partition)) else {
            return;
        };
        let Changed::Keys(keys) = changed else {
            watched.bells().for_each(|bell| bell.ring_missed());
            return;
        };
        if !watched.keys.is_empty() {
            for key in keys {
                let bells = watched.keys.get(key).into_iter().flat_map(Bells::iter);
                bells.for_each(|bell| bell.ring_keys(std::iter::once(&key[..])));
            }
        }
        for (from, to, bell) in watched.ranges.values() {
            let range = (
                from.as_ref().map(Vec::as_slice),
                to.as_ref().map(Vec::as_slice),
            );
            let keys = keys.iter().map(Vec::as_slice);
            bell.ring_keys(keys.filter(|key| RangeBounds::<[u8]>::contains(&range, *key)));
        }
    }

    /// Everything before this position is visible.
    pub(crate) fn reached<'a>(
        &self,
        positions: impl Iterator<Item = (&'a TopicPartition, Offset)>,
    ) {
        if self.waiters() == 0 {
            return;
        }
        let registry = self.lock();
        for (at, offset) in positions {
            if let Some(waiting) = registry.positions.get(at) {
                let due = waiting.range(..=(offset, u64::MAX));
                due.for_each(|(_, bell)| bell.ring());
            }
        }
    }

    /// A partition of a store came or went: its waiters route again.
    pub(crate) fn moved(&self, store: &str, partition: u32) {
        if self.waiters() == 0 {
            return;
        }
        let registry = self.lock();
        let found = registry.stores.get(store);
        if let Some(watched) = found.and_then(|partitions| partitions.get(&partition)) {
            let bells = watched.bells().chain(watched.moves.values());
            bells.for_each(|bell| bell.ring_moved());
        }
        registry
            .placement
            .values()
            .for_each(|bell| bell.ring_moved());
    }

    /// The hosts changed.
    pub(crate) fn placed(&self) {
        if self.waiters() > 0 {
            let registry = self.lock();
            registry
                .placement
                .values()
                .for_each(|bell| bell.ring_moved());
        }
    }
}

impl Registry {
    fn add(&mut self, number: u64, interest: &Interest, bell: &Arc<Bell>) {
        let bell = bell.clone();
        match interest {
            Interest::Key {
                store,
                partition,
                key,
            } => {
                let watched = self.stores.entry(store.clone()).or_default();
                let watched = watched.entry(*partition).or_default();
                let bells = watched.keys.entry(key.clone()).or_default();
                bells.insert(number, bell);
            }
            Interest::Range {
                store,
                partition,
                from,
                to,
            } => {
                let watched = self.stores.entry(store.clone()).or_default();
                let watched = watched.entry(*partition).or_default();
                watched
                    .ranges
                    .insert(number, (from.clone(), to.clone(), bell));
            }
            Interest::Moves { store, partition } => {
                let watched = self.stores.entry(store.clone()).or_default();
                let watched = watched.entry(*partition).or_default();
                watched.moves.insert(number, bell);
            }
            Interest::Position { at, offset } => {
                let waiting = self.positions.entry(at.clone()).or_default();
                waiting.insert((*offset, number), bell);
            }
            Interest::Placement => {
                self.placement.insert(number, bell);
            }
        }
    }

    fn remove(&mut self, number: u64, interest: &Interest) {
        match interest {
            Interest::Key {
                store, partition, ..
            }
            | Interest::Range {
                store, partition, ..
            }
            | Interest::Moves { store, partition } => {
                let Some(partitions) = self.stores.get_mut(store) else {
                    return;
                };
                let Some(watched) = partitions.get_mut(partition) else {
                    return;
                };
                watched.ranges.remove(&number);
                watched.moves.remove(&number);
                if let Interest::Key { key, .. } = interest
                    && let Some(bells) = watched.keys.get_mut(key)
                {
                    bells.remove(number);
                    if bells.is_empty() {
                        watched.keys.remove(key);
                    }
                }
                if watched.is_empty() {
                    partitions.remove(partition);
                }
                if partitions.is_empty() {
                    self.stores.remove(store);
                }
            }
            Interest::Position { at, offset } => {
                if let Some(waiting) = self.positions.get_mut(at) {
                    waiting.remove(&(*offset, number));
                    if waiting.is_empty() {
                        self.positions.remove(at);
                    }
                }
            }
            Interest::Placement => {
                self.placement.remove(&number);
            }
        }
    }
}
