//! The low-level topology: sources, processors and sinks by name (`Topology`). Not the DSL, though both may be used on one
//! application. Invariant: what is wrong is reported by `build` and names the operator; types are checked there too, since names
//! carry none.

use super::app::{App, processor};
use super::store_handle::{StoreHandle, StoreSet};
use super::stream::{add_sink, processor_wire};
use super::topic::Topic;
use crate::format::Formats;
use crate::operator::Processor;
use crate::topology::{NodeKind, Role, TopicName};
use std::any::type_name;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;

/// Builds a topology operator by operator. It is an [`App`] too: stores are added, settings made and the topology built by the
/// verbs of that, and streams of the DSL may stand beside.
///
/// ```
/// # use headwater_streams::{Error, Processor, ProcessorContext, Record, Result, Topic, TopologyBuilder};
/// struct Shout;
///
/// impl Processor for Shout {
///     type KeyIn = String;
///     type ValueIn = String;
///     type KeyOut = String;
///     type ValueOut = String;
///
///     fn process(
///         &mut self,
///         record: Record<String, String>,
///         ctx: &mut ProcessorContext<'_, '_, String, String>,
///     ) -> Result<()> {
///         let value = record.value.as_ref().map(|value| value.to_uppercase());
///         ctx.forward(record.with_value(value))
///     }
/// }
///
/// let builder = TopologyBuilder::new("shouting");
/// builder.add_source("lines", Topic::<String, String>::from("quiet"));
/// builder.add_processor("shout", "lines", (), || Shout);
/// builder.add_sink("out", Topic::<String, String>::from("loud"), "shout");
/// let topology = builder.build()?;
/// assert!(topology.describe().contains("Processor: shout (stores: [])"));
/// # Ok::<(), Error>(())
/// ```
pub struct TopologyBuilder {
    app: App,
    /// What each operator sends, by name.
    sends: RefCell<BTreeMap<String, String>>,
}

impl Deref for TopologyBuilder {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// The operators above another: a name, or a list of names.
pub trait Parents {
    /// Their names.
    #[doc(hidden)]
    fn names(self) -> Vec<String>;
}

impl Parents for &str {
    fn names(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl<const N: usize> Parents for [&str; N] {
    fn names(self) -> Vec<String> {
        self.iter().map(|name| (*name).to_owned()).collect()
    }
}

impl Parents for Vec<String> {
    fn names(self) -> Vec<String> {
        self
    }
}

impl TopologyBuilder {
    /// An empty topology of the application `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            app: App::new(name),
            sends: RefCell::default(),
        }
    }

    /// Reads `topic` (`addSource`).
    pub fn add_source<K: Clone + 'static, V: Clone + 'static>(
        &self,
        name: &str,
        topic: impl Into<Topic<K, V>>,
    ) {
        self.check_name(name);
        let group = self.graph.borrow_mut().add_group(Role::default(), &[]);
        self.app.add_source(group, name.into(), topic.into(), false);
        self.note::<K, V>(name);
    }

    /// Runs a processor made by `factory`, one per task, below `parents`, with the stores named by `stores` (`addProcessor`).
    pub fn add_processor<P: Processor>(
        &self,
        name: &str,
        parents: impl Parents,
        stores: impl StoreSet,
        factory: impl Fn() -> P + Send + Sync + 'static,
    ) {
        self.check_name(name);
        let parents = self.parents::<P::KeyIn, P::ValueIn>(name, parents);
        let formats = Formats::<P::KeyOut, P::ValueOut>::UNKNOWN;
        let mut node = processor(name.into(), parents, processor_wire(factory), formats);
        node.stores = stores.indices();
        node.timer_keys = Some(std::any::TypeId::of::<P::KeyIn>());
        let mut graph = self.graph.borrow_mut();
        let node = graph.add(node);
        graph.connect_named(node, stores.names());
        drop(graph);
        self.note::<P::KeyOut, P::ValueOut>(name);
    }

