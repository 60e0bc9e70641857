//! The yardsticks "parked-gets" and "watches": the release program of the example `orders`, all services on the embedded log, with
//! many clients at its HTTP interface. Not the example, which is a process of its own, so that nothing of its clients is counted.
//! Invariant: a figure is only printed when every client has heard of every event that it waited for.

mod counter;
mod events;
mod parked;
mod program;
mod watches;

use crate::report::{Figures, Report};
use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What the clients do.
#[derive(Subcommand)]
pub(crate) enum Job {
    /// GETs that wait for orders which do not exist yet: memory while they wait, then how soon each is answered.
    ParkedGets(parked::Options),
    /// Server-sent events of the whole table of orders: memory of a watch, events a second.
    Watches(watches::Options),
}

/// What is asked.
#[derive(Args)]
pub(crate) struct Place {
    /// The program, as `cargo build --release -p orders` makes it.
    #[arg(long, default_value = "target/release/orders")]
    program: PathBuf,
    /// Where its log and state go; emptied first.
    #[arg(long, default_value = "target/bench/shop")]
    dir: PathBuf,
    /// Runs, each with a program of its own; the table shows their median.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

impl Place {
    /// Runs `one` as often as is told, and prints a line for each run and a table.
    fn report(
        &self,
        job: &'static str,
        title: String,
        one: impl Fn() -> Result<Figures>,
    ) -> Result<()> {
        let mut report = Report::new(job, title);
        for _ in 0..self.runs {
            report.add(one()?)?;
        }
        report.print(&[]);
        Ok(())
    }
}

/// Runs it.
pub(crate) fn run(job: &Job) -> Result<()> {
    match job {
        Job::ParkedGets(options) => parked::run(options),
        Job::Watches(options) => watches::run(options),
    }
}
