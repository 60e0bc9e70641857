//! A finished topology: its nodes grouped into sub-topologies, its topics and stores by number, and how it prints.
//! Not running and not typed at its surface: tasks wire it. Invariant: it is immutable and may be shared between threads.

mod asked;
mod closing;
mod describe;
mod graph;
pub(crate) mod java_order;
mod kept;
mod order;
mod outline;
mod pattern;
mod repartition;
mod settings;
mod stream_join;
mod subtopology;
mod upstream;
mod versioned;

pub use settings::{OnError, Semantics, TopologySettings};
pub(crate) use subtopology::changelog_retention_ms;
pub use subtopology::{StoreInfo, SubtopologyInfo};

pub(crate) use asked::AskedFor;
pub(crate) use graph::{
    Graph, Held, HeldRows, NameId, Node, NodeKind, OldValues, Repartition, Role, StoreSpec,
    TableNode, TopicName,
};
pub(crate) use kept::{Kept, put_headers, split_headers};
pub(crate) use pattern::compile as compile_pattern;

pub(crate) use stream_join::{StreamJoin, StreamJoinNodes, StreamJoinStores};

use crate::format::{Data, FormatOf, Formats};
use crate::task::QUARANTINE_PREFIX;
use crate::{Error, Result};
use headwater_log::Subtopology;
use headwater_store::Layout;
use std::{fmt, sync::Arc};

/// What an application does, ready to run.
pub struct Topology {
    application: String,
    pub(crate) settings: TopologySettings,
    pub(crate) nodes: Vec<Node>,
    pub(crate) stores: Vec<StoreSpec>,
    repartitions: Vec<Repartition>,
    copartitions: Vec<Vec<usize>>,
    pub(crate) source_topics: Arc<[Arc<str>]>,
    output_topics: Vec<String>,
    /// Source nodes: the numbers of their topics; sinks: the number of theirs.
    node_topics: Vec<Vec<u32>>,
    subtopologies: Vec<SubtopologyInfo>,
    /// All sub-topologies as if they were one.
    globals: Vec<SubtopologyInfo>,
    whole: SubtopologyInfo,
    /// Source topics that are patterns, of which it is not known what they match.
    patterns: Vec<u32>,
    /// Source topics that carry the stream time of those that write them, by number.
    timed_topics: Vec<bool>,
    /// Stores that are asked for the keys of a source topic's records, by its number.
    stores_asked: Vec<Vec<(usize, AskedFor)>>,
}

