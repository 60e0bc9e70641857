//! The application: where streams and tables begin and a topology ends.
//! Not running anything. Invariant: what was wrong in any verb is reported by `build`, naming the verb's operator.

use super::{KStream, KTable, Store, StoreHandle, Topic};
use crate::format::{FormatOf, Formats};
use crate::operator::{Materialized, Source, TableSource};
use crate::task::{Feed, Operator, Outputs, Wire, Wiring, boxed};
use crate::topology::{Graph, Node, NodeKind, StoreSpec, TopicName, Topology};
use crate::{Change, Record, Result};
use headwater_store::Layout;
use std::{any::Any, cell::RefCell, marker::PhantomData, sync::Arc};

/// Builds a topology. Its name is the `application.id`.
pub struct App {
    name: String,
    pub(crate) graph: RefCell<Graph>,
}

impl App {
    /// An empty application.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            graph: RefCell::default(),
        }
    }

    /// A stream of the records of `topic`, which must exist.
    pub fn stream<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: impl Into<Topic<K, V>>,
    ) -> KStream<'_, K, V> {
        let topic = topic.into();
        let name = self.graph.borrow_mut().number("KSTREAM-SOURCE-");
        let node = self.add_source(name, topic, false);
        KStream {
            app: self,
            node,
            rekeyed: false,
            types: PhantomData,
        }
    }

    /// The records of `topic` as rows: each replaces the row of its key, a tombstone deletes it.
    /// The rows get a store once something needs them; `table_in` names it.
    pub fn table<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: impl Into<Topic<K, V>>,
    ) -> KTable<'_, K, V> {
        let topic = topic.into();
        let store_name = self
            .graph
            .borrow_mut()
            .number(&format!("{}-STATE-STORE-", topic.name));
        self.add_table(topic, Store::named(store_name), false)
    }

    /// As [`App::table`], with the rows kept in `store`.
    pub fn table_in<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: impl Into<Topic<K, V>>,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'_, K, V> {
        let mut store = store.into();
        let topic = topic.into();
        if store.name.is_none() {
            store.name = Some(
                self.graph
                    .borrow_mut()
                    .number(&format!("{}-STATE-STORE-", topic.name)),
            );
        }
        self.add_table(topic, store, true)
    }

    /// A key-value store for processors.
    pub fn store<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V> {
        let store = store.into();
        let mut spec = store_spec(self, "App::store", store, Layout::KeyValue);
        spec.cached = false;
        spec.timestamped = false;
        StoreHandle {
            index: self.graph.borrow_mut().add_store(spec),
            types: PhantomData,
        }
    }

    /// Ends building. The app is empty afterwards.
    pub fn build(&self) -> Result<Topology> {
        Topology::new(self.name.clone(), self.graph.take())
    }

    fn add_table<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: Topic<K, V>,
        store: Store<K, V>,
        materialize: bool,
    ) -> KTable<'_, K, V> {
        let formats = Formats {
            key: topic.key.clone(),
            value: topic.value.clone(),
        };
        let store = store.or_formats(topic.key.clone(), topic.value.clone());
        let names = {
            let mut graph = self.graph.borrow_mut();
            (
                graph.number("KSTREAM-SOURCE-"),
                graph.number("KTABLE-SOURCE-"),
            )
        };
        let source = self.add_source(names.0, topic, true);
        let spec = store_spec(self, &names.1, store, Layout::KeyValue);
        let wire_formats = formats.clone();
        let wire: Wire =
            Box::new(move |wiring, node| wire_table_source::<K, V>(wiring, node, &wire_formats));
        let mut node = processor(names.1, vec![source], wire, formats);
        node.lazy_store = Some(spec);
        let mut graph = self.graph.borrow_mut();
        let node = graph.add(node);
        if materialize {
            graph.materialize(node);
        }
        KTable {
            app: self,
            node,
            types: PhantomData,
        }
    }

    /// A source node of `topic`, of a stream or of a `table`.
    pub(crate) fn add_source<K: Clone + 'static, V: Clone + 'static>(
        &self,
        name: String,
        topic: Topic<K, V>,
        table: bool,
    ) -> usize {
        let formats = Formats {
            key: topic.key.clone(),
            value: topic.value.clone(),
        };
        let mut graph = self.graph.borrow_mut();
        let (Some(key), Some(value)) = (topic.key, topic.value) else {
            graph.problem(format!("topic '{}' has no format for its keys or values; give Topic::keys and Topic::values", topic.name));
            return graph.add(processor(
                name,
                vec![],
                Box::new(|_, _| Box::new(())),
                formats,
            ));
        };
        add_source_to(
            &mut graph,
            name,
            TopicName::External(topic.name),
            move |wiring, node, topic_name| {
                Box::new(Source {
                    topic: topic_name,
                    key: key.clone(),
                    value: value.clone(),
                    timestamp: topic.timestamp.clone(),
                    bad_data: topic.bad_data.clone(),
                    drops_null_keys: table,
                    outputs: wiring.outputs::<K, V>(node),
                })
            },
            formats,
        )
    }
}

