//! `Topology.describe()`, letter for letter as Kafka Streams prints it. Not a drawing.
//! Invariant: nodes are ordered by how much hangs below them, then by name (`InternalTopologyBuilder.NodeComparator`); the lists
//! of neighbours by how much hung below them when they were added, in the order of Java's hash tables.

use super::java_order::{TreeSet, in_hash_order};
use super::{NodeKind, SubtopologyInfo, TopicName, Topology};
use std::fmt::Write;

pub(crate) fn describe(topology: &Topology) -> String {
    let mut text = String::from("Topologies:\n");
    let mut parts: Vec<(&SubtopologyInfo, bool)> = Vec::new();
    parts.extend(topology.subtopologies().iter().map(|part| (part, false)));
    parts.extend(topology.globals().iter().map(|part| (part, true)));
    parts.sort_by_key(|(part, _)| part.id);
    for (place, (part, global)) in parts.into_iter().enumerate() {
        // Writing to a String cannot fail.
        let indent = if place == 0 { "   " } else { "  " };
        let _ = write!(text, "{indent}Sub-topology: {}", part.id);
        if global {
            text.push_str(" for global store (will not generate tasks)");
        }
        text.push('\n');
        let drawing = Drawing::of(topology, &part.nodes);
        let mut nodes = part.nodes.clone();
        nodes.sort_by(|a, b| {
            let by_size = drawing.sizes[*b].cmp(&drawing.sizes[*a]);
            by_size.then_with(|| topology.nodes[*a].name.cmp(&topology.nodes[*b].name))
        });
        for node in nodes {
            describe_node(topology, &drawing, node, &mut text);
        }
        if !global {
            text.push('\n');
        }
    }
    text
}

fn describe_node(topology: &Topology, drawing: &Drawing, index: usize, text: &mut String) {
    let node = &topology.nodes[index];
    let name = &node.name;
    let _ = match &node.kind {
        NodeKind::Source { topics, .. } if matches!(topics[..], [TopicName::Matching(_)]) => {
            writeln!(text, "    Source: {name} (topics: {})", topics[0].plain())
        }
        NodeKind::Source { topics, .. } => {
            let topics: Vec<&str> = topics.iter().map(TopicName::plain).collect();
            let topics = in_hash_order(topics, |topic| *topic).join(", ");
            writeln!(text, "    Source: {name} (topics: [{topics}])")
        }
        NodeKind::Sink {
            topic: Some(topic), ..
        } => writeln!(text, "    Sink: {name} (topic: {})", topic.plain()),
        NodeKind::Sink { chosen_by, .. } => {
            writeln!(text, "    Sink: {name} (extractor class: {chosen_by})")
        }
        NodeKind::Processor => {
            let stores = node
                .stores
                .iter()
                .map(|store| topology.stores[*store].name.as_str());
            let stores = in_hash_order(stores.collect(), |name| *name).join(", ");
            writeln!(text, "    Processor: {name} (stores: [{stores}])")
        }
    };
    let names = |set: &TreeSet| {
        let names: Vec<&str> = set
            .items()
            .into_iter()
            .map(|node| topology.nodes[node].name.as_str())
            .collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    if !matches!(node.kind, NodeKind::Sink { .. }) {
        let _ = writeln!(text, "      --> {}", names(&drawing.children[index]));
    }
    if !matches!(node.kind, NodeKind::Source { .. }) {
        let _ = writeln!(text, "      <-- {}", names(&drawing.parents[index]));
    }
}

/// Sizes and neighbours as `InternalTopologyBuilder.describeSubtopology` collects them.
struct Drawing {
    /// The number of paths below each node, itself included.
    sizes: Vec<usize>,
    children: Vec<TreeSet>,
    parents: Vec<TreeSet>,
}

impl Drawing {
    fn of(topology: &Topology, nodes: &[usize]) -> Self {
        let empty = || topology.nodes.iter().map(|_| TreeSet::default()).collect();
        let mut drawing = Self {
            sizes: vec![1; topology.nodes.len()],
            children: empty(),
            parents: empty(),
        };
        let name = |node: usize| topology.nodes[node].name.as_str();
        for node in in_hash_order(nodes.to_vec(), |node| name(*node)) {
            for parent in topology.nodes[node].parents.iter().copied() {
                let sizes = &drawing.sizes;
                let largest_first = |a: usize, b: usize| {
                    sizes[b]
                        .cmp(&sizes[a])
                        .then_with(|| name(a).cmp(name(b)))
                        .is_lt()
                };
                drawing.parents[node].insert(parent, largest_first);
                drawing.children[parent].insert(node, largest_first);
                let size = drawing.sizes[node];
                drawing.grow(parent, size);
            }
        }
        drawing
    }

    /// Adds `size` to a node and to all it knows above it.
    fn grow(&mut self, node: usize, size: usize) {
        self.sizes[node] += size;
        for parent in self.parents[node].items() {
            self.grow(parent, size);
        }
    }
}
