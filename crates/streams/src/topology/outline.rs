//! What the build leaves of a graph, so that handles used afterwards find what they point at.
//! Not a topology: it cannot be wired, and its first problem says that it was built. Invariant: numbers of operators, verbs,
//! stores and names stay as they were.

use super::graph::{Graph, Node, NodeKind, TableNode};

impl Graph {
    /// The graph without what makes it run.
    pub(crate) fn outline(&self) -> Self {
        let mut outline = Self {
            counter: self.counter,
            priorities: self.priorities,
            given_names: self.given_names.clone(),
            nodes: self.nodes.iter().map(outline).collect(),
            groups: self.groups.clone(),
            stores: self.stores.clone(),
            ..Self::default()
        };
        outline.problem(
            "it was built before; call build once, after the last verb, or make a new App".into(),
        );
        outline
    }
}

fn outline(node: &Node) -> Node {
    Node {
        name: node.name.clone(),
        kind: NodeKind::Processor,
        parents: node.parents.clone(),
        children: node.children.clone(),
        stores: node.stores.clone(),
        wire: Box::new(|_, _| Box::new(())),
        formats: node.formats.clone(),
        table: node.table.as_ref().map(|table| TableNode {
            sends_old: table.sends_old,
            old_values: table.old_values.clone(),
            lazy_store: table.lazy_store.clone(),
            store: table.store,
            rows: Box::new(|_, _| Box::new(())),
        }),
        keeps_null_keys: node.keeps_null_keys,
        timer_keys: None,
        reads_versions: node.reads_versions,
        group: node.group,
    }
}