    /// Writes what `parents` send to `topic` (`addSink`).
    pub fn add_sink<K: Clone + 'static, V: Clone + 'static>(
        &self,
        name: &str,
        topic: impl Into<Topic<K, V>>,
        parents: impl Parents,
    ) {
        self.check_name(name);
        let topic = topic.into();
        let parents = self.parents::<K, V>(name, parents);
        let mut graph = self.graph.borrow_mut();
        let target = topic.names.first().cloned().map(TopicName::External);
        let group = graph.add_group(Role::default(), &parents);
        add_sink(&mut graph, group, &parents, name.into(), target, topic);
    }

    /// Connects an operator to stores, by handles or by names (`connectProcessorAndStateStores`).
    pub fn connect(&self, name: &str, stores: impl StoreSet) {
        let mut graph = self.graph.borrow_mut();
        let Some(node) = graph.nodes.iter().position(|node| node.name == name) else {
            return graph.problem(format!(
                "there is no operator '{name}' to connect stores to; add it before"
            ));
        };
        if !matches!(graph.nodes[node].kind, NodeKind::Processor) {
            return graph.problem(format!(
                "{name}: sources and sinks have no stores; connect a processor"
            ));
        }
        for store in stores.indices() {
            if !graph.nodes[node].stores.contains(&store) {
                graph.nodes[node].stores.push(store);
            }
        }
        graph.connect_named(node, stores.names());
    }

    /// Reads `topic` into `store` by a processor that writes nothing else: the topic is the store's changelog, and the store is
    /// restored from it (`addReadOnlyStateStore`, KIP-813).
    pub fn add_read_only_store<P: Processor, SK, SV, S>(
        &self,
        store: StoreHandle<SK, SV, S>,
        source: &str,
        topic: impl Into<Topic<P::KeyIn, P::ValueIn>>,
        name: &str,
        factory: impl Fn() -> P + Send + Sync + 'static,
    ) {
        let topic = topic.into();
        if let Some(spec) = self.graph.borrow_mut().stores.get_mut(store.index) {
            spec.changelog_topic = topic.names.first().cloned();
            (spec.logged, spec.cached) = (true, false);
        }
        self.add_source(source, topic);
        self.add_processor(name, source, store, factory);
    }

    /// The operators of these names, which must send these types.
    fn parents<K: 'static, V: 'static>(&self, name: &str, parents: impl Parents) -> Vec<usize> {
        let mut graph = self.graph.borrow_mut();
        let names = parents.names();
        if names.is_empty() {
            graph.problem(format!("{name}: it has no parent; name at least one"));
        }
        let mut found = Vec::with_capacity(names.len());
        for parent in names {
            let Some(index) = graph.nodes.iter().position(|node| node.name == parent) else {
                graph.problem(format!(
                    "{name}: its parent '{parent}' is unknown; add '{parent}' before it, or correct the name"
                ));
                continue;
            };
            if matches!(graph.nodes[index].kind, NodeKind::Sink { .. }) {
                graph.problem(format!(
                    "{name}: its parent '{parent}' is a sink, which sends nothing on; name what is above it"
                ));
                continue;
            }
            if graph.nodes[index]
                .formats
                .downcast_ref::<Formats<K, V>>()
                .is_none()
            {
                let sent = self.sends.borrow().get(&parent).cloned();
                let sent = sent.unwrap_or_else(|| "other types".into());
                let (key, value) = (type_name::<K>(), type_name::<V>());
                graph.problem(format!(
                    "{name}: it takes {key} -> {value}, but its parent '{parent}' sends {sent}; make the types equal"
                ));
                continue;
            }
            found.push(index);
        }
        found
    }

    /// Notes what an operator sends, for messages.
    fn note<K, V>(&self, name: &str) {
        let types = format!("{} -> {}", type_name::<K>(), type_name::<V>());
        self.sends.borrow_mut().insert(name.into(), types);
    }

    /// An operator of this name already there is a problem of its own: later parents would find the first.
    fn check_name(&self, name: &str) {
        let mut graph = self.graph.borrow_mut();
        if graph.nodes.iter().any(|node| node.name == name) {
            graph.problem(format!(
                "two operators are named '{name}'; give each its own name"
            ));
        }
        graph.give_name(name.to_owned());
    }
}
