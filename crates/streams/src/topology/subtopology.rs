//! Sub-topologies: the connected parts of a topology, numbered as Kafka Streams numbers them, and what their tasks need.
//! Not the assignment of tasks. Invariant: nodes that share a store are in one part.

use super::java_order::in_hash_order;
use super::kept::{headers_len, put_headers};
use super::{Graph, Kept, NodeKind, Semantics, StoreSpec, TopicName, Topology, TopologySettings};
use crate::Result;
use headwater_log::{HeadersRef, InternalTopic, Subtopology, TopicConfig};
use headwater_store::{EngineKind, Layout, StoreOptions};
use std::collections::BTreeMap;

/// Added to the retention of windowed changelogs (`windowstore.changelog.additional.retention.ms`).
const ADDITIONAL_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;
/// Kafka's default of `delete.retention.ms`.
const DELETE_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

/// How long the changelog of a windowed store is kept whose windows are kept for `retention_ms`.
pub(crate) fn changelog_retention_ms(settings: &TopologySettings, retention_ms: i64) -> i64 {
    let additional_ms = settings.window_changelog_additional_ms;
    retention_ms.saturating_add(additional_ms.unwrap_or(ADDITIONAL_RETENTION_MS))
}

/// A connected part of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubtopologyInfo {
    /// Its number.
    pub id: u32,
    /// Numbers of the topics its sources read.
    pub source_topics: Vec<u32>,
    /// Numbers of its stores.
    pub stores: Vec<usize>,
    pub(crate) nodes: Vec<usize>,
}

/// A store as the runtime needs it.
#[derive(Clone, Debug)]
pub struct StoreInfo {
    /// The store's name.
    pub name: String,
    /// Its changelog topic, unless it has none.
    pub changelog: Option<String>,
    /// How to open one partition of it.
    pub options: StoreOptions,
    /// The record timestamp is part of the value that the store keeps.
    pub timestamped: bool,
    kept: Kept,
}

impl StoreInfo {
    pub(crate) fn new(prefix: &str, spec: &StoreSpec) -> Self {
        let changelog = spec.logged.then(|| spec.changelog(prefix));
        Self {
            name: spec.name.clone(),
            options: StoreOptions {
                name: spec.name.clone(),
                layout: spec.layout.clone(),
                engine: if spec.in_memory == Some(true) {
                    EngineKind::Memory
                } else {
                    EngineKind::Disk
                },
                format_version: 1,
                changelog: changelog.clone(),
                delete_retention_ms: DELETE_RETENTION_MS,
            },
            changelog,
            timestamped: spec.timestamped && spec.kept != Kept::Untimed,
            kept: spec.kept,
        }
    }

    /// A changelog record's value as the store keeps it: timestamped stores have the record's timestamp in front, and stores of
    /// headers its headers before that.
    pub fn local_value<'a>(
        &self,
        timestamp: i64,
        headers: HeadersRef<'_>,
        value: &'a [u8],
        buffer: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        if !self.timestamped && !self.kept.begins_with_headers() {
            return value;
        }
        buffer.clear();
        if self.kept.begins_with_headers() {
            put_headers(buffer, headers);
        }
        if self.timestamped {
            buffer.extend_from_slice(&timestamp.to_be_bytes());
        }
        buffer.extend_from_slice(value);
        buffer
    }

    /// The plain value in what the store keeps, and its timestamp where it keeps one.
    pub fn plain_value<'a>(&self, kept: &'a [u8]) -> Result<(Option<i64>, &'a [u8])> {
        let row = match self.kept.begins_with_headers() {
            true => &kept[headers_len(&self.name, kept)?..],
            false => kept,
        };
        Ok(match row.split_first_chunk::<8>() {
            Some((timestamp, plain)) if self.timestamped => {
                (Some(i64::from_be_bytes(*timestamp)), plain)
            }
            _ => (None, row),
        })
    }
}

