//! The yardsticks: jobs run at full size, each checked for its result, printed as one JSON line a run.
//! Not a test: nothing here fails because it is slow. Invariant: a run whose result is wrong prints no figure.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures real time on a real disk"
)]

mod count;
mod generate;
mod process;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Runs one yardstick.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Counts records by key on the embedded log, exactly once, state on disk, every commit synced.
    Count {
        /// Records in the input topic.
        #[arg(long, default_value_t = 3_000_000)]
        records: u64,
        /// Distinct keys.
        #[arg(long, default_value_t = 200_000)]
        keys: u64,
        /// Runs; the median is printed last.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Workers of the process.
        #[arg(long, default_value_t = 1)]
        workers: usize,
        /// Partitions of the input topic.
        #[arg(long, default_value_t = 4)]
        partitions: u32,
        /// `statestore.cache.max.bytes`.
        #[arg(long, default_value_t = 10 << 20)]
        cache_bytes: usize,
        /// State in memory instead of on disk.
        #[arg(long)]
        in_memory: bool,
        /// Where the log and the state go; emptied first.
        #[arg(long, default_value = "target/bench/count")]
        dir: PathBuf,
    },
}

fn main() -> Result<()> {
    match Args::parse().job {
        Job::Count { records, keys, runs, workers, partitions, cache_bytes, in_memory, dir } => {
            count::run(&count::Options { records, keys, runs, workers, partitions, cache_bytes, in_memory, dir })
        }
    }
}
