//! `Topology.describe()`, letter for letter as Kafka Streams prints it. Not a drawing.
//! Invariant: nodes are ordered by how much hangs below them, then by name (`InternalTopologyBuilder.NodeComparator`).

use super::{NodeKind, Topology};
use std::fmt::Write;

pub(crate) fn describe(topology: &Topology) -> String {
    let mut text = String::from("Topologies:\n");
    let sizes = sizes(topology);
    let largest_first = |nodes: &mut Vec<usize>| {
        nodes.sort_by(|a, b| {
            sizes[*b]
                .cmp(&sizes[*a])
                .then_with(|| topology.nodes[*a].name.cmp(&topology.nodes[*b].name))
        });
    };
    for part in topology.subtopologies() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "   Sub-topology: {}", part.id);
        let mut nodes = part.nodes.clone();
        largest_first(&mut nodes);
        for index in nodes {
            let node = &topology.nodes[index];
            let names = |nodes: &[usize]| {
                let mut nodes = nodes.to_vec();
                largest_first(&mut nodes);
                let names: Vec<&str> = nodes
                    .iter()
                    .map(|node| topology.nodes[*node].name.as_str())
                    .collect();
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(", ")
                }
            };
            let name = &node.name;
            let _ = match &node.kind {
                NodeKind::Source { topic, .. } => {
                    writeln!(text, "    Source: {name} (topics: [{}])", topic.plain())
                }
                NodeKind::Sink { topic } => {
                    writeln!(text, "    Sink: {name} (topic: {})", topic.plain())
                }
                NodeKind::Processor => {
                    let mut stores: Vec<&str> = node
                        .stores
                        .iter()
                        .map(|store| topology.stores[*store].name.as_str())
                        .collect();
                    stores.sort_unstable();
                    writeln!(
                        text,
                        "    Processor: {name} (stores: [{}])",
                        stores.join(", ")
                    )
                }
            };
            if !matches!(node.kind, NodeKind::Sink { .. }) {
                let _ = writeln!(text, "      --> {}", names(&node.children));
            }
            if !matches!(node.kind, NodeKind::Source { .. }) {
                let _ = writeln!(text, "      <-- {}", names(&node.parents));
            }
        }
        text.push('\n');
    }
    text
}

/// The number of paths below each node, itself included. Children come after their parents in the graph.
fn sizes(topology: &Topology) -> Vec<usize> {
    let mut sizes = vec![1; topology.nodes.len()];
    for index in (0..topology.nodes.len()).rev() {
        sizes[index] = 1 + topology.nodes[index]
            .children
            .iter()
            .map(|child| sizes[*child])
            .sum::<usize>();
    }
    sizes
}
