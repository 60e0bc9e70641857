//! `cargo xtask oracle`: our interpreter of the judge's cases, on the corpus or on random cases. The programs are in
//! `crates/oracle`; this only builds and starts them.
//! Invariant: the corpus needs no Java; random cases need the judge, and are skipped loudly where it is not.

use crate::process;
use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask oracle [CASE.json..]                       the corpus or these cases: equal, different, unsupported
cargo xtask oracle fuzz [--seed N] [--cases M] [..]    random cases before Kafka Streams and us
cargo xtask oracle record [--seed N] [--cases M]       has Kafka Streams record random cases for CI";

/// `cargo xtask oracle [COMMAND]`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        return check(&["--dir", "crates/oracle/cases"].map(str::to_owned));
    };
    let command = match command.as_str() {
        "fuzz" => "run",
        "record" => "record",
        file if file.ends_with(".json") => return check(arguments),
        other => bail!("oracle has no command `{other}`\n\n{USAGE}"),
    };
    let mut program = program("fuzz");
    process::run(program.arg(command).args(rest))
}

fn check(files: &[String]) -> Result<()> {
    process::run(program("headwater-oracle").arg("--check").args(files))
}

fn program(name: &str) -> std::process::Command {
    let package = "headwater-oracle";
    process::cargo(&["run", "--release", "-q", "-p", package, "--bin", name, "--"])
}
