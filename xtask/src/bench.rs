//! `cargo xtask bench`: the yardsticks. Those on the embedded log are `headwater-bench` itself; those on Apache Kafka need a
//! broker and other systems beside ours, which is done here.
//! Not the jobs. Invariant: a figure is only printed for a run whose output was checked.

mod asked;
mod axis;
mod chosen;
mod contender;
mod curve;
mod grown;
mod growth;
mod input;
mod job;
mod judge;
mod latency;
mod librdkafka;
mod lines;
mod machine;
mod measured;
mod query;
mod report;
mod rounds;
mod scene;
mod svg;
mod table;
mod verdict;

use crate::{graph, process, root};
use anyhow::{Result, bail};

const PACKAGE: &str = "headwater-bench";
/// Jobs of the embedded log that no job on a broker shares its name with.
const EMBEDDED: [&str; 3] = ["memory-image", "engine", "hot"];

/// `cargo xtask bench ..`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if graph::Graph::load(root())?.ours(PACKAGE).is_none() {
        bail!("the workspace has no package `{PACKAGE}`, so there is nothing to measure with");
    }
    match arguments.split_first() {
        Some((first, rest)) if first == "embedded" => embedded(rest),
        Some((first, _)) if EMBEDDED.contains(&first.as_str()) => embedded(arguments),
        Some((first, rest)) if first == "growth" => growth::run(rest),
        Some((first, rest)) if first == "report" => report::run(rest),
        // Its name before there were others beside it.
        Some((first, rest)) if first == "kafka" => rounds::run(rest),
        _ => rounds::run(arguments),
    }
}

fn embedded(arguments: &[String]) -> Result<()> {
    let mut command = process::cargo(&["run", "--release", "--package", PACKAGE, "--"]);
    process::run(command.args(arguments))
}