/// Groups nodes: connected by an edge or by a shared store; numbered by their first node.
pub(crate) fn group(graph: &Graph, order: &[usize], topics: &[Vec<u32>]) -> Vec<SubtopologyInfo> {
    let nodes = &graph.nodes;
    let mut group_of: Vec<usize> = (0..nodes.len()).collect();
    fn root(group_of: &mut [usize], mut node: usize) -> usize {
        while group_of[node] != node {
            group_of[node] = group_of[group_of[node]];
            node = group_of[node];
        }
        node
    }
    let mut owner_of_store = BTreeMap::new();
    for index in order.iter().copied() {
        let node = &nodes[index];
        let by_store: Vec<usize> = node
            .stores
            .iter()
            .map(|store| *owner_of_store.entry(*store).or_insert(index))
            .collect();
        for other in node.parents.iter().copied().chain(by_store) {
            let (a, b) = (root(&mut group_of, index), root(&mut group_of, other));
            group_of[a] = b;
        }
    }
    let mut roots: Vec<usize> = Vec::new();
    let mut groups: Vec<SubtopologyInfo> = Vec::new();
    for index in order.iter().copied() {
        let first = root(&mut group_of, index);
        let id = roots
            .iter()
            .position(|known| *known == first)
            .unwrap_or_else(|| {
                roots.push(first);
                groups.push(SubtopologyInfo::empty(groups.len() as u32));
                roots.len() - 1
            });
        groups[id].add(graph, index, &topics[index]);
    }
    groups
}

/// All nodes that tasks run, as one part.
pub(crate) fn whole(graph: &Graph, order: &[usize], topics: &[Vec<u32>]) -> SubtopologyInfo {
    let mut whole = SubtopologyInfo::empty(0);
    for index in order.iter().copied().filter(|node| !graph.is_global(*node)) {
        whole.add(graph, index, &topics[index]);
    }
    whole
}

impl SubtopologyInfo {
    fn empty(id: u32) -> Self {
        Self {
            id,
            source_topics: vec![],
            stores: vec![],
            nodes: vec![],
        }
    }

    /// The next node in writing order. Its own stores are registered in the order of Java's hash sets, which is the order in
    /// which their caches are flushed.
    fn add(&mut self, graph: &Graph, index: usize, topics: &[u32]) {
        self.nodes.push(index);
        let node = &graph.nodes[index];
        let name = |store: &usize| graph.stores[*store].name.as_str();
        for store in in_hash_order(node.stores.clone(), name) {
            if !self.stores.contains(&store) {
                self.stores.push(store);
            }
        }
        if let NodeKind::Source { .. } = &node.kind {
            self.source_topics.extend(topics);
        }
    }
}

/// The part as a group's coordinator sees it (KIP-1071's topology).
pub(crate) fn membership(topology: &Topology, part: &SubtopologyInfo) -> Subtopology {
    let prefix = topology.topic_prefix();
    let mut answer = Subtopology {
        id: part.id,
        ..Subtopology::default()
    };
    for node in &part.nodes {
        match &topology.nodes[*node].kind {
            NodeKind::Source { topics, .. } => {
                for topic in topics {
                    source(topology, *node, topic, &mut answer);
                }
            }
            NodeKind::Sink {
                topic: Some(topic @ TopicName::Internal(_)),
                ..
            } => {
                let full = topic.full(prefix);
                if !answer.repartition_sinks.contains(&full) {
                    answer.repartition_sinks.push(full);
                }
            }
            _ => {}
        }
    }
    for store in &part.stores {
        let spec = &topology.stores[*store];
        if spec.writes_changelog() {
            answer.changelogs.push(InternalTopic {
                name: topology.changelog(*store),
                partitions: 0,
                config: changelog_config(&topology.settings, spec),
            });
        }
    }
    answer.copartition_groups = copartition_groups(topology, part);
    answer
}

