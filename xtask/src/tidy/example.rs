//! Examples are for readers, so each is named where a reader starts. Not a check of what the README says about it.
//! Invariant: a package below `examples/` is mentioned in README.md by its folder.

use crate::graph::Graph;

/// Examples that README.md does not mention.
pub(super) fn check(graph: &Graph, readme: &str) -> Vec<String> {
    let folders = graph
        .members()
        .filter_map(|package| package.folder.as_deref());
    let unmentioned =
        folders.filter(|folder| folder.starts_with("examples/") && !readme.contains(folder));
    unmentioned
        .map(|folder| format!("README.md does not mention {folder}"))
        .collect()
}
