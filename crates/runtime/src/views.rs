//! The readers of the stores that this process runs or follows. Not typed, and not the routing to other instances.
//! Invariant: a reader is here as active only while its task runs: never of a store that is still being restored.

use crate::watches::Watches;
use headwater_log::TaskId;
use headwater_store::StoreReader;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

/// A store's partition that this process follows as standby.
#[derive(Clone)]
pub struct Follower {
    /// What it has; older than what the task's owner has.
    pub reader: StoreReader,
    /// How many records of the changelog it was behind when it last heard of its end.
    pub lag: i64,
}

#[derive(Default)]
struct Places {
    active: BTreeMap<String, BTreeMap<u32, StoreReader>>,
    followed: BTreeMap<String, BTreeMap<u32, Follower>>,
    running: BTreeSet<TaskId>,
}

/// The readers of all stores that this process runs, by store and partition, and of those that it follows as standby.
#[derive(Clone, Default)]
pub struct Views {
    places: Arc<RwLock<Places>>,
    watches: Watches,
}

impl Views {
    fn change<T>(&self, change: impl FnOnce(&mut Places) -> T) -> T {
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut places)
    }

    fn look<T>(&self, look: impl FnOnce(&Places) -> T) -> T {
        look(&self.places.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn insert(&self, store: &str, partition: u32, reader: StoreReader) {
        self.change(|places| {
            let readers = places.active.entry(store.into()).or_default();
            readers.insert(partition, reader);
            if let Some(followed) = places.followed.get_mut(store) {
                followed.remove(&partition);
            }
        });
        self.watches.moved(store, partition);
    }

    pub(crate) fn remove(&self, store: &str, partition: u32) {
        let removed = self.change(|places| {
            if let Some(followed) = places.followed.get_mut(store) {
                followed.remove(&partition);
            }
            let readers = places.active.get_mut(store)?;
            readers.remove(&partition)
        });
        if removed.is_some() {
            self.watches.moved(store, partition);
        }
    }

    /// A task processes records, with positions and stores that may be asked for.
    pub(crate) fn opened(&self, task: TaskId) {
        self.change(|places| places.running.insert(task));
        self.watches.placed();
    }

    /// A task processes no records any more.
    pub(crate) fn closed(&self, task: TaskId) {
        if self.change(|places| places.running.remove(&task)) {
            self.watches.placed();
        }
    }

    /// True while a task runs here, as its owner.
    pub fn runs(&self, task: TaskId) -> bool {
        self.look(|places| places.running.contains(&task))
    }

    /// A standby has a reader, `lag` records behind.
    pub(crate) fn follow(&self, store: &str, partition: u32, reader: StoreReader, lag: i64) {
        self.change(|places| {
            let followed = places.followed.entry(store.into()).or_default();
            followed.insert(partition, Follower { reader, lag });
        });
    }

    /// Who waits for what changes here.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// The partitions of `store` that run here.
    pub fn readers(&self, store: &str) -> Vec<(u32, StoreReader)> {
        self.look(|places| {
            let readers = places.active.get(store).into_iter().flatten();
            readers
                .map(|(partition, reader)| (*partition, reader.clone()))
                .collect()
        })
    }

    /// One partition of `store`, if it runs here.
    pub fn reader(&self, store: &str, partition: u32) -> Option<StoreReader> {
        self.look(|places| places.active.get(store)?.get(&partition).cloned())
    }

    /// One partition of `store`, if this process follows it as standby. For those who may be told what is old.
    pub fn follower(&self, store: &str, partition: u32) -> Option<Follower> {
        self.look(|places| places.followed.get(store)?.get(&partition).cloned())
    }
}
