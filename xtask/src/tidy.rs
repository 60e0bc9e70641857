//! The rules that a machine can check, each in its own file below. Not a style guide: STYLE.md gives the reasons.
//! Invariant: a rule only reads; the one thing tidy ever writes are the hash lines under `--bless-hashes`.

mod example;
mod hash;
mod layer;
mod licence;
mod size;
mod source;
#[cfg(test)]
mod tests;
mod version;

use crate::{graph::Graph, root};
use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

/// `cargo xtask tidy`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => {}
        [only] if only == "--bless-hashes" => hash::bless(root())?,
        _ => bail!("tidy takes no argument but --bless-hashes"),
    }
    check_all()
}

/// Prints every finding; an error when there is one.
pub(crate) fn check_all() -> Result<()> {
    let findings = findings(root())?;
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("tidy has {} findings", findings.len());
    }
    Ok(())
}

/// What is wrong with the tree at `root`, a line each.
fn findings(root: &Path) -> Result<Vec<String>> {
    let graph = Graph::load(root)?;
    let sources = source::read_all(root)?;
    let (table, mut findings) = layer::Table::parse(&read(root, "ARCHITECTURE.md")?);
    findings.extend(layer::check(&table, &graph));
    findings.extend(source::check(&sources));
    findings.extend(size::check(&sources, &read(root, "xtask/src/ratchet.txt")?));
    findings.extend(licence::check(&graph));
    findings.extend(version::check(
        &graph,
        &read(root, "xtask/src/duplicates.txt")?,
    ));
    findings.extend(example::check(&graph, &read(root, "README.md")?));
    findings.extend(hash::check(root)?);
    Ok(findings)
}

fn read(root: &Path, name: &str) -> Result<String> {
    fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))
}

/// Every file below `folder` with this ending, as paths relative to `root`, sorted; absent folders are empty.
fn files(root: &Path, folder: &str, ending: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pending = vec![root.join(folder)];
    while let Some(folder) = pending.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
        {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                // Build output of a package that was built on its own, and editors' folders.
                if name != "target" && !name.starts_with('.') {
                    pending.push(path);
                }
            } else if name.ends_with(ending) {
                let relative = path.strip_prefix(root).expect("the walk began below root");
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
