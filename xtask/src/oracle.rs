//! `cargo xtask oracle`: cases of topologies on Headwater against the results that Kafka Streams gave for them.
//! Not the judge, and no Java: results lie beside the cases. Invariant: a case without an equal result fails the command.

use crate::process;
use anyhow::Result;

/// Runs the corpus, or the case files given.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut command = process::cargo(&["run", "--release", "--package", "headwater-oracle", "--"]);
    command.arg("--check");
    if arguments.is_empty() {
        command.args(["--dir", "crates/oracle/cases"]);
    }
    process::run(command.args(arguments))
}
