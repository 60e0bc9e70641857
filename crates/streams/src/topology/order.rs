//! The order in which a graph is written (`InternalStreamsBuilder.buildAndOptimizeTopology`), which numbers sub-topologies and
//! orders children: verbs by priority once all that is above them is written.
//! Not the order of `describe`. Invariant: a node comes after its parents.

use super::Semantics;
use super::graph::{Graph, NodeKind, TopicName};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Merges stream sources of equal topics (`mergeDuplicateSourceNodes`): the first stays.
pub(crate) fn merge_sources(graph: &mut Graph, semantics: Semantics) {
    if semantics == Semantics::Java {
        graph.copartitions = std::mem::take(&mut graph.java_copartitions);
    }
    let mut kept: Vec<usize> = Vec::new();
    for group in 0..graph.groups.len() {
        if !graph.groups[group].role.stream_source {
            continue;
        }
        let node = graph.groups[group].nodes[0];
        let topics = topics(graph, node).to_vec();
        let overlapping = kept.iter().copied().find(|other| {
            self::topics(graph, *other)
                .iter()
                .any(|topic| topics.contains(topic))
        });
        match overlapping {
            None => kept.push(node),
            Some(other) if same(self::topics(graph, other), &topics) => {
                replace(graph, node, other, semantics)
            }
            Some(other) => {
                let (one, two) = (&graph.nodes[other].name, &graph.nodes[node].name);
                let problem = format!(
                    "{one} and {two} read topics in common, but not the same topics; read each topic in one source"
                );
                graph.problem(problem);
            }
        }
    }
}

fn topics(graph: &Graph, node: usize) -> &[TopicName] {
    match &graph.nodes[node].kind {
        NodeKind::Source { topics, .. } => topics,
        _ => &[],
    }
}

fn same(a: &[TopicName], b: &[TopicName]) -> bool {
    a.iter().all(|topic| b.contains(topic)) && b.iter().all(|topic| a.contains(topic))
}

/// Puts `to` at the end in place of `from`, as Kafka Streams does.
fn move_last(parents: &mut Vec<usize>, from: usize, to: usize) {
    parents.retain(|parent| *parent != from);
    if !parents.contains(&to) {
        parents.push(to);
    }
}

/// Everything below source `node` reads from source `other` instead.
fn replace(graph: &mut Graph, node: usize, other: usize, semantics: Semantics) {
    if (*graph.nodes[node].formats).type_id() != (*graph.nodes[other].formats).type_id() {
        let problem = format!(
            "{} and {} read the same topic as different types; read it once and map the values",
            graph.nodes[other].name, graph.nodes[node].name
        );
        return graph.problem(problem);
    }
    let (from, to) = (graph.nodes[node].group, graph.nodes[other].group);
    graph.groups[from].removed = true;
    for child in std::mem::take(&mut graph.groups[from].children) {
        move_last(&mut graph.groups[child].parents, from, to);
        if !graph.groups[to].children.contains(&child) {
            graph.groups[to].children.push(child);
        }
    }
    for reader in &mut graph.nodes {
        if reader.parents.contains(&node) {
            move_last(&mut reader.parents, node, other);
        }
    }
    for sources in &mut graph.copartitions {
        // Kafka Streams forgets that the topic of the source that is gone must be copartitioned.
        if semantics == Semantics::Java {
            sources.retain(|source| *source != node);
        }
        for source in sources.iter_mut() {
            if *source == node {
                *source = other;
            }
        }
        sources.sort_unstable();
        sources.dedup();
    }
}

/// The nodes in writing order.
pub(crate) fn written(graph: &Graph) -> Vec<usize> {
    let mut order = Vec::with_capacity(graph.nodes.len());
    let mut done = vec![false; graph.groups.len()];
    let mut queue: BinaryHeap<Reverse<(usize, usize)>> = graph
        .groups
        .iter()
        .enumerate()
        .filter(|(_, group)| group.parents.is_empty() && !group.removed)
        .map(|(index, group)| Reverse((group.priority, index)))
        .collect();
    while let Some(Reverse((_, index))) = queue.pop() {
        let group = &graph.groups[index];
        if done[index] || !group.parents.iter().all(|parent| done[*parent]) {
            continue;
        }
        done[index] = true;
        order.extend(&group.nodes);
        for child in &group.children {
            queue.push(Reverse((graph.groups[*child].priority, *child)));
        }
    }
    order
}

/// Connects children to parents in writing order.
pub(crate) fn connect(graph: &mut Graph, order: &[usize]) {
    for node in &mut graph.nodes {
        node.children.clear();
    }
    for node in order {
        for parent in graph.nodes[*node].parents.clone() {
            let children = &mut graph.nodes[parent].children;
            if !children.contains(node) {
                children.push(*node);
            }
        }
    }
}

/// Decides which repartitions keep null keys: those with a join below that takes them (KIP-962).
pub(crate) fn relax_null_keys(graph: &mut Graph) {
    let mut relaxed = vec![None; graph.groups.len()];
    for group in 0..graph.groups.len() {
        if graph.groups[group].role.repartition.is_some()
            && leads_to_relaxed(graph, group, &mut relaxed)
        {
            for node in graph.groups[group].nodes.clone() {
                graph.nodes[node].keeps_null_keys = true;
            }
        }
    }
}

fn leads_to_relaxed(graph: &Graph, group: usize, known: &mut [Option<bool>]) -> bool {
    if let Some(answer) = known[group] {
        return answer;
    }
    let answer = graph.groups[group].children.iter().any(|child| {
        graph.groups[*child].role.relaxed_null_keys || leads_to_relaxed(graph, *child, known)
    });
    known[group] = Some(answer);
    answer
}
