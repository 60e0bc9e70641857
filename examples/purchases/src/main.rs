//! A shop's history, processed exactly once on the embedded log or on Apache Kafka: totals per customer, month and week, the best
//! customers, and each purchase enriched with its customer's card. Not a library: everything here reaches Headwater by its facade.
//! Invariant: with the same input a log gives the same result, however often the job was run or killed over it.
#![allow(
    clippy::disallowed_methods,
    reason = "a program at the rim: it reads files, tells the time and waits"
)]

mod args;
mod date;
mod history;
mod job;
mod load;
mod model;
mod phases;
mod progress;
mod report;
mod summary;
mod topology;
mod watch;

use anyhow::Result;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(&args::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("purchases: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &args::Args) -> Result<()> {
    match job::run(args)? {
        Some(outcome) if args.json => println!("{}", serde_json::to_string_pretty(&outcome)?),
        Some(outcome) => print!("{}", report::text(&outcome)),
        None => eprintln!("purchases: stopped; the same command goes on where it stopped"),
    }
    Ok(())
}
