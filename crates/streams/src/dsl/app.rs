//! The application: where streams and tables begin and a topology ends.
//! Not running anything. Invariant: what was wrong in any verb is reported by `build`, naming the verb's operator.

use super::store::Kind;
use super::{KStream, KTable, Store, Topic};
use crate::format::{FormatOf, Formats};
use crate::operator::Source;
use crate::task::{Context, Feed, Meta, Operator, Outputs, Step, Wire, Wiring, boxed};
use crate::topology::{
    Graph, Kept, Node, NodeKind, Role, StoreSpec, TopicName, Topology, TopologySettings,
    compile_pattern,
};
use crate::window::millis;
use crate::{Error, Result};
use headwater_store::Layout;
use std::{any::Any, cell::RefCell, rc::Rc, sync::Arc};

/// Builds a topology. Its name is the `application.id`.
pub struct App {
    name: String,
    pub(crate) graph: RefCell<Graph>,
    pub(crate) settings: RefCell<TopologySettings>,
}

impl App {
    /// An empty application.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            graph: RefCell::default(),
            settings: RefCell::default(),
        }
    }

    /// Sets one of the topology's settings by Kafka's name, such as `topology.optimization`. An error for names that are not
    /// a topology's: those are the runtime's.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        if self.settings.borrow_mut().set(name, value)? {
            return Ok(());
        }
        Err(Error::Topology(format!(
            "'{name}' is no setting of a topology; give it to the runtime's configuration"
        )))
    }

    /// Sets all of the topology's settings.
    pub fn configure(&self, settings: TopologySettings) {
        self.graph.borrow_mut().semantics = settings.semantics;
        *self.settings.borrow_mut() = settings;
    }

    /// A stream of the records of `topic`, which must exist.
    pub fn stream<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: impl Into<Topic<K, V>>,
    ) -> KStream<'_, K, V> {
        let mut topic = topic.into();
        let name = {
            let mut graph = self.graph.borrow_mut();
            let given = topic.node.take().map(|name| graph.give_name(name));
            graph.name("KSTREAM-SOURCE-", given)
        };
        let role = Role {
            stream_source: true,
            ..Role::default()
        };
        let group = self.graph.borrow_mut().add_group(role, &[]);
        let node = self.add_source(group, name, topic, false);
        KStream::at(self, node, false)
    }

    /// The records of `topic` as rows: each replaces the row of its key, a tombstone deletes it.
    /// The rows get a store once something needs them; `table_in` names it.
    pub fn table<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: impl Into<Topic<K, V>>,
    ) -> KTable<'_, K, V> {
        let topic = topic.into();
        let store_name = self.table_store_name(&topic);
        self.add_table(topic, Store::named(store_name), false)
    }

    /// As [`App::table`], with the rows kept in `store`; without a name it says how to keep them once something needs them.
    pub fn table_in<K: Clone + 'static, V: Clone + 'static>(
        &self,
        topic: impl Into<Topic<K, V>>,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'_, K, V> {
        let mut store = store.into();
        let topic = topic.into();
        let named = store.name.is_some();
        if !named {
            store.name = Some(self.table_store_name(&topic));
        }
        self.add_table(topic, store, named)
    }

    /// Ends building, once: what verbs do afterwards is in no topology, and to build again is an error.
    pub fn build(&self) -> Result<Topology> {
        let settings = self.settings.borrow().clone();
        let outline = self.graph.borrow().outline();
        Topology::new(self.name.clone(), settings, self.graph.replace(outline))
    }

    /// Whether `other`, whose handle was given to `verb`, is this application; a problem if not: its operators are not here.
    pub(crate) fn owns(&self, other: &App, verb: &str) -> bool {
        let owns = std::ptr::eq(self, other);
        if !owns {
            self.graph.borrow_mut().problem(format!(
                "{verb}: the other side belongs to application '{}'; make both sides from one App",
                other.name
            ));
        }
        owns
    }

    pub(crate) fn table_store_name<K, V>(&self, topic: &Topic<K, V>) -> String {
        let mut graph = self.graph.borrow_mut();
        let topic = topic.names.first().map_or("", String::as_str);
        let name = graph.number(&format!("{topic}-STATE-STORE-"));
        graph.generated.push(name.clone());
        name
    }

    fn add_table<K: Clone + 'static, V: Clone + 'static>(
        &self,
        mut topic: Topic<K, V>,
        store: Store<K, V>,
        materialize: bool,
    ) -> KTable<'_, K, V> {
        let formats = Formats {
            key: topic.key.clone(),
            value: topic.value.clone(),
        };
        let store = store.or_formats(topic.key.clone(), topic.value.clone());
        let role = Role {
            versioned: Some(store.is_versioned()),
            ..Role::default()
        };
        let (source_name, name, group) = {
            let mut graph = self.graph.borrow_mut();
            let given = topic.node.take().map(|name| graph.give_name(name));
            (
                graph.suffixed("KSTREAM-SOURCE-", given, "-source"),
                graph.name("KTABLE-SOURCE-", given),
                graph.add_group(role, &[]),
            )
        };
        let mut spec = expiring_store_spec(self, &name, store);
        // Deletions of rows that have expired do not belong into the application's input.
        if self.settings.borrow().reuse_source_topics && spec.time_to_live_ms.is_none() {
            // Even one without a changelog of its own is restored from its topic.
            spec.logged = true;
            spec.changelog_topic = topic.names.first().cloned();
        }
        let source = self.add_source(group, source_name, topic, true);
        let node = super::table::table_source_node(name, source, formats, spec);
        let mut graph = self.graph.borrow_mut();
        let node = graph.add_to(group, node);
        if materialize {
            graph.materialize(node);
        }
        drop(graph);
        KTable::at(self, node)
    }

    /// A source node of `topic`, of a stream or of a `table`.
    pub(crate) fn add_source<K: Clone + 'static, V: Clone + 'static>(
        &self,
        group: usize,
        name: String,
        topic: Topic<K, V>,
        table: bool,
    ) -> usize {
        let formats = Formats {
            key: topic.key.clone(),
            value: topic.value.clone(),
        };
        let mut graph = self.graph.borrow_mut();
        let names = match topic.pattern {
            None => topic.names.into_iter().map(TopicName::External).collect(),
            Some(pattern) => {
                if table {
                    graph.problem(format!(
                        "{name}: a table is read from one topic; name it, or read a stream of the pattern and use KStream::to_table"
                    ));
                }
                let problem = compile_pattern(&pattern).err();
                graph
                    .problems
                    .extend(problem.map(|problem| format!("{name}: {problem}")));
                vec![TopicName::Matching(pattern)]
            }
        };
        if names.is_empty() {
            graph.problem(format!("{name}: it names no topic"));
        }
        let (Some(key), Some(value)) = (topic.key, topic.value) else {
            graph.problem(format!("{name}: its topic has no format for its keys or values; give Topic::keys and Topic::values"));
            let node = processor(name, vec![], Box::new(|_, _| Box::new(())), formats);
            return graph.add_to(group, node);
        };
        let make = move |wiring: &mut Wiring<'_>, node: usize| -> Rc<dyn Feed> {
            Rc::new(Source {
                key: key.clone().into(),
                value: value.clone().into(),
                timestamp: topic.timestamp.clone(),
                bad_data: (topic.bad_data.clone())
                    .unwrap_or_else(|| wiring.topology.settings.bad_data.clone()),
                drops_null_keys: table,
                outputs: wiring.outputs::<K, V>(node),
            })
        };
        let mut node = processor(name, vec![], Box::new(|_, _| Box::new(())), formats);
        node.kind = NodeKind::Source {
            topics: names,
            feed: Box::new(make),
        };
        graph.add_to(group, node)
    }
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
        formats: Arc::new(formats),
        table: None,
        keeps_null_keys: false,
        reads_versions: false,
        timer_keys: None,
        group: 0,
    }
}

