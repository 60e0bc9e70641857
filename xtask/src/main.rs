//! `cargo xtask`: the one entry point for everything that is done to this repository rather than by it.
//! Not shipped and used by no crate; it knows the others only by their names and files.
//! Invariant: what CI runs is `cargo xtask ci` and nothing beside it.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a tool that reads the real source tree and times real commands; nothing here is ever simulated"
)]

mod bench;
mod campaign;
mod ci;
mod graph;
mod guard;
mod kafka;
mod oracle;
mod process;
mod tidy;

use anyhow::{Result, bail};
use std::{path::Path, process::ExitCode};

const USAGE: &str = "\
cargo xtask COMMAND

  ci                     formatting, lints, tidy, tests, documentation: all that a change must pass
  tidy [--bless-hashes]  the rules of STYLE.md and ARCHITECTURE.md that a machine can check
  bless [ARGS]           run the tests and rewrite the expected results they compare with
  nightly [NAME..]       the long campaigns, all of them or those named
  bench [JOB..]          jobs on a real broker, beside Kafka Streams; `cargo xtask bench --help` says more
  bench report           docs/performance.md from the results that are kept
  bench growth [AXIS..]  how cost grows with keys, values, partitions and more
  bench embedded JOB     jobs on the embedded log
  guard [--bless]        instructions of the hot paths against bench/instructions.json
  oracle [CASE.json..]   cases of topologies against the results of Kafka Streams; all of the corpus without arguments
  oracle fuzz|record     random cases before Kafka Streams and us; `cargo xtask oracle help` says more
  kafka up|down|cli      a local Apache Kafka broker and its tools; `cargo xtask kafka` says more";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!("which command?\n\n{USAGE}");
    };
    match command.as_str() {
        "ci" => ci::run(),
        "tidy" => tidy::run(rest),
        "bless" => bless(rest),
        "nightly" => campaign::run(rest),
        "bench" => bench::run(rest),
        "guard" => guard::run(rest),
        "oracle" => oracle::run(rest),
        "kafka" => kafka::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("no command `{other}`\n\n{USAGE}"),
    }
}

/// The folder of the workspace's manifest.
fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent()
        .expect("xtask lies one folder below the workspace root")
}

fn bless(arguments: &[String]) -> Result<()> {
    let mut command = process::cargo(&["test", "--workspace"]);
    command.args(arguments).env("HEADWATER_BLESS", "1");
    process::run(&mut command)
}