/// The topics of each group (`InternalTopologyBuilder.copartitionGroups`). A group is joined with the one that the first of its
/// topics is in, in the order of Java's hash sets, and not with those of the others: the same topics for the coordinator of a
/// group that Java takes part in, and the same partition counts, since such groups share a topic. A group that lies in several
/// parts is in none, and takes those that it is joined with along in Kafka Streams.
fn copartition_groups(topology: &Topology, part: &SubtopologyInfo) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let mut group_of: BTreeMap<&str, usize> = BTreeMap::new();
    let java = topology.settings.semantics == Semantics::Java;
    for sources in &topology.copartitions {
        let is_inside = || sources.iter().all(|source| part.nodes.contains(source));
        if sources.is_empty() || !(java || is_inside()) {
            continue;
        }
        let topics = copartitioned(topology, sources);
        let known = topics.iter().find_map(|topic| group_of.get(topic));
        let number = known.copied().unwrap_or_else(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        for topic in topics {
            if !groups[number].contains(&topic) {
                groups[number].push(topic);
            }
            group_of.insert(topic, number);
        }
    }
    let owned = |group: Vec<&str>| group.into_iter().map(str::to_owned).collect();
    let read = |topic: &&str| {
        let mut topics = part.source_topics.iter();
        topics.any(|read| *topology.source_topics[*read as usize] == **topic)
    };
    let held = groups.into_iter().enumerate();
    held.filter(|(number, _)| group_of.values().any(|held| held == number))
        .filter(|(_, group)| group.iter().all(read))
        .map(|(_, group)| owned(group))
        .collect()
}

/// The topics of these sources, in the order of a Java `HashSet`.
fn copartitioned<'t>(topology: &'t Topology, sources: &[usize]) -> Vec<&'t str> {
    let by_name = in_hash_order(sources.to_vec(), |source| &topology.nodes[*source].name);
    let mut topics: Vec<&str> = Vec::new();
    for source in by_name {
        let known = topology.topics_of(source).iter();
        for topic in known.filter(|topic| !topology.patterns.contains(topic)) {
            let topic = &*topology.source_topics[*topic as usize];
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
    }
    in_hash_order(topics, |topic| topic)
}

/// Adds a topic that the part reads.
fn source(topology: &Topology, node: usize, topic: &TopicName, answer: &mut Subtopology) {
    if !matches!(topic, TopicName::Internal(_)) {
        let known = topology.known_topics(node, topic);
        return answer.source_topics.extend(known);
    }
    let repartition = topology
        .repartitions
        .iter()
        .find(|known| known.topic == *topic);
    answer.repartition_sources.push(InternalTopic {
        name: topic.full(topology.topic_prefix()),
        partitions: repartition.map_or(0, |known| known.partitions),
        config: repartition_config(),
    });
}

fn repartition_config() -> TopicConfig {
    settings(&[
        ("cleanup.policy", "delete"),
        ("message.timestamp.type", "CreateTime"),
        ("retention.ms", "-1"),
        ("segment.bytes", "52428800"),
    ])
}

fn changelog_config(topology_settings: &TopologySettings, spec: &StoreSpec) -> TopicConfig {
    let mut config = settings(&[("message.timestamp.type", "CreateTime")]);
    match spec.layout {
        Layout::Window { retention_ms, .. } | Layout::Session { retention_ms, .. } => {
            // Where each value has a key of its own there is nothing to compact (`WindowStoreBuilder.retainDuplicates`).
            let policy = if spec.duplicates {
                "delete"
            } else {
                "compact,delete"
            };
            config.insert("cleanup.policy".into(), policy.into());
            config.insert(
                "retention.ms".into(),
                changelog_retention_ms(topology_settings, retention_ms).to_string(),
            );
        }
        Layout::Versioned {
            history_retention_ms,
        } => {
            config.insert("cleanup.policy".into(), "compact".into());
            config.insert(
                "min.compaction.lag.ms".into(),
                history_retention_ms
                    .saturating_add(ADDITIONAL_RETENTION_MS)
                    .to_string(),
            );
        }
        _ => {
            config.insert("cleanup.policy".into(), "compact".into());
        }
    }
    config.extend(spec.changelog_config.clone());
    config
}

fn settings(pairs: &[(&str, &str)]) -> TopicConfig {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}
