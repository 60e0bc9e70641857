//! Which licences a dependency may have. Not legal advice: the list is what the project has chosen to ship with.
//! Invariant: an expression that cannot be understood is refused.

use crate::graph::Graph;

const PERMITTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages whose licence does not allow what we do with them.
pub(super) fn check(graph: &Graph) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &graph.packages {
        let (name, version) = (&package.name, &package.version);
        match &package.licence {
            None => findings.push(format!("package `{name} {version}` names no licence")),
            Some(licence) if !permitted(licence) => {
                findings.push(format!(
                    "package `{name} {version}` is under `{licence}`, which is not permitted"
                ));
            }
            Some(_) => {}
        }
    }
    findings
}

/// True when the SPDX expression can be met with permitted licences alone.
pub(super) fn permitted(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest) == Some(true) && rest.is_empty()
}

/// `a OR b`; `None` when the words make no expression.
fn any_of(words: &mut &[&str]) -> Option<bool> {
    let mut met = all_of(words)?;
    while next_is(words, "OR") {
        met |= all_of(words)?;
    }
    Some(met)
}

/// `a AND b`, which binds closer.
fn all_of(words: &mut &[&str]) -> Option<bool> {
    let mut met = one(words)?;
    while next_is(words, "AND") {
        met &= one(words)?;
    }
    Some(met)
}

fn one(words: &mut &[&str]) -> Option<bool> {
    if next_is(words, "(") {
        let met = any_of(words)?;
        return next_is(words, ")").then_some(met);
    }
    let (name, rest) = words.split_first()?;
    *words = rest;
    if next_is(words, "WITH") {
        // An exception only ever permits more than the licence it is attached to.
        let (_exception, rest) = words.split_first()?;
        *words = rest;
    }
    Some(PERMITTED.contains(name))
}

/// Takes the next word if it is this one.
fn next_is(words: &mut &[&str], word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        _ => false,
    }
}
