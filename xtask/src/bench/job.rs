//! The jobs, by their names on the command line: what each reads, who does it, how its output is judged.
//! Not the doing. Invariant: all who do a job read the same input under the same settings.

use super::input::Input;

/// Who does a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Headwater,
    KafkaStreams,
    /// As `KafkaStreams`, behind the leanest REST layer instead of the usual one.
    KafkaStreamsJetty,
    JavaClient,
    /// Through kcat, where it is installed.
    Librdkafka,
    /// A loop of librdkafka in C that reads, writes and commits, where it can be compiled.
    LibrdkafkaLoop,
    /// Sockets and a hash map: what the job costs without a framework, a transaction or a state on disk.
    Floor,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A topology, until it has seen its input; by its name in both programs.
    Topology(&'static str),
    /// A topology with topics of its own that cannot be counted, until everything in its inputs and in these is read and committed.
    Drain(&'static str),
    /// A state from its changelog.
    Restore,
    /// From the start of the process until all tasks run.
    Start,
    /// From a record's being written to its result's being visible, at a fixed rate.
    Latency,
    /// Answers for counts that change, by two instances.
    Query,
    /// Reading alone.
    Consume,
    /// Writing alone.
    Produce,
    /// Counting by the floor.
    Limit,
}

/// How an output is judged, besides being the same whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A record for each of the input, all of them the same.
    EachRecord,
    /// The same records, however many.
    AllRecords,
    /// The last value of each key; they add up to the input's records.
    Counts,
    /// The last value of each key.
    Rows,
    /// By the work itself.
    ByWork,
}

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: &'static str,
    pub(super) purpose: &'static str,
    pub(super) work: Work,
    pub(super) input: &'static Input,
    pub(super) second: Option<&'static Input>,
    /// Read whole by every process before all else, and neither counted nor committed.
    pub(super) global: Option<&'static Input>,
    pub(super) verdict: Verdict,
    pub(super) is_exactly_once: bool,
    /// Ours commits when it is idle. Kafka Streams has nothing like it and waits for the interval, which is the same for both.
    pub(super) is_idle_committed: bool,
    /// Bytes of all that ours may keep of its stores in memory, instead of the default. Kafka Streams keeps RocksDB's defaults,
    /// which are more: 50 MB of blocks and up to 48 MB of unwritten rows for each of the stores.
    pub(super) stores_bytes_max: Option<u64>,
    /// Whether it runs unless it is named.
    pub(super) by_default: bool,
}

/// Rows of `count-10m`: keys of 8 bytes, values of 8 with a timestamp of 8.
const STATE_10M_BYTES: u64 = 10_000_000 * 24;

/// By which a table row is made; most jobs differ from it in little.
const COUNT: Job = Job {
    name: "count",
    purpose: "records by key, state on disk",
    work: Work::Topology("count"),
    input: &Input::EVENTS,
    second: None,
    global: None,
    verdict: Verdict::Counts,
    is_exactly_once: true,
    is_idle_committed: false,
    stores_bytes_max: None,
    by_default: true,
};

/// A query of Nexmark; the queries differ by what they read.
const NEXMARK_Q0: Job = Job {
    name: "nexmark-q0",
    purpose: "bids as they are",
    work: Work::Drain("nexmark-q0"),
    input: &Input::BIDS,
    verdict: Verdict::EachRecord,
    by_default: false,
    ..COUNT
};
/// Names all jobs that begin so.
pub(super) const NEXMARK: &str = "nexmark";

