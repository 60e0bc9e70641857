//! The yardsticks: jobs run at full size, each checked for its result, printed as one JSON line a run and a table.
//! Not a test: nothing here fails because it is slow. Invariant: a run whose result is wrong prints no figure.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time on a real disk"
)]

mod batches;
mod count;
mod engine;
mod generate;
mod growth;
mod hot;
mod http;
mod image;
mod kafka;
mod nexmark;
mod process;
mod reference;
mod report;
mod restore;
mod shop;
mod wait;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Runs one yardstick.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Counts records by key on the embedded log, exactly once, state on disk, every commit synced.
    Count(count::Options),
    /// Loads a compacted topic into a table in memory and serves it: time until every row is readable, reads per second.
    MemoryImage(image::Options),
    /// Restores a store on disk from its changelog.
    Restore(restore::Options),
    /// One point of a growth curve: a count of any size and shape; `cargo xtask bench growth` draws the curves.
    Growth(growth::Options),
    /// Queries of Nexmark over auctions, each checked against a plain fold over the same events.
    Nexmark(nexmark::Options),
    /// A task alone: decode, four operators, a count in a store in memory, encode. No log and no worker.
    Engine(engine::Options),
    /// One run of a job on Apache Kafka; `cargo xtask bench kafka` runs and judges all of them beside other systems.
    #[command(subcommand)]
    Kafka(kafka::Job),
    /// The example `orders` as a program, with thousands of clients that wait for orders, or watch them.
    #[command(subcommand)]
    Shop(shop::Job),
    /// Repeats one hot path without clock, disk or threads, for `cargo xtask guard` to count its instructions.
    Hot(hot::Options),
}

fn main() -> Result<()> {
    match Args::parse().job {
        Job::Count(options) => count::run(&options),
        Job::MemoryImage(options) => image::run(&options),
        Job::Restore(options) => restore::run(&options),
        Job::Growth(options) => growth::run(&options),
        Job::Nexmark(options) => nexmark::run(&options),
        Job::Engine(options) => engine::run(&options),
        Job::Kafka(job) => kafka::run(&job),
        Job::Shop(job) => shop::run(&job),
        Job::Hot(options) => hot::run(&options),
    }
}
