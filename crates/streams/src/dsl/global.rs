//! Global tables and stores: every worker keeps all their rows, whatever partitions its tasks have.
//! Not tables: they have no updates to follow, only rows to look up. Invariant: the topic is the changelog; nothing else is logged.

use super::app::{App, processor, store_spec};
use super::join::{JoinTable, Joiner};
use super::stream::CHANGES_KEY;
use super::table::table_source_node;
use super::{KStream, Store, StoreHandle, TimestampedKeyValues, Topic};
use crate::Semantics;
use crate::format::Formats;
use crate::operator::{GlobalJoin, Processor, ProcessorNode};
use crate::task::{Wire, boxed_whole};
use crate::topology::{Kept, Role, StoreSpec};
use headwater_store::Layout;
use std::any::Any;
use std::{marker::PhantomData, sync::Arc};

/// A global table (`GlobalKTable`). A handle: copy it to use the table twice.
pub struct GlobalKTable<'a, K, V> {
    app: &'a App,
    node: usize,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for GlobalKTable<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for GlobalKTable<'_, K, V> {}

/// Makes a global table's key of a record.
type Select<K, V, G> = Arc<dyn Fn(&K, &V) -> G + Send + Sync>;

/// A global table under a key made of the stream's records: what stands on the right of [`KStream::join`].
pub struct ByGlobalKey<'a, K, V, G, R> {
    table: GlobalKTable<'a, G, R>,
    select: Select<K, V, G>,
}

impl<'a, G: Clone + 'static, R: Clone + 'static> GlobalKTable<'a, G, R> {
    /// This table, under a key made of a record's key and value: `orders.join(countries.by(|_, order| ..), ..)`. A null key
    /// (an absent one, where the table's keys may be absent) has no row.
    pub fn by<K, V>(
        self,
        select: impl Fn(&K, &V) -> G + Send + Sync + 'static,
    ) -> ByGlobalKey<'a, K, V, G, R> {
        ByGlobalKey {
            table: self,
            select: Arc::new(select),
        }
    }
}

const GLOBAL: Role = Role {
    keeps_by_time: false,
    global: true,
    versioned: Some(false),
    changes_key: false,
    ..CHANGES_KEY
};

impl App {
    /// The records of `topic`, all partitions of it, as rows that every process keeps whole (`StreamsBuilder.globalTable`).
    ///
    /// Streams join it by any key, without being partitioned like it and without waiting for it: unlike a table's, its rows are
    /// the newest that the process has read, whatever the time of the record that asks.
    ///
    /// ```
    /// # use headwater_streams::App;
    /// let app = App::new("addresses");
    /// let countries = app.global_table::<String, String>("countries");
    /// app.stream::<String, String>("orders")
    ///     .join(countries.by(|_, order| order[..2].to_owned()), |order, country| format!("{order} to {country}"))
    ///     .to("addressed");
    /// app.build()?;
    /// # Ok::<_, headwater_streams::Error>(())
    /// ```
    pub fn global_table<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: impl Into<Topic<K, V>>,
    ) -> GlobalKTable<'_, K, V> {
        let topic = topic.into();
        let name = self.table_store_name(&topic);
        self.add_global_table(topic, Store::named(name))
    }

    /// As [`App::global_table`], with the rows kept in `store`, which needs a name.
    pub fn global_table_in<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: impl Into<Topic<K, V>>,
        store: impl Into<Store<K, V>>,
    ) -> GlobalKTable<'_, K, V> {
        let (topic, store) = (topic.into(), store.into());
        let mut graph = self.graph.borrow_mut();
        let of = topic.names.first().map_or("", String::as_str);
        if store.name.is_none() {
            graph.problem(format!(
                "the global table of topic '{of}': its store needs a name; give Store::named, or leave the store out"
            ));
        }
        if store.is_versioned() {
            graph.problem(format!(
                "the global table of topic '{of}': it cannot keep versions; leave out Store::versioned"
            ));
        }
        drop(graph);
        self.add_global_table(topic, store)
    }

    /// A store that every process keeps whole and that a processor fills from `topic` (`StreamsBuilder.addGlobalStore`). The
    /// factory's processor is the only one that may write it; all others may read it, without being connected to it.
    pub fn global_store<P, SK: 'static, SV: 'static>(
        &self,
        topic: impl Into<Topic<P::KeyIn, P::ValueIn>>,
        store: impl Into<Store<SK, SV>>,
        factory: impl Fn(StoreHandle<SK, SV>) -> P + Send + Sync + 'static,
    ) -> StoreHandle<SK, SV>
    where
        P: Processor<KeyOut = (), ValueOut = ()>,
    {
        self.add_global_store(topic.into(), store.into(), false, factory)
    }

    /// As [`App::global_store`], of values with timestamps (`Stores.timestampedKeyValueStoreBuilder`).
    pub fn timestamped_global_store<P, SK: 'static, SV: 'static>(
        &self,
        topic: impl Into<Topic<P::KeyIn, P::ValueIn>>,
        store: impl Into<Store<SK, SV>>,
        factory: impl Fn(StoreHandle<SK, SV, TimestampedKeyValues>) -> P + Send + Sync + 'static,
    ) -> StoreHandle<SK, SV, TimestampedKeyValues>
    where
        P: Processor<KeyOut = (), ValueOut = ()>,
    {
        self.add_global_store(topic.into(), store.into(), true, factory)
    }

    fn add_global_store<P, SK: 'static, SV: 'static, S: 'static>(
        &self,
        mut topic: Topic<P::KeyIn, P::ValueIn>,
        store: Store<SK, SV>,
        timestamped: bool,
        factory: impl Fn(StoreHandle<SK, SV, S>) -> P + Send + Sync + 'static,
    ) -> StoreHandle<SK, SV, S>
    where
        P: Processor<KeyOut = (), ValueOut = ()>,
    {
        let (source_name, name) = self.global_names(&mut topic);
        let asks_cache = store.asks_for_cache;
        if store.is_versioned() {
            self.graph.borrow_mut().problem(format!(
                "{name}: a global store cannot keep versions; leave out Store::versioned"
            ));
        }
        let mut spec = global_spec(self, &name, store, &topic);
        (spec.timestamped, spec.kept) = (timestamped, Kept::Whole);
        spec.cached &= asks_cache;
        let group = self.graph.borrow_mut().add_group(GLOBAL, &[]);
        let source = self.add_source(group, source_name, topic, false);
        let mut graph = self.graph.borrow_mut();
        let handle = StoreHandle {
            index: graph.add_store(spec),
            types: PhantomData,
        };
        let wire: Wire = Box::new(move |wiring, node| -> Box<dyn Any> {
            let shared = ProcessorNode::wire(wiring, node, factory(handle));
            boxed_whole::<P::KeyIn, P::ValueIn>(wiring, node, shared)
        });
        let mut node = processor(name, vec![source], wire, Formats::<(), ()>::UNKNOWN);
        node.stores = vec![handle.index];
        graph.add_to(group, node);
        handle
    }

    fn global_names<K, V>(&self, topic: &mut Topic<K, V>) -> (String, String) {
        let mut graph = self.graph.borrow_mut();
        let given = topic.node.take().map(|name| graph.give_name(name));
        (
            graph.suffixed("KSTREAM-SOURCE-", given, "-source"),
            graph.name("KTABLE-SOURCE-", given),
        )
    }

    fn add_global_table<K: Clone + 'static, V: Clone + 'static>(
        &self,
        mut topic: Topic<K, V>,
        store: Store<K, V>,
    ) -> GlobalKTable<'_, K, V> {
        let formats = Formats {
            key: topic.key.clone(),
            value: topic.value.clone(),
        };
        let store = store.or_formats(topic.key.clone(), topic.value.clone());
        let (source_name, name) = self.global_names(&mut topic);
        let spec = global_spec(self, &name, store, &topic);
        let group = self.graph.borrow_mut().add_group(GLOBAL, &[]);
        let source = self.add_source(group, source_name, topic, true);
        let node = table_source_node(name, source, formats, spec);
        let mut graph = self.graph.borrow_mut();
        let node = graph.add_to(group, node);
        graph.materialize(node);
        drop(graph);
        GlobalKTable {
            app: self,
            node,
            types: PhantomData,
        }
    }
}

