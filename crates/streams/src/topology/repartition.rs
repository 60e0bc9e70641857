//! Merging of repartition topics below one change of key (`InternalStreamsBuilder.mergeRepartitionTopics`): the records go
//! through one topic right behind the operator that changed the key, under the name of the first.
//! Not for topics behind an operator that changes values, since what would be written is another type.
//! Invariant: every operator keeps its place below the change of key; only where the topic stands moves.

use super::Semantics;
use super::graph::{Graph, GraphNode, NodeKind, Role, TopicName};

/// A change of key (or a merge of several) with the repartitions below it, in the order they were added.
type Candidates = Vec<(usize, Vec<usize>)>;

/// Merges what can be merged.
pub(crate) fn merge(graph: &mut Graph, semantics: Semantics) {
    let mut candidates = candidates(graph);
    through_merges(graph, &mut candidates);
    for (key_change, mut repartitions) in candidates {
        repartitions.retain(|repartition| same_types(graph, key_change, *repartition));
        if !repartitions.is_empty() {
            merge_below(graph, semantics, key_change, &repartitions);
        }
    }
}

/// What goes through the topic is what the change of key sends. Kafka Streams does not count `processValues` as a change of
/// value, and fails at the first record where it is one.
fn same_types(graph: &Graph, key_change: usize, repartition: usize) -> bool {
    let formats = |group| (*graph.nodes[output(graph, group)].formats).type_id();
    formats(key_change) == formats(repartition)
}

fn candidates(graph: &Graph) -> Candidates {
    let mut candidates: Candidates = Vec::new();
    for (index, group) in graph.groups.iter().enumerate() {
        if group.removed {
            continue;
        }
        if group.role.changes_key {
            candidates.push((index, Vec::new()));
        } else if group.role.repartition == Some(true)
            && let Some(key_change) = key_change_above(graph, index)
            && let Some((_, found)) = candidates
                .iter_mut()
                .find(|(known, _)| *known == key_change)
        {
            found.push(index);
        }
    }
    candidates
}

/// The nearest change of key, unless a change of values lies between.
fn key_change_above(graph: &Graph, repartition: usize) -> Option<usize> {
    let changes = |group: &GraphNode| group.role.changes_key || group.role.changes_value;
    let nearest = find(graph, repartition, &|group| changes(&graph.groups[group]))?;
    let key_change = find(graph, repartition, &|group| {
        graph.groups[group].role.changes_key
    })?;
    (nearest == key_change).then_some(key_change)
}

/// The first of `start` and what is above it, depth first, that `wanted` accepts.
fn find(graph: &Graph, start: usize, wanted: &dyn Fn(usize) -> bool) -> Option<usize> {
    if wanted(start) {
        return Some(start);
    }
    for parent in &graph.groups[start].parents {
        if wanted(*parent) {
            return Some(*parent);
        }
        if let Some(found) = find(graph, *parent, wanted) {
            return Some(found);
        }
    }
    None
}

/// The child of `above` on the way down to `start`.
fn child_towards(graph: &Graph, above: usize, start: usize) -> Option<usize> {
    find(graph, start, &|group| {
        graph.groups[group].parents.contains(&above)
    })
}

/// Changes of key that meet in a merge share the topic behind the merge.
fn through_merges(graph: &Graph, candidates: &mut Candidates) {
    let mut gone: Vec<usize> = Vec::new();
    let mut merged: Candidates = Vec::new();
    for (merge, group) in graph.groups.iter().enumerate() {
        if !group.role.merges || group.removed {
            continue;
        }
        let mut found: Vec<usize> = Vec::new();
        for (key_change, repartitions) in candidates.iter() {
            let below = |repartition: &usize| child_towards(graph, merge, *repartition).is_some();
            if repartitions.iter().all(below) && child_towards(graph, *key_change, merge).is_some()
            {
                for repartition in repartitions {
                    if !found.contains(repartition) {
                        found.push(*repartition);
                    }
                }
                gone.push(*key_change);
            }
        }
        merged.push((merge, found));
    }
    candidates.extend(merged);
    candidates.retain(|(key_change, _)| !gone.contains(key_change));
}

