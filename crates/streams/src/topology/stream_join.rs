//! What the build decides about joins of streams: whether a stream that is joined with itself keeps one store or two
//! (`InternalStreamsBuilder.rewriteSingleStoreSelfJoin`). Not the join.
//! Invariant: a store that is not needed is never part of the topology.

use super::{Graph, Kept, Semantics, StoreSpec, TopologySettings};
use crate::task::Wire;

/// A join of streams as the DSL has added it.
pub(crate) struct StreamJoin {
    pub(crate) group: usize,
    pub(crate) nodes: StreamJoinNodes,
    pub(crate) stores: StreamJoinStores,
    /// Its wire over one store; `None` where the sides have different types.
    pub(crate) self_join: Option<Wire>,
    /// Inner, and each record lies within its own window: over one store it then gives the same results.
    pub(crate) meets_itself: bool,
}

/// Its operators.
#[derive(Clone, Copy)]
pub(crate) struct StreamJoinNodes {
    pub(crate) keep_left: usize,
    pub(crate) keep_right: usize,
    pub(crate) match_left: usize,
    pub(crate) match_right: usize,
    pub(crate) merge: usize,
}

/// Its stores.
pub(crate) struct StreamJoinStores {
    pub(crate) left: StoreSpec,
    pub(crate) right: StoreSpec,
    /// Of left and outer joins.
    pub(crate) unmatched: Option<StoreSpec>,
}

/// Gives the joins their stores; sources must be merged before.
pub(crate) fn settle(graph: &mut Graph, settings: &TopologySettings) {
    for mut join in std::mem::take(&mut graph.stream_joins) {
        for spec in [&mut join.stores.left, &mut join.stores.right] {
            // Java's stores in memory keep what it hands to them, those on disk only the value unless told otherwise.
            if settings.stores_with_headers || spec.in_memory.unwrap_or(settings.stores_in_memory) {
                spec.timestamped = true;
                spec.kept = Kept::WithHeaders;
            }
        }
        let one_stream = graph.groups[join.group].parents.len() == 1;
        // Java joins a stream with itself over one store whatever the join.
        let java = settings.semantics == Semantics::Java;
        let rewritten = settings.single_store_self_join
            && one_stream
            && (java || join.meets_itself)
            && join.self_join.is_some();
        if rewritten {
            over_one_store(graph, join);
        } else {
            over_two_stores(graph, join);
        }
    }
}

fn over_two_stores(graph: &mut Graph, join: StreamJoin) {
    let StreamJoin { nodes, stores, .. } = join;
    let left = graph.add_store(stores.left);
    let right = graph.add_store(stores.right);
    let unmatched = stores.unmatched.map(|spec| graph.add_store(spec));
    graph.nodes[nodes.keep_left].stores = vec![left];
    graph.nodes[nodes.keep_right].stores = vec![right];
    let with_unmatched = |store| [Some(store), unmatched].into_iter().flatten().collect();
    graph.nodes[nodes.match_left].stores = with_unmatched(right);
    graph.nodes[nodes.match_right].stores = with_unmatched(left);
}

/// The merging operator becomes the join, behind the one that keeps the left side.
fn over_one_store(graph: &mut Graph, join: StreamJoin) {
    let StreamJoin { nodes, stores, .. } = join;
    let keep_right = graph.nodes[nodes.keep_right].group;
    graph.groups[keep_right].removed = true;
    for parent in graph.groups[keep_right].parents.clone() {
        graph.groups[parent]
            .children
            .retain(|child| *child != keep_right);
    }
    graph.groups[join.group].nodes = vec![nodes.merge];
    let left = graph.add_store(stores.left);
    graph.nodes[nodes.keep_left].stores = vec![left];
    let merge = &mut graph.nodes[nodes.merge];
    merge.parents = vec![nodes.keep_left];
    merge.stores = vec![left];
    if let Some(wire) = join.self_join {
        merge.wire = wire;
    }
}
