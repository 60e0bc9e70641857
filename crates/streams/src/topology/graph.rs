//! The graph that the DSL builds: nodes in Java's order under Java's names, stores, and how each node is wired.
//! Not executable: a task wires it. Invariant: node and store names come from one counter, burned exactly as Kafka Streams burns it.

use crate::task::{FeedWire, Wire};
use headwater_log::TopicConfig;
use headwater_store::Layout;
use std::{any::Any, sync::Arc};

/// A topic of the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicName {
    /// Named by the application.
    External(String),
    /// Named by the topology; the application id goes in front.
    Internal(String),
}

impl TopicName {
    pub(crate) fn plain(&self) -> &str {
        match self {
            Self::External(name) | Self::Internal(name) => name,
        }
    }

    pub(crate) fn full(&self, application: &str) -> String {
        match self {
            Self::External(name) => name.clone(),
            Self::Internal(name) => format!("{application}-{name}"),
        }
    }
}

pub(crate) enum NodeKind {
    Source { topic: TopicName, feed: FeedWire },
    Processor,
    Sink { topic: TopicName },
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    pub(crate) parents: Vec<usize>,
    pub(crate) children: Vec<usize>,
    pub(crate) stores: Vec<usize>,
    pub(crate) wire: Wire,
    /// `Formats<K, V>` of the records it sends.
    pub(crate) formats: Box<dyn Any + Send + Sync>,
    /// For tables: someone downstream needs the row as it was.
    pub(crate) sends_old: bool,
    /// For tables read from a topic: the store to open once someone needs the table's rows.
    pub(crate) lazy_store: Option<StoreSpec>,
}

/// A store as tasks open it.
#[derive(Clone)]
pub(crate) struct StoreSpec {
    pub(crate) name: String,
    pub(crate) layout: Layout,
    pub(crate) in_memory: bool,
    pub(crate) cached: bool,
    pub(crate) logged: bool,
    /// Local values are `timestamp (8) | value`; the changelog holds the plain value under that timestamp.
    pub(crate) timestamped: bool,
    pub(crate) changelog_config: TopicConfig,
    /// `Formats<K, V>` with both formats known.
    pub(crate) formats: Arc<dyn Any + Send + Sync>,
}

pub(crate) struct Repartition {
    pub(crate) topic: TopicName,
    pub(crate) partitions: u32,
}

#[derive(Default)]
pub(crate) struct Graph {
    counter: u32,
    pub(crate) nodes: Vec<Node>,
    pub(crate) stores: Vec<StoreSpec>,
    pub(crate) repartitions: Vec<Repartition>,
    /// Sets of source nodes whose topics must have equal partition counts.
    pub(crate) copartitions: Vec<Vec<usize>>,
    /// What the DSL found wrong; `build` reports the first.
    pub(crate) problems: Vec<String>,
}

impl Graph {
    /// `PREFIX` and the next number, ten digits.
    pub(crate) fn number(&mut self, prefix: &str) -> String {
        let name = format!("{prefix}{:010}", self.counter);
        self.counter += 1;
        name
    }

    pub(crate) fn add(&mut self, node: Node) -> usize {
        let index = self.nodes.len();
        if self.nodes.iter().any(|other| other.name == node.name) {
            self.problems
                .push(format!("two operators are named '{}'", node.name));
        }
        for parent in &node.parents {
            self.nodes[*parent].children.push(index);
        }
        self.nodes.push(node);
        index
    }

    /// Gives a node the name that the application chose for it.
    pub(crate) fn rename(&mut self, node: usize, name: &str) {
        if self.nodes[node].name != name && self.nodes.iter().any(|other| other.name == name) {
            self.problems
                .push(format!("two operators are named '{name}'"));
        }
        self.nodes[node].name = name.into();
    }

    pub(crate) fn add_store(&mut self, spec: StoreSpec) -> usize {
        if self.stores.iter().any(|other| other.name == spec.name) {
            self.problems.push(format!(
                "two stores are named '{}'; give each its own name",
                spec.name
            ));
        }
        self.stores.push(spec);
        self.stores.len() - 1
    }

    /// The store that holds a table's rows, opened for it if it had none.
    pub(crate) fn materialize(&mut self, table: usize) -> Option<usize> {
        if let Some(spec) = self.nodes[table].lazy_store.take() {
            let store = self.add_store(spec);
            self.nodes[table].stores.push(store);
        }
        self.nodes[table].stores.first().copied()
    }

    /// The source nodes that feed `node` within its sub-topology.
    pub(crate) fn sources_of(&self, node: usize) -> Vec<usize> {
        let mut sources = Vec::new();
        let mut open = vec![node];
        while let Some(index) = open.pop() {
            let node = &self.nodes[index];
            if matches!(node.kind, NodeKind::Source { .. }) && !sources.contains(&index) {
                sources.push(index);
            }
            open.extend(&node.parents);
        }
        sources.sort_unstable();
        sources
    }

    /// The sources of two nodes must have equal partition counts.
    pub(crate) fn copartition(&mut self, left: usize, right: usize) {
        let mut sources = self.sources_of(left);
        sources.extend(self.sources_of(right));
        sources.sort_unstable();
        sources.dedup();
        self.copartitions.push(sources);
    }

    pub(crate) fn problem(&mut self, message: String) {
        self.problems.push(message);
    }
}
