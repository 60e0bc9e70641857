//! Global stores: one copy for all tasks of a worker, filled from all partitions of their topics (`GlobalStateUpdateTask`).
//! Not a task: it commits nothing, it reads its topics from their beginning whenever it starts, and it writes nowhere.
//! Invariant: tasks read global stores and never write them.

use super::guard::caught;
use super::run::{open_state, open_stores};
use super::{CachedStore, Context, Feed, Output, Punctuate, Route, StateStore, TaskState, Wiring};
use crate::{Error, Result, Topology};
use headwater_log::{AppendRecord, RecordRef, TaskId};
use headwater_store::{Direction, KeyRange, ReadBytes, RecordCache, Visit};
use std::{cell::RefCell, rc::Rc, sync::Arc};

/// The global stores of a worker and the operators that fill them. A handle: tasks of the worker's thread share it.
#[derive(Clone, Default)]
pub struct Globals(Option<Rc<RefCell<Filled>>>);

struct Filled {
    topology: Arc<Topology>,
    /// With the numbers of their topics.
    feeds: Vec<(u32, Rc<dyn Feed>)>,
    processors: Vec<Rc<dyn Punctuate>>,
    state: TaskState,
    /// Empty: nobody waits for updates of a global store.
    cache: RecordCache,
}

impl Globals {
    /// Wires the parts of `topology` that fill global stores. `stores` are those, empty, by number in the topology.
    pub fn new(topology: &Arc<Topology>, stores: Vec<(usize, headwater_store::Store)>) -> Self {
        if topology.globals().is_empty() {
            return Self(None);
        }
        let mut cache = RecordCache::new(0);
        let mut wiring = Wiring::new(topology);
        let parts = topology.globals().iter();
        let feeds = parts.flat_map(|part| wiring.feeds(&part.nodes)).collect();
        let id = TaskId {
            subtopology: topology.globals()[0].id,
            partition: 0,
        };
        let processors = std::mem::take(&mut wiring.processors);
        let stores = open_stores(topology, stores, &mut cache);
        let state = open_state(topology, wiring, id, stores, Vec::new());
        Self(Some(Rc::new(RefCell::new(Filled {
            topology: topology.clone(),
            feeds,
            processors,
            state,
            cache,
        }))))
    }

    /// Calls the processors' `open`; once, before the first record.
    pub fn open(&self, now_ms: i64) -> Result<()> {
        self.change(now_ms, |filled, ctx| {
            for (number, processor) in filled.processors.iter().enumerate() {
                processor.open(ctx, number)?;
            }
            Ok(())
        })
    }

    /// Takes in a record of `topic`, if that fills a global store. What it changed is visible when this returns, and stays.
    pub fn apply(
        &self,
        topic: &str,
        partition: u32,
        record: &RecordRef<'_>,
        now_ms: i64,
    ) -> Result<()> {
        self.change(now_ms, |filled, ctx| {
            let names = &filled.topology.source_topics;
            for (number, feed) in filled.feeds {
                if &*names[*number as usize] == topic {
                    let timestamp = feed.timestamp(record, -1);
                    feed.feed(ctx, record, timestamp, *number, partition)?;
                }
            }
            // Dead letters need a producer, which only tasks have: failures passed over are counted (KIP-1034).
            ctx.state.failures.clear();
            Ok(())
        })
    }

    fn change(
        &self,
        now_ms: i64,
        step: impl FnOnce(&Operators<'_>, &mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(filled) = &self.0 else {
            return Ok(());
        };
        let filled = &mut *filled.borrow_mut();
        filled.state.now_ms = now_ms;
        let operators = Operators {
            topology: &filled.topology,
            feeds: &filled.feeds,
            processors: &filled.processors,
        };
        let mut ctx = Context {
            state: &mut filled.state,
            cache: &mut filled.cache,
            output: &mut Nowhere,
        };
        let done = caught(|| step(&operators, &mut ctx));
        if let Err(error) = done {
            let node = filled.topology.nodes.get(filled.state.at);
            let name = node.map_or("a global source", |node| &node.name);
            return Err(error.in_node(name, String::new));
        }
        for store in filled.state.stores.iter_mut().flatten() {
            store.bytes.seal();
            store.bytes.commit(None)?;
        }
        Ok(())
    }

    /// The number of the global store of this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let filled = self.0.as_ref()?.borrow();
        let named = |store: &Option<StateStore>| store.as_ref().is_some_and(|it| *it.name == *name);
        filled.state.stores.iter().position(named)
    }

    /// True for a store that is global.
    pub(crate) fn has(&self, store: usize) -> bool {
        let filled = self.0.as_ref().map(|filled| filled.borrow());
        filled.is_some_and(|filled| filled.state.stores.get(store).is_some_and(Option::is_some))
    }

    /// Reads a global store.
    pub(crate) fn get(&self, store: usize, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        self.with_state(store, |state| Ok(state.get(key, value)?))
    }

    /// Visits the entries of a global store. `visit` must not come back here to change it.
    pub(crate) fn scan(
        &self,
        store: usize,
        range: KeyRange<'_>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let filled = self.filled().borrow();
        let rows = CachedStore {
            store: filled.state.stores[store].as_ref().expect(NEITHER),
            cache: &filled.cache,
        };
        Ok(rows.scan(range, direction, visit)?)
    }

    /// Gives a global store to `read`, which must not come back here.
    pub(crate) fn with<T>(
        &self,
        store: usize,
        read: impl FnOnce(&headwater_store::Store) -> Result<T>,
    ) -> Result<T> {
        self.with_state(store, |state| read(&state.bytes))
    }

    /// As [`Globals::with`], with what the topology says about the store.
    pub(crate) fn with_state<T>(&self, store: usize, read: impl FnOnce(&StateStore) -> T) -> T {
        let filled = self.filled().borrow();
        read(filled.state.stores[store].as_ref().expect(NEITHER))
    }

    fn filled(&self) -> &Rc<RefCell<Filled>> {
        self.0.as_ref().expect(NEITHER)
    }
}

const NEITHER: &str =
    "operators name only stores of their sub-topology and global ones, which their worker opens";

/// What fills global stores, while they change.
struct Operators<'f> {
    topology: &'f Topology,
    feeds: &'f [(u32, Rc<dyn Feed>)],
    processors: &'f [Rc<dyn Punctuate>],
}

/// Global stores have no changelogs, and their operators no outputs.
struct Nowhere;

impl Nowhere {
    fn refuse<T>() -> Result<T> {
        Err(Error::Topology(
            "the operators of a global store have no outputs; forward from a task".into(),
        ))
    }
}

impl Output for Nowhere {
    fn send(&mut self, _: u32, _: Route<'_>, _: &AppendRecord<'_>) -> Result<()> {
        Self::refuse()
    }

    /// The letters of undecodable records are only counted.
    fn send_to(&mut self, _: &str, _: Route<'_>, _: &AppendRecord<'_>) -> Result<()> {
        Ok(())
    }

    fn changelog(&mut self, _: usize, _: u32, _: &AppendRecord<'_>) -> Result<()> {
        Self::refuse()
    }

    fn partitions(&mut self, _: u32) -> Result<u32> {
        Self::refuse()
    }

    fn partitions_of(&mut self, _: &str) -> Result<u32> {
        Self::refuse()
    }
}
