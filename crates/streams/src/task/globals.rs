//! Global stores as tasks read them: one copy for all tasks of a process, committed rows only, from any thread.
//! Not what fills them: that is [`GlobalUpdate`](super::GlobalUpdate). Invariant: tasks read global stores and never write them.

use crate::Result;
use crate::topology::{Kept, Topology};
use headwater_store::{Direction, KeyRange, Layout, ReadBytes, Store, StoreReader, Visit};
use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The global stores of a process. A handle: the tasks of all workers share it. Rows are those of the last
/// [`GlobalUpdate::commit`](super::GlobalUpdate::commit). Reading a key of an LRU store does not count as use of it.
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
    kept: Kept,
    rows: StoreReader,
}

impl Globals {
    /// Readers of `stores`, by number in the topology.
    pub(super) fn of<'s>(
        topology: &Topology,
        stores: impl Iterator<Item = (usize, &'s Store)>,
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
                rows: store.reader(),
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
        Ok(true)
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
