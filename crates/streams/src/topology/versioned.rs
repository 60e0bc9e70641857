//! Which operators read a versioned table (KIP-914): they pass over updates that are older than the row of their key. Not the
//! stores of versions. Invariant: what keeps rows says itself whether it keeps versions; anything else is as all above it are.

use super::graph::Graph;

/// Marks the operators below versioned tables (`InternalStreamsBuilder.enableVersionedSemantics`), and refuses `suppress` there.
pub(crate) fn mark(graph: &mut Graph) {
    let mut known = vec![None; graph.groups.len()];
    for node in 0..graph.nodes.len() {
        let above = graph.nodes[node].parents.clone();
        let groups = above.iter().map(|parent| graph.nodes[*parent].group);
        graph.nodes[node].reads_versions = groups
            .collect::<Vec<_>>()
            .into_iter()
            .any(|group| keeps_versions(graph, group, &mut known));
    }
    for group in 0..graph.groups.len() {
        if graph.groups[group].role.suppresses
            && graph.groups[group]
                .parents
                .clone()
                .into_iter()
                .all(|parent| keeps_versions(graph, parent, &mut known))
        {
            let name = graph.groups[group].nodes.first();
            let name = name.map_or("suppress", |node| &graph.nodes[*node].name);
            let problem = format!(
                "{name}: the table keeps versions, of which the last is never certain; suppress a table whose store is not versioned"
            );
            graph.problem(problem);
        }
    }
}

fn keeps_versions(graph: &Graph, group: usize, known: &mut [Option<bool>]) -> bool {
    if let Some(answer) = known[group] {
        return answer;
    }
    let found = &graph.groups[group];
    let answer = found.role.versioned.unwrap_or_else(|| {
        // A source of records is below the root, which keeps nothing.
        !found.parents.is_empty()
            && found
                .parents
                .iter()
                .all(|parent| keeps_versions(graph, *parent, known))
    });
    known[group] = Some(answer);
    answer
}