/// A source node whose feed `make` builds from the wiring, the node and the topic's full name.
pub(crate) fn add_source_to<K: Clone + 'static, V: Clone + 'static>(
    graph: &mut Graph,
    name: String,
    topic: TopicName,
    make: impl Fn(&mut Wiring<'_>, usize, Arc<str>) -> Box<dyn Feed> + Send + Sync + 'static,
    formats: Formats<K, V>,
) -> usize {
    let feed = Box::new(move |wiring: &mut Wiring<'_>, node: usize| {
        let topic =
            wiring.topology.source_topics[wiring.topology.source_topic(node) as usize].clone();
        make(wiring, node, topic)
    });
    let mut node = processor(name, vec![], Box::new(|_, _| Box::new(())), formats);
    node.kind = NodeKind::Source { topic, feed };
    graph.add(node)
}

/// A plain node.
pub(crate) fn processor<K: 'static, V: 'static>(
    name: String,
    parents: Vec<usize>,
    wire: Wire,
    formats: Formats<K, V>,
) -> Node {
    Node {
        name,
        kind: NodeKind::Processor,
        parents,
        children: Vec::new(),
        stores: Vec::new(),
        wire,
        formats: Box::new(formats),
        sends_old: false,
        lazy_store: None,
    }
}

/// The wire of an operator that is one closure over its outputs; `apply` is shared by all tasks.
pub(crate) fn closure_wire<K, V, K2, V2, F>(apply: F) -> Wire
where
    K: 'static,
    V: 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    F: Fn(&mut crate::task::Context<'_>, &Outputs<K2, V2>, Record<K, V>) -> Result<()>
        + Send
        + Sync
        + 'static,
{
    let apply = Arc::new(apply);
    Box::new(move |wiring, node| -> Box<dyn Any> {
        let apply = apply.clone();
        let outputs = wiring.outputs::<K2, V2>(node);
        boxed::<K, V>(Operator {
            apply: move |ctx: &mut crate::task::Context<'_>,
                         outputs: &Outputs<K2, V2>,
                         record: Record<K, V>| apply(ctx, outputs, record),
            outputs,
        })
    })
}

fn wire_table_source<K: Clone + 'static, V: Clone + 'static>(
    wiring: &mut Wiring<'_>,
    node: usize,
    formats: &Formats<K, V>,
) -> Box<dyn Any> {
    let key = formats
        .key
        .clone()
        .expect("a table's topic has its formats");
    let value = formats
        .value
        .clone()
        .expect("a table's topic has its formats");
    let store = wiring.topology.nodes[node].stores.first().copied();
    let rows = store.map(|store| {
        let (key, value) = store_formats::<K, V>(wiring, store);
        Materialized::wire(wiring, node, store, key, value)
    });
    let outputs = wiring.outputs::<K, Change<V>>(node);
    boxed::<K, V>(TableSource {
        key,
        value,
        rows,
        outputs,
        key_bytes: Vec::new(),
    })
}

/// The formats of a store.
pub(crate) fn store_formats<K: 'static, V: 'static>(
    wiring: &Wiring<'_>,
    store: usize,
) -> (FormatOf<K>, FormatOf<V>) {
    let formats = wiring.topology.stores[store]
        .formats
        .downcast_ref::<Formats<K, V>>()
        .expect("a store has the types of its node");
    let formats = formats.clone();
    (
        formats.key.expect("a built store has its formats"),
        formats.value.expect("a built store has its formats"),
    )
}

/// The store of `operator` as tasks open it. Missing formats and names are problems that `build` reports.
pub(crate) fn store_spec<K: 'static, V: 'static>(
    app: &App,
    operator: &str,
    store: Store<K, V>,
    layout: Layout,
) -> StoreSpec {
    let name = store.name.unwrap_or_default();
    if store.key.is_none() || store.value.is_none() {
        let which = if store.key.is_none() {
            "keys"
        } else {
            "values"
        };
        app.graph.borrow_mut().problem(format!(
            "{operator}: store '{name}' has no format for its {which}; give Store::named(\"{name}\").{which}(..)"
        ));
    }
    StoreSpec {
        name,
        layout,
        in_memory: store.in_memory,
        cached: store.cached,
        logged: store.logged,
        timestamped: true,
        changelog_config: store.changelog_config,
        formats: Arc::new(Formats {
            key: store.key,
            value: store.value,
        }),
    }
}
