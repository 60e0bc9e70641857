//! One version of each dependency, but for a named list. Not a check for updates.
//! Invariant: the list holds nothing that is not double at this moment.

use crate::graph::Graph;
use std::collections::{BTreeMap, BTreeSet};

const LIST: &str = "xtask/src/duplicates.txt";

/// Crates that are in the graph more than once, against the list (`NAME # reason`).
pub(super) fn check(graph: &Graph, list: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &graph.packages {
        versions
            .entry(&package.name)
            .or_default()
            .insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let names = list
        .lines()
        .filter_map(|line| line.split('#').next())
        .map(str::trim);
    let listed: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    let unlisted = versions.iter().filter(|(name, _)| !listed.contains(*name)).map(|(name, versions)| {
        let versions: Vec<&str> = versions.iter().copied().collect();
        format!("dependency `{name}` is there in versions {}: agree on one, or list it with its reason", versions.join(", "))
    });
    let gone = listed.iter().filter(|name| !versions.contains_key(*name));
    unlisted
        .chain(gone.map(|name| format!("{LIST}: `{name}` is no longer double: delete the line")))
        .collect()
}
