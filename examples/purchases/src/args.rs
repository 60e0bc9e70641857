//! The command line. Not the settings of Headwater: the job makes those from it.
//! Invariant: every argument has a default, so that the job runs without any.

use clap::Parser;
use std::path::PathBuf;

/// Processes a shop's history of purchases exactly once and prints what it came to.
///
/// The purchases are appended to a log in a directory, or to Apache Kafka, and processed from there. Run again over the same log the
/// job goes on where it stopped: nothing is appended or counted twice. Remove the directory to begin anew; on Kafka, reset the
/// application and delete its topics.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Purchases to read, as text or gzip in the columns of CDNOW_master.txt [default: the 69,659 that the binary carries].
    /// Another file over the same directory adds to what is there.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Where log and state live.
    #[arg(long, value_name = "DIR", default_value = "./data/purchases")]
    pub(crate) data: PathBuf,
    /// Apache Kafka to use as the log; only the state is in the directory then.
    #[arg(long, value_name = "HOST:PORT,..")]
    pub(crate) kafka: Option<String>,
    /// Appends the history so many times, each two years after the one before.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: u32,
    /// How often what was processed is committed.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) commit_interval_ms: u64,
    /// Threads that process.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: u16,
    /// Bytes of updates held back so that only the last of each row is sent on with a commit.
    #[arg(long, value_name = "N", default_value_t = 10 << 20)]
    pub(crate) cache_bytes: usize,
    /// Prints the result as one JSON document; all but its "run" depends on the input alone.
    #[arg(long)]
    pub(crate) json: bool,
    /// Appends a line for each phase the job enters, for tests that kill it.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) phases: Option<PathBuf>,
    /// How often state is written to disk, for tests that kill it.
    #[arg(long, value_name = "N", hide = true, default_value_t = 10_000)]
    pub(crate) checkpoint_interval_ms: u64,
}