/// A job is added here and nowhere else, if its topology is known to both programs.
pub(super) const JOBS: &[Job] = &[
    Job {
        name: "map",
        purpose: "values in capitals",
        work: Work::Topology("map"),
        verdict: Verdict::EachRecord,
        ..COUNT
    },
    Job {
        name: "map-at-least-once",
        purpose: "as map, at least once",
        work: Work::Topology("map"),
        verdict: Verdict::EachRecord,
        is_exactly_once: false,
        ..COUNT
    },
    COUNT,
    Job {
        name: "count-memory",
        purpose: "as count, state in memory",
        work: Work::Topology("count-memory"),
        ..COUNT
    },
    Job {
        name: "limit",
        purpose: "as count, by sockets and a hash map: no framework, no transaction, no state on disk",
        work: Work::Limit,
        is_exactly_once: false,
        ..COUNT
    },
    Job {
        name: "window",
        purpose: "records by key and tumbling window of 5 s",
        work: Work::Topology("window"),
        ..COUNT
    },
    Job {
        name: "session",
        purpose: "records by key and session, gap 1 s",
        work: Work::Topology("session"),
        input: &Input::EVENTS_HALF,
        ..COUNT
    },
    Job {
        name: "words",
        purpose: "words of lines by word, through a repartition topic",
        work: Work::Topology("words"),
        input: &Input::LINES,
        ..COUNT
    },
    Job {
        name: "join",
        purpose: "a stream with a table, left",
        work: Work::Topology("join"),
        input: &Input::EVENTS_HALF,
        second: Some(&Input::PROFILES),
        verdict: Verdict::EachRecord,
        ..COUNT
    },
    Job {
        name: "stream-join",
        purpose: "two streams, at most 500 ms apart",
        work: Work::Topology("stream-join"),
        input: &Input::EVENTS_HALF,
        second: Some(&Input::CLICKS),
        verdict: Verdict::AllRecords,
        ..COUNT
    },
    Job {
        name: "table-join",
        purpose: "two tables",
        work: Work::Topology("table-join"),
        input: &Input::EVENTS_HALF,
        second: Some(&Input::PROFILES),
        verdict: Verdict::Rows,
        ..COUNT
    },
    Job {
        name: "restore",
        purpose: "the state of count from its changelog, onto an empty disk",
        work: Work::Restore,
        verdict: Verdict::ByWork,
        ..COUNT
    },
    Job {
        name: "start",
        purpose: "from the start of the process until all tasks run, of an application that is new",
        work: Work::Start,
        input: &Input::NOTHING,
        verdict: Verdict::ByWork,
        ..COUNT
    },
    Job {
        name: "latency",
        purpose: "from writing a record to seeing its result committed, exactly once",
        work: Work::Latency,
        input: &Input::NOTHING,
        verdict: Verdict::ByWork,
        ..COUNT
    },
    Job {
        name: "latency-idle",
        purpose: "as latency, at the same interval, ours with commit when idle, which Kafka Streams does not have",
        work: Work::Latency,
        input: &Input::NOTHING,
        verdict: Verdict::ByWork,
        is_idle_committed: true,
        ..COUNT
    },
    Job {
        name: "latency-at-least-once",
        purpose: "from writing a record to seeing its result, at least once",
        work: Work::Latency,
        input: &Input::NOTHING,
        verdict: Verdict::ByWork,
        is_exactly_once: false,
        ..COUNT
    },
    Job {
        name: "query",
        purpose: "gets of counts over HTTP while records are counted: local, forwarded, mixed",
        work: Work::Query,
        input: &Input::NOTHING,
        verdict: Verdict::ByWork,
        ..COUNT
    },
    Job {
        name: "count-lz4",
        purpose: "as count, input compressed by lz4",
        input: &Input::EVENTS_LZ4,
        ..COUNT
    },
    Job {
        name: "count-zstd",
        purpose: "as count, input compressed by zstd",
        input: &Input::EVENTS_ZSTD,
        ..COUNT
    },
    Job {
        name: "count-1kb",
        purpose: "as count, values of 1 KB",
        input: &Input::EVENTS_1KB,
        ..COUNT
    },
    Job {
        name: "count-10m",
        purpose: "as count, 10 million keys; what ours keeps of the state in memory is a quarter of it",
        input: &Input::EVENTS_10M,
        stores_bytes_max: Some(STATE_10M_BYTES / 4),
        by_default: false,
        ..COUNT
    },
    Job {
        name: "consume",
        purpose: "reading alone",
        work: Work::Consume,
        verdict: Verdict::ByWork,
        by_default: false,
        ..COUNT
    },
    Job {
        name: "produce",
        purpose: "writing alone, idempotent, acknowledged by all replicas",
        work: Work::Produce,
        verdict: Verdict::ByWork,
        by_default: false,
        ..COUNT
    },
    NEXMARK_Q0,
    Job {
        name: "nexmark-q1",
        purpose: "prices of bids in euros",
        work: Work::Drain("nexmark-q1"),
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q2",
        purpose: "bids for some auctions",
        work: Work::Drain("nexmark-q2"),
        verdict: Verdict::AllRecords,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q3",
        purpose: "who sells in some states: two tables by a foreign key",
        work: Work::Drain("nexmark-q3"),
        input: &Input::AUCTIONS,
        second: Some(&Input::PERSONS),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q4",
        purpose: "average winning price of each category",
        work: Work::Drain("nexmark-q4"),
        second: Some(&Input::AUCTIONS),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q5",
        purpose: "auctions with the most bids of each hopping window",
        work: Work::Drain("nexmark-q5"),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q6",
        purpose: "average winning price of each seller's last ten auctions",
        work: Work::Drain("nexmark-q6"),
        second: Some(&Input::AUCTIONS),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q7",
        purpose: "highest bid of each window",
        work: Work::Drain("nexmark-q7"),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q8",
        purpose: "who opened an auction in the window in which they came",
        work: Work::Drain("nexmark-q8"),
        input: &Input::AUCTIONS,
        second: Some(&Input::PERSONS),
        verdict: Verdict::AllRecords,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q9",
        purpose: "winning bid of each auction, with the auction",
        work: Work::Drain("nexmark-q9"),
        second: Some(&Input::AUCTIONS),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q11",
        purpose: "bids of each bidder by session, gap 10 s",
        work: Work::Drain("nexmark-q11"),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q13",
        purpose: "bids with what a global table has for their auction",
        work: Work::Drain("nexmark-q13"),
        global: Some(&Input::LABELS),
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q14",
        purpose: "bids between two prices, reckoned and classed",
        work: Work::Drain("nexmark-q14"),
        verdict: Verdict::AllRecords,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q15",
        purpose: "bids, distinct bidders and auctions of each day, at three levels of price",
        work: Work::Drain("nexmark-q15"),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q16",
        purpose: "as q15, of each channel and day",
        work: Work::Drain("nexmark-q16"),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q17",
        purpose: "prices of each auction and day",
        work: Work::Drain("nexmark-q17"),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q18",
        purpose: "last bid of each bidder for each auction",
        work: Work::Drain("nexmark-q18"),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q19",
        purpose: "ten highest bids for each auction",
        work: Work::Drain("nexmark-q19"),
        verdict: Verdict::Rows,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q20",
        purpose: "bids for auctions of a category, with the auction",
        work: Work::Drain("nexmark-q20"),
        second: Some(&Input::AUCTIONS),
        verdict: Verdict::AllRecords,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q21",
        purpose: "bids with the id of their channel, out of their url",
        work: Work::Drain("nexmark-q21"),
        verdict: Verdict::AllRecords,
        ..NEXMARK_Q0
    },
    Job {
        name: "nexmark-q22",
        purpose: "bids with the directories of their url",
        work: Work::Drain("nexmark-q22"),
        ..NEXMARK_Q0
    },
];

