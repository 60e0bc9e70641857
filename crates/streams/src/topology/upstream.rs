//! What a verb asks of the verbs above it: the grace of windows.
//! Not what it asks of its parents' operators. Invariant: the graph has no cycles, since a verb is added below what is there.

use super::Graph;

impl Graph {
    /// The largest grace of the windowed aggregations at or above a verb, in ms; `None` unless all that reaches it passes through
    /// one (`GraphGraceSearchUtil`).
    pub(crate) fn grace_of(&self, group: usize) -> Option<i64> {
        let group = &self.groups[group];
        if group.role.grace_ms.is_some() {
            return group.role.grace_ms;
        }
        let mut grace_ms = None;
        for parent in &group.parents {
            grace_ms = grace_ms.max(Some(self.grace_of(*parent)?));
        }
        grace_ms
    }
}
