//! Fills the global stores of a process from all partitions of their topics (`GlobalStateUpdateTask`).
//! Not a task: it has no outputs and no changelogs; where it reads on after a restart is kept with its stores.
//! Invariant: what tasks see of global stores changes only with [`GlobalUpdate::commit`].

use super::guard::caught;
use super::run::{open_state, open_stores};
use super::{Context, Feed, Globals, Output, Punctuate, Route, TaskState, Wiring};
use crate::{Error, Result, Semantics, Topology};
use headwater_log::{AppendRecord, RecordRef, TaskId};
use headwater_store::{RecordCache, Store};
use std::{rc::Rc, sync::Arc};

/// The operators that fill a process' global stores, and the stores. It stays on its thread; [`GlobalUpdate::globals`] does not.
pub struct GlobalUpdate {
    operators: Operators,
    state: TaskState,
    /// Empty: nobody waits for updates of a global store.
    cache: RecordCache,
    globals: Globals,
}

/// What fills global stores.
struct Operators {
    topology: Arc<Topology>,
    /// With the numbers of their topics.
    feeds: Vec<(u32, Rc<dyn Feed>)>,
    processors: Vec<Rc<dyn Punctuate>>,
}

impl GlobalUpdate {
    /// Wires the parts of `topology` that fill global stores; `None` when there are none. `stores` are those, by number in the
    /// topology.
    pub fn new(topology: &Arc<Topology>, stores: Vec<(usize, Store)>) -> Option<Self> {
        Self::wire(topology, stores, RecordCache::new(0), false)
    }

    /// As [`GlobalUpdate::new`], with a record cache that its tasks read through.
    pub(crate) fn with_cache(
        topology: &Arc<Topology>,
        stores: Vec<(usize, Store)>,
        cache: RecordCache,
    ) -> Option<Self> {
        Self::wire(topology, stores, cache, true)
    }

    fn wire(
        topology: &Arc<Topology>,
        stores: Vec<(usize, Store)>,
        mut cache: RecordCache,
        shares_cache: bool,
    ) -> Option<Self> {
        let first = topology.globals().first()?;
        let mut wiring = Wiring::new(topology);
        let parts = topology.globals().iter();
        let feeds = parts.flat_map(|part| wiring.feeds(&part.nodes)).collect();
        let id = TaskId {
            subtopology: first.id,
            partition: 0,
        };
        let parts = topology.globals().iter();
        let nodes: Vec<usize> = parts.flat_map(|part| part.nodes.clone()).collect();
        let processors = wiring.take_processors(&nodes);
        let stores = open_stores(topology, stores, &mut cache);
        let numbered = stores.iter().enumerate();
        let opened = numbered.filter_map(|(number, store)| Some((number, store.as_ref()?)));
        let globals = Globals::of(topology, opened, shares_cache);
        let state = open_state(topology, wiring, id, stores, Vec::new());
        Some(Self {
            operators: Operators {
                topology: topology.clone(),
                feeds,
                processors,
            },
            state,
            cache,
            globals,
        })
    }

    /// Exchanges its record cache for another: the test driver's is that of its task too, while one of both is at work.
    pub(crate) fn swap_cache(&mut self, cache: &mut RecordCache) {
        std::mem::swap(&mut self.cache, cache);
    }

    /// What tasks read.
    pub fn globals(&self) -> Globals {
        self.globals.clone()
    }

    /// Calls the processors' `open`; once, before the first record.
    pub fn open(&mut self, now_ms: i64) -> Result<()> {
        self.change(now_ms, |operators, ctx| {
            for (number, processor) in operators.processors.iter().enumerate() {
                processor.open(ctx, number)?;
            }
            Ok(())
        })
    }

    /// Takes in a record of the source topic number `topic` of the topology, if that fills a global store.
    ///
    /// An error leaves what the record changed in the stores' overlays: do not commit it.
    pub fn apply(
        &mut self,
        topic: u32,
        partition: u32,
        record: &RecordRef<'_>,
        now_ms: i64,
    ) -> Result<()> {
        self.count_uses()?;
        self.change(now_ms, |operators, ctx| {
            for (number, feed) in &operators.feeds {
                if *number == topic {
                    // Kafka Streams does not ask the extractor of a global topic.
                    let timestamp = match operators.topology.settings.semantics {
                        Semantics::Java => record.timestamp,
                        Semantics::Headwater => feed.timestamp(record, -1),
                    };
                    feed.feed(ctx, record, timestamp, topic, partition)?;
                }
            }
            Ok(())
        })
    }

    /// Makes visible to tasks what was taken in, and keeps it: it is not taken back.
    pub fn commit(&mut self) -> Result<()> {
        self.commit_after(&mut |_, _| {})
    }

    /// As [`GlobalUpdate::commit`]; `look` is shown each store, with its number in the topology, as its commit is about to be visible
    /// ([`Store::pending_keys`]).
    pub fn commit_after(&mut self, look: &mut dyn FnMut(usize, &Store)) -> Result<()> {
        self.flush()?;
        for (number, store) in self.state.stores.iter_mut().enumerate() {
            if let Some(store) = store {
                store.bytes.seal();
                look(number, &store.bytes);
                store.bytes.commit(None)?;
            }
        }
        Ok(())
    }

    /// The stores by number in the topology.
    pub fn stores(&mut self) -> impl Iterator<Item = (usize, &mut Store)> {
        let stores = self.state.stores.iter_mut().enumerate();
        stores.filter_map(|(number, store)| Some((number, &mut store.as_mut()?.bytes)))
    }

    /// What was taken in and passed over.
    pub fn counters(&self) -> super::Counters {
        self.state.counters
    }

    /// Writes what the record cache holds to the stores.
    fn flush(&mut self) -> Result<()> {
        let stores = self.state.stores.iter().enumerate();
        let cached = stores.filter_map(|(number, store)| Some((number, store.as_ref()?.cache?)));
        let cached: Vec<(usize, usize)> = cached.collect();
        if cached.is_empty() {
            return Ok(());
        }
        self.change(self.state.now_ms, |_, ctx| {
            for (store, slot) in cached {
                ctx.flush_store(store, slot)?;
            }
            Ok(())
        })
    }

    /// What tasks have read of LRU stores counts as use.
    fn count_uses(&mut self) -> Result<()> {
        let mut value = Vec::new();
        for (number, store) in self.state.stores.iter().enumerate() {
            if let Some(store) = store {
                for key in self.globals.take_used(number) {
                    store.bytes.get(&key, &mut value)?;
                }
            }
        }
        Ok(())
    }

    fn change(
        &mut self,
        now_ms: i64,
        step: impl FnOnce(&Operators, &mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        self.state.now_ms = now_ms;
        self.state.failed.forget();
        let mut ctx = Context {
            state: &mut self.state,
            cache: &mut self.cache,
            output: &mut Nowhere,
        };
        let done = caught(|| step(&self.operators, &mut ctx));
        done.map_err(|error| {
            let nodes = &self.operators.topology.nodes;
            let failed = self.state.failed.node();
            let name = failed.map_or("a global source", |node| &nodes[node].name);
            error.in_node(name, String::new)
        })
    }
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

    /// Dead letters need a producer, which only tasks have: what is passed over is counted (KIP-1034).
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