impl Topology {
    pub(crate) fn new(
        application: String,
        mut settings: TopologySettings,
        mut graph: Graph,
    ) -> Result<Self> {
        settings.address_letters();
        graph.find_stores();
        graph.refuse_connected_globals();
        graph.check_timers();
        order::merge_sources(&mut graph, settings.semantics);
        if settings.merge_repartition_topics {
            repartition::merge(&mut graph, settings.semantics);
        }
        stream_join::settle(&mut graph, &settings);
        order::relax_null_keys(&mut graph);
        versioned::mark(&mut graph);
        let order = order::written(&graph);
        order::connect(&mut graph, &order);
        check(&application, &settings, &graph, &order)?;
        for store in &mut graph.stores {
            store.in_memory.get_or_insert(settings.stores_in_memory);
        }
        let prefix = settings.topic_prefix.as_deref().unwrap_or(&application);
        let (source_topics, output_topics, node_topics) = number_topics(&graph, &order, prefix)
            .map_err(|problem| Error::Topology(format!("application '{application}' {problem}")))?;
        let parts = subtopology::group(&graph, &order, &node_topics);
        let (globals, mut subtopologies): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|part| part.nodes.iter().any(|node| graph.is_global(*node)));
        let mut whole = subtopology::whole(&graph, &order, &node_topics);
        if settings.on_error == OnError::Quarantine {
            quarantine(&mut graph, &mut subtopologies, &mut whole);
        }
        let sources = source_topics.len();
        let timed_topics = closing::timed_topics(
            &graph,
            &subtopologies,
            &node_topics,
            settings.semantics,
            sources,
        );
        let patterns = patterns(&graph, &node_topics);
        let stores_asked = asked::stores_asked(&graph, &node_topics, sources);
        Ok(Self {
            patterns,
            timed_topics,
            stores_asked,
            application,
            settings,
            nodes: graph.nodes,
            stores: graph.stores,
            repartitions: graph.repartitions,
            copartitions: graph.copartitions,
            source_topics: source_topics.into(),
            output_topics,
            node_topics,
            subtopologies,
            globals,
            whole,
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

    /// The connected parts that run as tasks. Their numbers have gaps where global stores are numbered with them.
    pub fn subtopologies(&self) -> &[SubtopologyInfo] {
        &self.subtopologies
    }

    /// One connected part.
    pub fn subtopology(&self, id: u32) -> Option<&SubtopologyInfo> {
        self.subtopologies.iter().find(|part| part.id == id)
    }

    /// The parts that fill global stores, of which every process keeps a copy: they make no tasks.
    pub fn globals(&self) -> &[SubtopologyInfo] {
        &self.globals
    }

    /// True for a global store.
    pub(crate) fn is_global_store(&self, store: usize) -> bool {
        self.globals.iter().any(|part| part.stores.contains(&store))
    }

    /// All of it as one part, as the test driver runs it; its number is 0.
    pub(crate) fn whole(&self) -> &SubtopologyInfo {
        &self.whole
    }

    /// The topics with a fixed name that sinks of sub-topology `id` write, in the order of the sinks.
    pub fn sink_topics(&self, id: u32) -> Vec<String> {
        let part = self.subtopology(id);
        let nodes = part.into_iter().flat_map(|part| &part.nodes);
        let names = nodes.filter_map(|node| match &self.nodes[*node].kind {
            NodeKind::Sink { topic, .. } => {
                let topic = topic.as_ref();
                topic.map(|topic| topic.full(self.topic_prefix()))
            }
            NodeKind::Source { .. } | NodeKind::Processor => None,
        });
        names.collect()
    }

    /// True when a sink writes this topic into partitions that the application chooses ([`crate::Topic::partition_by`],
    /// [`crate::Topic::partitions_by`]): where a record of a key lies does not follow from the key's hash.
    pub fn chooses_partitions(&self, topic: &str) -> bool {
        self.nodes.iter().any(|node| match &node.kind {
            NodeKind::Sink {
                topic: Some(written),
                chooses_partitions: true,
                ..
            } => written.full(self.topic_prefix()) == topic,
            _ => false,
        })
    }

    /// The topology with every record cache off: what a cache of no bytes means (`statestore.cache.max.bytes=0`). Each update is
    /// sent on by itself, also where a row is deleted that nobody has seen.
    pub fn without_record_caches(mut self) -> Self {
        for store in &mut self.stores {
            store.cached = false;
        }
        self
    }

    /// The stores; their place is their number.
    pub fn stores(&self) -> impl Iterator<Item = StoreInfo> + '_ {
        self.stores
            .iter()
            .map(|spec| StoreInfo::new(self.topic_prefix(), spec))
    }

    /// A store by its number.
    pub fn store(&self, number: usize) -> Option<StoreInfo> {
        self.stores
            .get(number)
            .map(|spec| StoreInfo::new(self.topic_prefix(), spec))
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
        let parts = self.subtopologies.iter();
        let parts = parts.map(|part| subtopology::membership(self, part));
        // A part that reads nothing yet: what its pattern matches is not known.
        parts
            .filter(|part| !part.source_topics.is_empty() || !part.repartition_sources.is_empty())
            .collect()
    }

    /// The text of Kafka Streams' `Topology.describe()`.
    pub fn describe(&self) -> String {
        describe::describe(self)
    }

    /// True when tasks say their stream time to those behind them, which Kafka Streams does not: it takes part in when windows close.
    pub fn tells_times(&self) -> bool {
        self.timed_topics.contains(&true)
    }

    /// Its settings.
    pub fn settings(&self) -> &TopologySettings {
        &self.settings
    }

    /// What stands in front of the names of internal topics: the application id unless a setting says otherwise.
    pub fn topic_prefix(&self) -> &str {
        self.settings
            .topic_prefix
            .as_deref()
            .unwrap_or(&self.application)
    }

    /// Numbers of the topics that a source reads, or of the one that a sink writes.
    pub(crate) fn topics_of(&self, node: usize) -> &[u32] {
        &self.node_topics[node]
    }

    pub(crate) fn output_topic(&self, node: usize) -> Option<u32> {
        self.node_topics[node].first().copied()
    }

    /// True when the source topic of this number carries the stream time of those that write it.
    pub(crate) fn is_timed(&self, topic: u32) -> bool {
        self.timed_topics.get(topic as usize) == Some(&true)
    }

    /// The stores that are asked for the keys of this source topic's records, as far as can be told.
    pub(crate) fn stores_asked(&self, topic: u32) -> &[(usize, AskedFor)] {
        let stores = self.stores_asked.get(topic as usize);
        stores.map_or(&[], Vec::as_slice)
    }

    /// True when a part reads repartition topics: an instance with other settings may have written stream times into them.
    pub(crate) fn reads_internal(&self, part: &SubtopologyInfo) -> bool {
        let is_internal = |topic: &TopicName| matches!(topic, TopicName::Internal(_));
        part.nodes.iter().any(|node| match &self.nodes[*node].kind {
            NodeKind::Source { topics, .. } => topics.iter().any(is_internal),
            _ => false,
        })
    }

    /// True when an output topic is a source topic that carries it.
    pub(crate) fn is_timed_output(&self, topic: u32) -> bool {
        let name = self.output_topics.get(topic as usize);
        let source = self
            .source_topics
            .iter()
            .position(|source| Some(&**source) == name.map(String::as_str));
        source.is_some_and(|source| self.is_timed(source as u32))
    }

    pub(crate) fn sends_old(&self, node: usize) -> bool {
        let table = self.nodes[node].table.as_ref();
        table.is_some_and(|table| table.sends_old)
    }

    /// The topic of a store's changelog, whether or not it is written.
    pub(crate) fn changelog(&self, store: usize) -> String {
        self.stores[store].changelog(self.topic_prefix())
    }
}

/// Gives each part a store for what it sets aside.
fn quarantine(graph: &mut Graph, parts: &mut [SubtopologyInfo], whole: &mut SubtopologyInfo) {
    for store in &mut graph.stores {
        store.cached = false;
    }
    for part in parts {
        let store = graph.add_store(StoreSpec {
            name: format!("{QUARANTINE_PREFIX}{}", part.id),
            layout: Layout::KeyValue,
            in_memory: None,
            cached: false,
            logged: true,
            timestamped: false,
            kept: Kept::Whole,
            duplicates: false,
            observed: false,
            tumbling_ms: None,
            java_expiry: None,
            changelog_config: Default::default(),
            missing: None,
            timer_keys: None,
            time_to_live_ms: None,
            changelog_topic: None,
            held: None,
            formats: Arc::new(Formats {
                key: Some(Vec::<u8>::format()),
                value: Some(Vec::<u8>::format()),
            }),
        });
        part.stores.push(store);
        if whole.id == part.id {
            whole.stores.push(store);
        }
    }
}

/// Topics that are read, topics that are written, and for each node the numbers of its own among them.
type Numbered = (Vec<Arc<str>>, Vec<String>, Vec<Vec<u32>>);

/// Numbers the topics in writing order; an error says what is wrong with one.
fn number_topics(graph: &Graph, order: &[usize], prefix: &str) -> Result<Numbered, String> {
    let mut source_topics: Vec<Arc<str>> = Vec::new();
    let mut output_topics: Vec<String> = Vec::new();
    let mut node_topics = vec![Vec::new(); graph.nodes.len()];
    for index in order {
        match &graph.nodes[*index].kind {
            NodeKind::Processor | NodeKind::Sink { topic: None, .. } => {}
            NodeKind::Source { topics, .. } => {
                for topic in topics {
                    if let TopicName::Matching(pattern) = topic
                        && let Some(problem) = pattern::overlap(&graph.nodes, pattern)
                    {
                        return Err(problem);
                    }
                    let full: Arc<str> = topic.full(prefix).into();
                    if source_topics.contains(&full) {
                        return Err(format!(
                            "reads topic '{full}' twice; read it once and use the stream twice"
                        ));
                    }
                    node_topics[*index].push(source_topics.len() as u32);
                    source_topics.push(full);
                }
            }
            NodeKind::Sink {
                topic: Some(topic), ..
            } => {
                let full = topic.full(prefix);
                let known = output_topics.iter().position(|known| *known == full);
                let number = known.unwrap_or_else(|| {
                    output_topics.push(full);
                    output_topics.len() - 1
                });
                node_topics[*index].push(number as u32);
            }
        }
    }
    Ok((source_topics, output_topics, node_topics))
}

/// The numbers of the source topics that are patterns.
fn patterns(graph: &Graph, node_topics: &[Vec<u32>]) -> Vec<u32> {
    let mut patterns = Vec::new();
    for (node, numbers) in graph.nodes.iter().zip(node_topics) {
        if let NodeKind::Source { topics, .. } = &node.kind
            && matches!(topics[..], [TopicName::Matching(_)])
        {
            patterns.extend(numbers);
        }
    }
    patterns
}

/// What makes a topology impossible.
fn check(
    application: &str,
    settings: &TopologySettings,
    graph: &Graph,
    order: &[usize],
) -> Result<()> {
    let refused =
        |problem: &str| Error::Topology(format!("application '{application}': {problem}"));
    if let Some(problem) = graph.problems.first() {
        return Err(refused(problem));
    }
    let mut names = std::collections::BTreeSet::new();
    for index in order {
        let name = &graph.nodes[*index].name;
        if !names.insert(name) {
            return Err(refused(&format!(
                "two operators are named '{name}'; give each its own name"
            )));
        }
    }
    if settings.explicit_names && !graph.generated.is_empty() {
        return Err(refused(&format!(
            "the names of {} are generated, which ensure.explicit.internal.resource.naming forbids; name the stores and the \
             groups, joins and repartitions that need a topic",
            graph.generated.join(", ")
        )));
    }
    let reads = |index: &usize| matches!(graph.nodes[*index].kind, NodeKind::Source { .. });
    if !order.iter().any(reads) {
        return Err(Error::Topology(format!(
            "application '{application}' reads no topic; begin with App::stream or App::table"
        )));
    }
    Ok(())
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.describe())
    }
}