impl Job {
    /// Who can do it, ours first.
    pub(super) fn systems(&self) -> &'static [System] {
        match self.work {
            Work::Limit => &[System::Floor],
            Work::Query => &[
                System::Headwater,
                System::KafkaStreams,
                System::KafkaStreamsJetty,
            ],
            Work::Consume | Work::Produce => {
                &[System::Headwater, System::JavaClient, System::Librdkafka]
            }
            Work::Topology("map") => &[
                System::Headwater,
                System::KafkaStreams,
                System::LibrdkafkaLoop,
            ],
            _ => &[System::Headwater, System::KafkaStreams],
        }
    }

    /// `processing.guarantee`.
    pub(super) fn guarantee(&self) -> &'static str {
        match self.is_exactly_once {
            true => "exactly_once_v2",
            false => "at_least_once",
        }
    }

    /// All that it reads as its records come.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &'static Input> {
        [Some(self.input), self.second].into_iter().flatten()
    }
}

impl System {
    /// As rows of tables are called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Headwater => "headwater",
            Self::KafkaStreams => "kafka-streams",
            Self::KafkaStreamsJetty => "kafka-streams-jetty",
            Self::JavaClient => "java-client",
            Self::Librdkafka => "librdkafka-kcat",
            Self::LibrdkafkaLoop => "librdkafka-loop",
            Self::Floor => "floor",
        }
    }
}
