//! The arguments of the command line. Not what is done with them.
//! Invariant: what clap accepts is well-formed; whether a topic or group exists is found out later.

use clap::{Parser, Subcommand, ValueEnum};
use headwater::ResetTo;
use std::path::PathBuf;

/// Looks into the log of a Headwater application, also while it runs.
#[derive(Parser)]
#[command(name = "headwater", version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// The directory of the log
    #[arg(long, global = true, default_value = "./data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the topics
    Topics,
    /// Show a topic: its partitions, files and settings
    Describe {
        /// The topic
        topic: String,
    },
    /// Print records of a topic, merged by timestamp
    Tail(Tail),
    /// List the groups and what they have committed
    Groups,
    /// Show how far groups are behind, by partition
    Lag {
        /// The group, which is the application id; all without it
        group: Option<String>,
    },
    /// Check every checksum and offset
    Verify,
    /// Let an application begin anew: positions, internal topics, state
    Reset(Reset),
}

#[derive(clap::Args)]
pub(crate) struct Tail {
    /// The topic
    pub(crate) topic: String,
    /// Only this partition
    #[arg(long, value_name = "P")]
    pub(crate) partition: Option<u32>,
    /// Where to begin: start, end, an OFFSET, time:MS, or -N for the last N offsets of each partition
    #[arg(long, default_value = "-10", allow_hyphen_values = true, value_parser = from)]
    pub(crate) from: From,
    /// End after so many records
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Wait for more records
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How keys are shown
    #[arg(long, value_enum, default_value = "auto", value_name = "FORMAT")]
    pub(crate) keys: Format,
    /// How values are shown
    #[arg(long, value_enum, default_value = "auto", value_name = "FORMAT")]
    pub(crate) values: Format,
}

/// Where `tail` begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    End,
    Offset(i64),
    Time(i64),
    Last(i64),
}

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text where it is printable, 8 bytes as a signed number, everything else in hex
    Auto,
    /// UTF-8 text
    String,
    /// JSON, in one line
    Json,
    /// 8 bytes, big-endian, signed
    I64,
    /// 8 bytes, big-endian, unsigned
    U64,
    /// Hexadecimal digits
    Hex,
}

#[derive(clap::Args)]
pub(crate) struct Reset {
    /// The application id
    pub(crate) application: String,
    /// Where its input topics continue: earliest, latest, time:MS, offset:N
    #[arg(long, default_value = "earliest", value_parser = reset_to)]
    pub(crate) to: ResetTo,
    /// The state directory of the application, if it is not DATA/state
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Only print the plan
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

fn from(text: &str) -> Result<From, String> {
    let number = |text: &str| text.parse::<i64>().ok();
    let parsed = match text {
        "start" => Some(From::Start),
        "end" => Some(From::End),
        _ => match (text.strip_prefix("time:"), text.strip_prefix('-')) {
            (Some(time), _) => number(time).map(From::Time),
            (_, Some(last)) => number(last).filter(|last| *last >= 0).map(From::Last),
            _ => number(text).map(From::Offset),
        },
    };
    parsed.ok_or_else(|| "use start, end, an offset, time:MS or -N".into())
}

fn reset_to(text: &str) -> Result<ResetTo, String> {
    let number = |text: &str| text.parse::<i64>().ok();
    let parsed = match (text, text.split_once(':')) {
        ("earliest", _) => Some(ResetTo::Earliest),
        ("latest", _) => Some(ResetTo::Latest),
        (_, Some(("time", time))) => number(time).map(ResetTo::Time),
        (_, Some(("offset", offset))) => number(offset).map(ResetTo::Offset),
        _ => None,
    };
    parsed.ok_or_else(|| "use earliest, latest, time:MS or offset:N".into())
}