fn merge_below(graph: &mut Graph, semantics: Semantics, key_change: usize, repartitions: &[usize]) {
    let optimized = take_first(graph, key_change, repartitions[0]);
    let source = output(graph, optimized);
    for repartition in repartitions.iter().copied() {
        let old_source = graph.groups[repartition].nodes.last().copied();
        match child_towards(graph, key_change, repartition) {
            Some(child) => move_child(graph, child, key_change, optimized),
            // The way down to it has moved with another repartition. Kafka Streams fails to build there.
            None if semantics == Semantics::Java => {
                let name = graph.nodes[source].name.clone();
                graph.problem(format!(
                    "{name}: two repartitions share their way down from the key"
                ));
            }
            None => {}
        }
        let parents = graph.groups[repartition].parents.clone();
        for below in graph.groups[repartition].children.clone() {
            for parent in &parents {
                move_child(graph, below, repartition, *parent);
            }
        }
        for parent in parents {
            graph.groups[parent]
                .children
                .retain(|child| *child != repartition);
        }
        graph.groups[repartition].removed = true;
        graph.groups[repartition].parents.clear();
        for sources in &mut graph.copartitions {
            for known in sources
                .iter_mut()
                .filter(|known| Some(**known) == old_source)
            {
                *known = source;
            }
            sources.sort_unstable();
            sources.dedup();
        }
    }
    graph.groups[key_change].children.push(optimized);
    graph.groups[optimized].parents.push(key_change);
    connect_filter(graph, optimized, key_change);
}

/// The operators of the first repartition under a verb of their own, with the names that Kafka Streams gives them.
fn take_first(graph: &mut Graph, key_change: usize, first: usize) -> usize {
    let nodes = graph.groups[first].nodes.clone();
    let topic = nodes
        .iter()
        .find_map(|node| match &graph.nodes[*node].kind {
            NodeKind::Source { topics, .. } => topics.first().map(TopicName::plain),
            _ => None,
        });
    let topic = topic.unwrap_or_default().to_owned();
    let optimized = graph.groups.len();
    // The operators stay in the list of the first one too: it is how its children know it, until they have moved.
    graph.groups.push(GraphNode {
        role: Role {
            repartition: Some(true),
            ..Role::default()
        },
        priority: graph.groups[key_change].priority,
        parents: Vec::new(),
        children: Vec::new(),
        nodes: nodes.clone(),
        removed: false,
    });
    for node in nodes {
        let suffix = match graph.nodes[node].kind {
            NodeKind::Source { .. } => "source",
            NodeKind::Sink { .. } => "sink",
            NodeKind::Processor => "filter",
        };
        graph.nodes[node].name = format!("{topic}-{suffix}");
    }
    optimized
}

/// The operator of a verb that others read from.
fn output(graph: &Graph, group: usize) -> usize {
    let nodes = &graph.groups[group].nodes;
    *nodes.last().expect("a verb has an operator")
}

/// Puts `child` below `to` instead of `from`.
fn move_child(graph: &mut Graph, child: usize, from: usize, to: usize) {
    let (old, new) = (output(graph, from), output(graph, to));
    graph.groups[from].children.retain(|known| *known != child);
    graph.groups[child].parents.retain(|known| *known != from);
    if !graph.groups[to].children.contains(&child) {
        graph.groups[to].children.push(child);
    }
    if !graph.groups[child].parents.contains(&to) {
        graph.groups[child].parents.push(to);
    }
    for node in graph.groups[child].nodes.clone() {
        let parents = &mut graph.nodes[node].parents;
        if parents.contains(&old) {
            // Behind the other parents of a merge.
            parents.retain(|parent| *parent != old);
            if !parents.contains(&new) {
                parents.push(new);
            }
        }
    }
}

/// The filter in front of the topic reads from the change of key.
fn connect_filter(graph: &mut Graph, optimized: usize, key_change: usize) {
    let above = output(graph, key_change);
    for node in graph.groups[optimized].nodes.clone() {
        graph.nodes[node].group = optimized;
        if matches!(graph.nodes[node].kind, NodeKind::Processor) {
            graph.nodes[node].parents = vec![above];
        }
    }
}
