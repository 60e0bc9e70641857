//! `cargo xtask kafka`: one local Apache Kafka broker per folder, for tests and comparisons.
//! Not a cluster and not for production: one node, plain text, on the loopback interface.
//! Invariant: only a process whose id is in our pid file, and whose command line is ours, is ever ended.

mod broker;
mod jars;
mod tool;

use crate::root;
use anyhow::{Context, Result, bail};
use broker::Broker;
use std::path::PathBuf;

const USAGE: &str = "\
cargo xtask kafka COMMAND        (Apache Kafka 4.3.1; needs Java 17 or newer, and Maven the first time)

  up   [--port P] [--dir D]      format, start a broker, wait until it is ready
  down [--port P] [--dir D]      end it; its data stays
  cli TOOL [ARGS]                run a tool: a short name (below) or a class name

P is 19092 (P+1 is the controller's), D is target/kafka/P; the broker's own output is D/broker.log";

const PORT: u16 = 19092;

/// `cargo xtask kafka ..`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!("which command?\n\n{USAGE}\n\n{}", tool::listing());
    };
    match command.as_str() {
        "up" => {
            let broker = chosen(rest)?;
            broker.up(&jars::ready()?)
        }
        "down" => chosen(rest)?.down(),
        "cli" => tool::run(&jars::ready()?, rest),
        other => bail!(
            "no command `kafka {other}`\n\n{USAGE}\n\n{}",
            tool::listing()
        ),
    }
}

fn chosen(arguments: &[String]) -> Result<Broker> {
    let mut port = PORT;
    let mut folder = None;
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--port" => {
                port = value
                    .parse()
                    .with_context(|| format!("`{value}` is no port"))?;
            }
            [name, value] if name == "--dir" => folder = Some(std::path::absolute(value)?),
            _ => bail!("expected --port P or --dir D, not `{}`", pair.join(" ")),
        }
    }
    let folder: PathBuf = folder.unwrap_or_else(|| folder_of_all().join(port.to_string()));
    Broker::new(port, folder)
}

/// Where jars and default broker folders lie.
fn folder_of_all() -> PathBuf {
    root().join("target/kafka")
}