/// The wire of an operator that is one closure over its outputs; `apply` is shared by all tasks.
pub(crate) fn closure_wire<K, V, K2, V2, F>(apply: F) -> Wire
where
    K: 'static,
    V: 'static,
    K2: Clone + 'static,
    V2: Clone + 'static,
    F: Fn(&mut Context<'_>, &Outputs<K2, V2>, K, Option<V>, &mut Meta) -> Step
        + Send
        + Sync
        + 'static,
{
    let apply = Arc::new(apply);
    Box::new(move |wiring, node| -> Box<dyn Any> {
        let apply = apply.clone();
        let outputs = wiring.outputs::<K2, V2>(node);
        boxed::<K, V>(wiring, node, Operator { apply, outputs })
    })
}

/// The wire of an operator that hands on what it is handed.
pub(crate) fn pass_wire<K: Clone + 'static, V: Clone + 'static>() -> Wire {
    closure_wire::<K, V, K, V, _>(|ctx, out, key, value, meta| out.pass(ctx, key, value, meta))
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

/// The layout of a store that keeps versions in place of plain rows, where it does.
fn versioned_layout<K, V>(
    app: &App,
    operator: &str,
    store: &Store<K, V>,
    layout: Layout,
) -> Layout {
    let Some(history) = store.history else {
        return layout;
    };
    if !matches!(layout, Layout::KeyValue) {
        let name = store.name.as_deref().unwrap_or_default();
        app.graph.borrow_mut().problem(format!(
            "{operator}: store '{name}' keeps windows and cannot keep versions too; leave out Store::versioned"
        ));
        return layout;
    }
    Layout::Versioned {
        history_retention_ms: i64::try_from(history.as_millis()).unwrap_or(i64::MAX),
    }
}

/// As [`store_spec`] of a table whose rows may have a time to live.
pub(crate) fn expiring_store_spec<K: 'static, V: 'static>(
    app: &App,
    operator: &str,
    mut store: Store<K, V>,
) -> StoreSpec {
    let time_to_live = store.time_to_live.take();
    let keeps_rows = matches!(store.kind, Kind::Default) && !store.is_versioned();
    let mut spec = store_spec(app, operator, store, Layout::KeyValue);
    spec.time_to_live_ms = time_to_live.map(millis);
    if time_to_live.is_some() && !keeps_rows {
        refuse_time_to_live(app, operator, &spec.name);
    }
    if spec.time_to_live_ms == Some(0) {
        app.graph.borrow_mut().problem(format!(
            "{operator}: Store::time_to_live of store '{}' is less than 1 ms; give more",
            spec.name
        ));
    }
    spec
}

fn refuse_time_to_live(app: &App, operator: &str, name: &str) {
    app.graph.borrow_mut().problem(format!(
        "{operator}: store '{name}' cannot have Store::time_to_live, which is for tables read from topics or streams and for \
         aggregates of streams without windows, in stores with timestamps; use Store::retention for windows, Store::versioned \
         for versions, App::timers in processors"
    ));
}

/// The store of `operator` as tasks open it. A format that is missing is a problem once the store is opened.
pub(crate) fn store_spec<K: 'static, V: 'static>(
    app: &App,
    operator: &str,
    store: Store<K, V>,
    layout: Layout,
) -> StoreSpec {
    let headers = {
        // Kafka Streams' own stores in memory keep no headers.
        let settings = app.settings.borrow();
        settings.stores_with_headers && !store.in_memory.unwrap_or(settings.stores_in_memory)
    };
    let is_versioned = store.is_versioned();
    let layout = versioned_layout(app, operator, &store, layout);
    let (layout, kept) = match (store.kind, layout.clone()) {
        (Kind::Lru { entries_max }, Layout::KeyValue) => (Layout::Lru { entries_max }, Kept::Whole),
        (_, Layout::Versioned { .. }) => (layout, Kept::Whole),
        (Kind::Plain, Layout::KeyValue | Layout::Window { .. }) => (layout, Kept::Untimed),
        (Kind::Default, _) if headers => (layout, Kept::WithHeaders),
        _ => (layout, Kept::Whole),
    };
    let name = store.name.unwrap_or_default();
    check_store(app, operator, &name, store.kind);
    if store.time_to_live.is_some() {
        refuse_time_to_live(app, operator, &name);
    }
    let missing = match (&store.key, &store.value) {
        (None, _) => Some("keys"),
        (_, None) => Some("values"),
        _ => None,
    };
    let missing = missing.map(|which| {
        format!(
            "{operator}: store '{name}' has no format for its {which}; give Store::named(\"{name}\").{which}(..)"
        )
    });
    StoreSpec {
        name,
        in_memory: match layout {
            Layout::Lru { .. } => Some(true),
            _ => store.in_memory,
        },
        cached: store.cached && !is_versioned,
        logged: store.logged,
        timestamped: !is_versioned && !matches!(layout, Layout::Session { .. }),
        layout,
        kept,
        duplicates: false,
        observed: false,
        tumbling_ms: None,
        java_expiry: None,
        changelog_config: store.changelog_config,
        timer_keys: None,
        time_to_live_ms: None,
        changelog_topic: None,
        held: None,
        formats: Arc::new(Formats {
            key: store.key,
            value: store.value,
        }),
        missing,
    }
}

/// What is wrong with the store of `operator`, for `build`.
fn check_store(app: &App, operator: &str, name: &str, kind: Kind) {
    let mut graph = app.graph.borrow_mut();
    match kind {
        Kind::Lru { entries_max: 0 } => graph.problem(format!(
            "{operator}: the LRU store '{name}' must keep at least one key; give Store::lru(1) or more"
        )),
        Kind::Nameless(what) => graph.problem(format!(
            "{operator}: {what} must have a name; begin with Store::named(..)"
        )),
        _ => {}
    }
}
