//! The arguments of the command line. Not what is done with them.
//! Invariant: what clap accepts is well-formed; whether a topic, a group or a file exists is found out later.

use crate::timestamp;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Looks into the log of a Headwater application, also while it runs: a directory, or Apache Kafka with applications of Headwater
/// and of Kafka Streams.
#[derive(Parser)]
#[command(name = "headwater", version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// The directory of the log [default: ./data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Apache Kafka as the log, instead of a directory
    #[arg(long, global = true, value_name = "HOST:PORT,..")]
    pub(crate) kafka: Option<String>,
    /// Settings of the Kafka client by Kafka's names, such as security.protocol, in a file as Java reads it
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
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
    /// Show what a group runs: its sub-topologies, their sources and internal topics (Kafka only)
    Topology {
        /// The group, which is the application id
        group: String,
    },
    /// Show the tasks of a group: who has them in which role, where they are, how far their stores have come, what is to come
    /// (Kafka only)
    State {
        /// The group, which is the application id
        group: String,
        /// Instances that are asked for their own figures, beside those whose application.server the group names
        #[arg(long, value_name = "HOST:PORT,..", value_delimiter = ',')]
        ask: Vec<String>,
    },
    /// Check every checksum and offset (directories only)
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

/// Where input topics continue after a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Earliest,
    Latest,
    Offset(i64),
    Time(i64),
    /// So many ms before the reset.
    Ago(i64),
    Shift(i64),
    /// A file with an offset for each partition.
    File(PathBuf),
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
    /// Where its input topics continue: earliest, latest, offset:N, time:MS or time:YYYY-MM-DDThh:mm:ss.sss, duration:PnDTnHnMnS
    /// (ago), shift:N (from the committed position), file:CSV (lines TOPIC,PARTITION,OFFSET)
    #[arg(long, default_value = "earliest", value_parser = to)]
    pub(crate) to: To,
    /// The input topics to set, with all partitions; all that it has committed without it
    #[arg(long, value_name = "TOPIC,..", value_delimiter = ',')]
    pub(crate) input_topics: Option<Vec<String>>,
    /// Topics of yours that it both writes and reads: they continue at their ends
    #[arg(long, value_name = "TOPIC,..", value_delimiter = ',')]
    pub(crate) intermediate_topics: Vec<String>,
    /// Of its internal topics delete only these
    #[arg(long, value_name = "TOPIC,..", value_delimiter = ',')]
    pub(crate) internal_topics: Option<Vec<String>>,
    /// The state directory of the application; DATA/state without it, and on Kafka none
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Put out the members that the group still has: those that died and whose session is long (Kafka only)
    #[arg(long)]
    pub(crate) force: bool,
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

fn to(text: &str) -> Result<To, String> {
    let number = |text: &str| text.parse::<i64>().ok();
    let parsed = match (text, text.split_once(':')) {
        ("earliest", _) => Some(To::Earliest),
        ("latest", _) => Some(To::Latest),
        (_, Some(("time", time))) => number(time)
            .or_else(|| timestamp::parse(time))
            .map(To::Time),
        (_, Some(("duration", duration))) => timestamp::parse_duration_ms(duration).map(To::Ago),
        (_, Some(("offset", offset))) => number(offset).map(To::Offset),
        (_, Some(("shift", count))) => number(count).map(To::Shift),
        (_, Some(("file", path))) => Some(To::File(path.into())),
        _ => None,
    };
    parsed.ok_or_else(|| {
        "use earliest, latest, offset:N, time:MS, time:YYYY-MM-DDThh:mm:ss.sss, duration:PnDTnHnMnS, shift:N or file:CSV"
            .into()
    })
}
