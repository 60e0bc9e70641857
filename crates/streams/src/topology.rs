//! A finished topology: its nodes grouped into sub-topologies, its topics and stores by number, and how it prints.
//! Not running and not typed at its surface: tasks wire it. Invariant: it is immutable and may be shared between threads.

mod describe;
mod graph;
mod java_order;
mod subtopology;

pub use subtopology::{StoreInfo, SubtopologyInfo};

pub(crate) use graph::{Graph, Node, NodeKind, Repartition, StoreSpec, TopicName};

use crate::format::{FormatOf, Formats};
use crate::{Error, Result};
use headwater_log::Subtopology;
use std::{fmt, sync::Arc};

/// What an application does, ready to run.
pub struct Topology {
    application: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) stores: Vec<StoreSpec>,
    repartitions: Vec<Repartition>,
    copartitions: Vec<Vec<usize>>,
    pub(crate) source_topics: Arc<[Arc<str>]>,
    output_topics: Vec<String>,
    /// Source nodes: the number of their topic; sinks: the number of theirs.
    node_topics: Vec<Option<u32>>,
    subtopologies: Vec<SubtopologyInfo>,
}

impl Topology {
    pub(crate) fn new(application: String, mut graph: Graph) -> Result<Self> {
        if let Some(problem) = graph.problems.drain(..).next() {
            return Err(Error::Topology(format!(
                "application '{application}': {problem}"
            )));
        }
        let mut source_topics: Vec<Arc<str>> = Vec::new();
        let mut output_topics: Vec<String> = Vec::new();
        let mut node_topics = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            node_topics.push(match &node.kind {
                NodeKind::Processor => None,
                NodeKind::Source { topic, .. } => {
                    let full: Arc<str> = topic.full(&application).into();
                    if source_topics.contains(&full) {
                        return Err(Error::Topology(format!(
                            "application '{application}' reads topic '{full}' twice; read it once and use the stream twice"
                        )));
                    }
                    source_topics.push(full);
                    Some(source_topics.len() as u32 - 1)
                }
                NodeKind::Sink { topic } => {
                    let full = topic.full(&application);
                    Some(output_topics.iter().position(|known| *known == full).unwrap_or_else(|| {
                        output_topics.push(full);
                        output_topics.len() - 1
                    }) as u32)
                }
            });
        }
        let subtopologies = subtopology::group(&graph.nodes, &node_topics);
        if subtopologies.is_empty() {
            return Err(Error::Topology(format!(
                "application '{application}' reads no topic; begin with App::stream or App::table"
            )));
        }
        Ok(Self {
            application,
            nodes: graph.nodes,
            stores: graph.stores,
            repartitions: graph.repartitions,
            copartitions: graph.copartitions,
            source_topics: source_topics.into(),
            output_topics,
            node_topics,
            subtopologies,
        })
    }

    /// The application id: group, prefix of internal topics, directory of its state.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// Topics that some source reads, repartition topics included; their place is their number.
    pub fn source_topics(&self) -> &[Arc<str>] {
        &self.source_topics
    }

    /// Topics that some sink writes, repartition topics included; their place is their number.
    pub fn output_topics(&self) -> &[String] {
        &self.output_topics
    }

    /// The connected parts.
    pub fn subtopologies(&self) -> &[SubtopologyInfo] {
        &self.subtopologies
    }

    /// One connected part.
    pub fn subtopology(&self, id: u32) -> Option<&SubtopologyInfo> {
        self.subtopologies.get(id as usize)
    }

    /// The stores; their place is their number.
    pub fn stores(&self) -> impl Iterator<Item = StoreInfo> + '_ {
        self.stores
            .iter()
            .map(|spec| StoreInfo::new(&self.application, spec))
    }

    /// A store by its number.
    pub fn store(&self, number: usize) -> Option<StoreInfo> {
        self.stores
            .get(number)
            .map(|spec| StoreInfo::new(&self.application, spec))
    }

    /// The formats of a store, if it holds these types.
    pub fn store_formats<K: 'static, V: 'static>(
        &self,
        number: usize,
    ) -> Option<(FormatOf<K>, FormatOf<V>)> {
        let formats = self
            .stores
            .get(number)?
            .formats
            .downcast_ref::<Formats<K, V>>()?;
        Some((formats.key.clone()?, formats.value.clone()?))
    }

    /// What a member of the group brings to its coordinator.
    pub fn membership(&self) -> Vec<Subtopology> {
        self.subtopologies
            .iter()
            .map(|part| subtopology::membership(self, part))
            .collect()
    }

    /// The text of Kafka Streams' `Topology.describe()`.
    pub fn describe(&self) -> String {
        describe::describe(self)
    }

    pub(crate) fn source_topic(&self, node: usize) -> u32 {
        self.node_topics[node].unwrap_or(u32::MAX)
    }

    pub(crate) fn output_topic(&self, node: usize) -> u32 {
        self.node_topics[node].unwrap_or(u32::MAX)
    }

    pub(crate) fn changelog(&self, store: usize) -> String {
        format!("{}-{}-changelog", self.application, self.stores[store].name)
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.describe())
    }
}
