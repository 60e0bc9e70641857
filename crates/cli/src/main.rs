//! The `headwater` command: looks into the log of a directory or a Kafka cluster, and resets applications. Not a server, and no way to write records.
//! Invariant: reading commands take no lock and change nothing, so that they work beside a running application.
#![forbid(unsafe_code)]

mod args;
mod counting_disk;
mod data;
mod describe;
mod field;
mod groups;
mod holder;
mod lag;
mod place;
mod reset;
mod state;
mod table;
mod tail;
mod timestamp;
mod topics;
mod topology;
mod verify;

use anyhow::Result;
use args::{Args, Command};
use clap::Parser;
use place::Place;
use std::{
    io::{self, BufWriter, ErrorKind, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    let result = run(&args, &mut out);
    // What was found before a failure is shown before it.
    let flushed = out.flush().map_err(anyhow::Error::from);
    match result.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("{error:#}").replace('\n', " ");
            // Standard error may be closed too; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "headwater: {line}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args, out: &mut dyn Write) -> Result<()> {
    let (place, json) = (&Place::of(args)?, args.json);
    match &args.command {
        Command::Topics => topics::run(place, json, out),
        Command::Describe { topic } => describe::run(place, topic, json, out),
        Command::Tail(tail) => tail::run(place, tail, json, out),
        Command::Groups => groups::run(place, json, out),
        Command::Lag { group } => lag::run(place, group.as_deref(), json, out),
        Command::Topology { group } => topology::run(place, group, json, out),
        Command::State { group, ask } => state::run(place, group, ask, json, out),
        Command::Verify => verify::run(place, json, out),
        Command::Reset(reset) => reset::run(place, reset, json, out),
    }
}

/// The reader of our output has what it wants, as `head` does: that is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