/// A global store: its topic is what it is restored from, and nobody waits for its updates.
fn global_spec<K: 'static, V: 'static, TK, TV>(
    app: &App,
    operator: &str,
    store: Store<K, V>,
    topic: &Topic<TK, TV>,
) -> StoreSpec {
    let mut spec = store_spec(app, operator, store, Layout::KeyValue);
    // Kafka Streams caches the rows of a global table, although nobody waits for them.
    spec.cached &= app.settings.borrow().semantics == Semantics::Java;
    spec.logged = false;
    spec.changelog_topic = topic.names.first().cloned();
    spec
}

impl<'a, K, V, G, R> JoinTable<'a, K, V> for ByGlobalKey<'a, K, V, G, R>
where
    K: Clone + 'static,
    V: Clone + 'static,
    G: Clone + 'static,
    R: Clone + 'static,
{
    type Row = R;

    fn connect<O: Clone + 'static>(
        self,
        stream: KStream<'a, K, V>,
        left: bool,
        joiner: Joiner<K, V, R, O>,
    ) -> KStream<'a, K, O> {
        let app = stream.app;
        if !app.owns(self.table.app, "KStream::join") {
            return KStream::at(app, stream.node, stream.rekeyed);
        }
        let mut graph = app.graph.borrow_mut();
        // The name of an inner join too.
        let name = graph.name("KSTREAM-LEFTJOIN-", stream.name);
        let known = graph.nodes[self.table.node]
            .formats
            .downcast_ref::<Formats<G, R>>();
        let Some(global_key) = known.and_then(|formats| formats.key.clone()) else {
            drop(graph); // The table's own problem is known.
            return KStream::at(app, stream.node, stream.rekeyed);
        };
        let formats: Formats<K, O> = Formats {
            key: stream.formats_in(&graph).key,
            value: None,
        };
        let (select, table) = (self.select, self.table.node);
        let wire: Wire = Box::new(move |wiring, node| {
            let (select, joiner) = (select.clone(), joiner.clone());
            let join = GlobalJoin {
                global_key: global_key.clone(),
                rows: wiring.rows::<G, R>(table),
                select: move |key: &K, value: &V| select(key, value),
                apply: move |key: &K, value: &V, row: Option<&R>| joiner(key, value, row),
                left,
                outputs: wiring.outputs(node),
                types: PhantomData,
            };
            boxed_whole::<K, V>(wiring, node, join)
        });
        let role = Role {
            relaxed_null_keys: left,
            ..Role::default()
        };
        let node = graph.add_as(role, processor(name, vec![stream.node], wire, formats));
        drop(graph);
        KStream::at(app, node, stream.rekeyed)
    }
}
