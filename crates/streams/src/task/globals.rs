//! Global stores as tasks read them: one copy for all tasks of a process, committed rows only, from any thread.
//! Not what fills them: that is [`GlobalUpdate`](super::GlobalUpdate). Invariant: tasks read global stores and never write them.

use super::StateStore;
use crate::Result;
use crate::topology::{Kept, Topology};
use headwater_store::{Direction, KeyRange, Layout, ReadBytes, StoreReader, Visit};
use std::any::Any;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// The global stores of a process. A handle: the tasks of all workers share it. Rows are those of the last
/// [`GlobalUpdate::commit`](super::GlobalUpdate::commit). Reading a key of an LRU store counts as use of it, from the next update on.
#[derive(Clone, Default)]
pub struct Globals(Arc<[Option<GlobalStore>]>);

/// What is known of a global store to those who read it.
pub(crate) struct GlobalStore {
    pub(crate) name: Arc<str>,
    /// The topic that formats are told.
    pub(crate) topic: Arc<str>,
    pub(crate) layout: Layout,
    pub(crate) timestamped: bool,
    pub(crate) formats: Arc<dyn Any + Send + Sync>,
    pub(crate) kept: Kept,
    rows: StoreReader,
    /// Where the test driver's record cache holds its rows too, as Kafka Streams' does.
    cache: Option<usize>,
    /// Keys read from an LRU store since its last update.
    used: Option<Mutex<VecDeque<Vec<u8>>>>,
}

/// Reads of an LRU store between two updates that still count as use of the key: the latest. Keys.
const USED_KEYS_MAX: usize = 1024;

impl Globals {
    /// Readers of `stores`, by number in the topology. Their record cache is that of the tasks if it `shares_cache`.
    pub(super) fn of<'s>(
        topology: &Topology,
        stores: impl Iterator<Item = (usize, &'s StateStore)>,
        shares_cache: bool,
    ) -> Self {
        let mut readers: Vec<Option<GlobalStore>> = topology.stores.iter().map(|_| None).collect();
        for (number, store) in stores {
            let spec = &topology.stores[number];
            readers[number] = Some(GlobalStore {
                name: spec.name.as_str().into(),
                topic: topology.changelog(number).into(),
                layout: spec.layout.clone(),
                timestamped: spec.timestamped,
                formats: spec.formats.clone(),
                kept: spec.kept,
                rows: store.bytes.reader(),
                cache: store.cache.filter(|_| shares_cache),
                used: matches!(spec.layout, Layout::Lru { .. }).then(Mutex::default),
            });
        }
        Self(readers.into())
    }

    /// The committed rows of each store, for views: its name and who reads them.
    pub fn readers(&self) -> impl Iterator<Item = (&str, StoreReader)> + '_ {
        let stores = self.0.iter().flatten();
        stores.map(|store| (&*store.name, store.rows.clone()))
    }

    /// The number of the global store of this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let named =
            |store: &Option<GlobalStore>| store.as_ref().is_some_and(|it| *it.name == *name);
        self.0.iter().position(named)
    }

    /// The store of this number, if it is global.
    pub(crate) fn store(&self, number: usize) -> Option<&GlobalStore> {
        self.0.get(number)?.as_ref()
    }

    /// Reads a global store.
    pub(crate) fn get(&self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let store = self.store(store).expect(NEITHER);
        if !store.rows.get(key, value)? {
            return Ok(false);
        }
        store.kept.unpack(&store.name, value)?;
        if let Some(used) = &store.used {
            let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
            if used.len() == USED_KEYS_MAX {
                used.pop_front();
            }
            used.push_back(key.to_vec());
        }
        Ok(true)
    }

    /// Where the record cache of the tasks holds rows of a global store.
    pub(crate) fn cache_slot(&self, store: usize) -> Option<usize> {
        self.store(store)?.cache
    }

    /// Takes the keys of a store that were read, in order, where reads decide which keys stay.
    pub(super) fn take_used(&self, store: usize) -> VecDeque<Vec<u8>> {
        let used = self.store(store).and_then(|store| store.used.as_ref());
        used.map(|used| std::mem::take(&mut *used.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }

    /// Visits the entries of a global store, all as of one commit.
    pub(crate) fn scan(
        &self,
        store: usize,
        range: KeyRange<'_>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let store = self.store(store).expect(NEITHER);
        let mut buffer = Vec::new();
        let mut failure = None;
        store.rows.scan(
            range,
            direction,
            &mut |key, value| match store.kept.unpacked(&store.name, value, &mut buffer) {
                Ok(value) => visit(key, value),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

const NEITHER: &str =
    "operators name only stores of their sub-topology and global ones, which their process opens";
