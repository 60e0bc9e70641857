//! `cargo xtask bench`: the yardsticks. Those on the embedded log are `headwater-bench` itself; those on Apache Kafka need a
//! broker and other systems beside ours, which is done here.
//! Not the jobs. Invariant: a figure is only printed for a run whose output was checked.

mod contender;
mod kafka;
mod measured;
mod scene;
mod table;

use crate::{graph, process, root};
use anyhow::{Result, bail};

const PACKAGE: &str = "headwater-bench";

/// `cargo xtask bench [kafka] ..`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if graph::Graph::load(root())?.ours(PACKAGE).is_none() {
        bail!("the workspace has no package `{PACKAGE}`, so there is nothing to measure with");
    }
    if let Some((first, rest)) = arguments.split_first()
        && first == "kafka"
    {
        return kafka::run(rest);
    }
    let mut command = process::cargo(&["run", "--release", "--package", PACKAGE, "--"]);
    process::run(command.args(arguments))
}
