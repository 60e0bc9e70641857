//! The table of crates in ARCHITECTURE.md, held against the real graph: rows, edges, names, async.
//! Not a copy of the table: change the page and the rule has changed.
//! Invariant: a workspace package without a row, or an edge without permission, is a finding.

use crate::graph::{Graph, Package};

/// Names that say where code was put and not what it means.
const NAMES_REFUSED: &[&str] = &[
    "types", "common", "util", "utils", "core", "helper", "helpers",
];

const TABLE_HEAD: &str = "| folder |";

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The folder below `crates/`, or a pattern such as `examples/*`.
    pub(super) folder: String,
    /// True for a crate that is planned and not there.
    pub(super) later: bool,
    /// Packages of ours that it may depend on.
    pub(super) may_use: Vec<String>,
    /// True where an async runtime may be linked.
    pub(super) asynchronous: bool,
}

/// The table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// Reads the table and says which lines of it cannot be understood.
    pub(super) fn parse(page: &str) -> (Self, Vec<String>) {
        let mut rows = Vec::new();
        let mut findings = Vec::new();
        let lines = page
            .lines()
            .enumerate()
            .skip_while(|(_, line)| !line.starts_with(TABLE_HEAD));
        // The head and the ruler below it carry no crate.
        for (index, line) in lines.take_while(|(_, line)| line.starts_with('|')).skip(2) {
            match row(line) {
                Ok(row) => rows.push(row),
                Err(why) => findings.push(format!("ARCHITECTURE.md:{}: {why}", index + 1)),
            }
        }
        if rows.is_empty() {
            findings.push(format!(
                "ARCHITECTURE.md: no table that starts with `{TABLE_HEAD}`"
            ));
        }
        (Self { rows }, findings)
    }

    fn row_of(&self, package: &Package) -> Option<&Row> {
        let folder = package.folder.as_deref()?;
        self.rows
            .iter()
            .find(|row| match row.folder.strip_suffix("/*") {
                Some(parent) => folder
                    .strip_prefix(parent)
                    .is_some_and(|rest| rest.starts_with('/')),
                None => package_name(&row.folder) == package.name,
            })
    }
}

fn row(line: &str) -> Result<Row, String> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [name, _purpose, may_use, asynchronous] = cells[..] else {
        return Err(format!(
            "a row needs 4 cells (folder, purpose, may use, async), this one has {}",
            cells.len()
        ));
    };
    let (folder, marks) = name
        .strip_prefix('`')
        .and_then(|rest| rest.split_once('`'))
        .ok_or("the first cell must open with `folder` in backquotes")?;
    let asynchronous = match asynchronous {
        "no" => false,
        "yes" | "inside only" => true,
        other => {
            return Err(format!(
                "the async cell is `no`, `yes` or `inside only`, not `{other}`"
            ));
        }
    };
    let names = may_use
        .split(',')
        .map(str::trim)
        .filter(|name| !matches!(*name, "" | "-"));
    Ok(Row {
        folder: folder.to_owned(),
        later: marks.contains("later"),
        may_use: names.map(package_name).collect(),
        asynchronous,
    })
}

fn package_name(folder: &str) -> String {
    match folder {
        "headwater" | "xtask" => folder.to_owned(),
        _ => format!("headwater-{folder}"),
    }
}

/// Every rule that the table carries.
pub(super) fn check(table: &Table, graph: &Graph) -> Vec<String> {
    let mut findings = rows_without_package(table, graph);
    for package in graph.members() {
        findings.extend(name_refused(package));
        match table.row_of(package) {
            None => findings.push(format!(
                "package `{}` has no row in the table of ARCHITECTURE.md",
                package.name
            )),
            Some(row) => {
                findings.extend(edges_refused(package, row, graph));
                findings.extend(asynchronous_refused(package, row, graph));
            }
        }
    }
    findings
}

fn rows_without_package(table: &Table, graph: &Graph) -> Vec<String> {
    let mut findings = Vec::new();
    for row in &table.rows {
        let folder = &row.folder;
        let exists = graph
            .members()
            .any(|package| table.row_of(package).is_some_and(|of| of.folder == *folder));
        match (exists, row.later) {
            (false, false) => findings.push(format!(
                "ARCHITECTURE.md: row `{folder}` has no package; mark it (later)"
            )),
            (true, true) => findings.push(format!(
                "ARCHITECTURE.md: `{folder}` exists; its row still says (later)"
            )),
            (true, false) | (false, true) => {}
        }
    }
    findings
}

fn name_refused(package: &Package) -> Option<String> {
    let name = package.name.trim_start_matches("headwater-");
    NAMES_REFUSED.contains(&name).then(|| {
        format!(
            "package `{}`: the name says nothing; put each thing where it has a meaning",
            package.name
        )
    })
}

fn edges_refused(package: &Package, row: &Row, graph: &Graph) -> Vec<String> {
    let refused = package
        .declared
        .iter()
        .filter(|to| graph.ours(to).is_some() && !row.may_use.contains(to));
    let say = |to: &String| {
        format!(
            "edge `{} -> {to}` is not in the table of ARCHITECTURE.md",
            package.name
        )
    };
    refused.map(say).collect()
}

/// Looks through packages of others only: what one of ours links is judged by its own row.
fn asynchronous_refused(package: &Package, row: &Row, graph: &Graph) -> Option<String> {
    if row.asynchronous {
        return None;
    }
    let mut seen = vec![false; graph.packages.len()];
    let mut pending: Vec<(usize, &str)> = package
        .linked
        .iter()
        .map(|&index| (index, "directly"))
        .collect();
    while let Some((index, through)) = pending.pop() {
        let next = &graph.packages[index];
        if next.name == "tokio" {
            return Some(format!(
                "package `{}` is synchronous but links tokio ({through})",
                package.name
            ));
        }
        if next.folder.is_none() && !std::mem::replace(&mut seen[index], true) {
            pending.extend(next.linked.iter().map(|&index| (index, next.name.as_str())));
        }
    }
    None
}
