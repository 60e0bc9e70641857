//! The topologies of the jobs, by name. Not the running of them, and not the queries of Nexmark, which have their own place.
//! Invariant: operators, names and windows are those of `bench/java/StreamsYardstick.java`, in its order.

use crate::nexmark::query::{Query, Sources};
use anyhow::Result;
use clap::ValueEnum;
use headwater::{
    App, Data, JoinWindows, KStream, SessionWindows, Store, TimeWindows, Topic, Topology,
    session_windowed, windowed,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(5);
const SESSION_GAP: Duration = Duration::from_secs(1);
const SESSION_GRACE: Duration = Duration::from_secs(60);
const JOIN_DIFFERENCE: Duration = Duration::from_millis(500);
const JOIN_GRACE: Duration = Duration::from_secs(1);
/// Bytes that a join takes of each side.
const JOINED_BYTES: usize = 10;
/// Before the name of a query of Nexmark.
const NEXMARK: &str = "nexmark-";

/// A job by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamsJob {
    /// Values in capitals.
    Map,
    /// Records by key, state on disk.
    Count,
    /// As `Count`, state in memory.
    CountMemory,
    /// Records by key and window of 5 s.
    Window,
    /// Records by key and session, which ends after 1 s without one.
    Session,
    /// Words of lines, through a repartition topic.
    Words,
    /// Each record with the row of its key in a table, if there is one.
    Join,
    /// Records of two streams that are at most 500 ms apart.
    StreamJoin,
    /// Rows of two tables.
    TableJoin,
    /// The last value of each key; with a record cache of no bytes each record is written out.
    Latest,
    /// As `Count`, until its tasks run.
    Start,
    /// As `Start`, over a changelog that is there, with its time taken.
    Restore,
    /// A query over auctions, over the topics of their events.
    #[value(skip)]
    Nexmark(Query),
}

/// Records seen, and when the first came.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<(AtomicU64, OnceLock<Instant>)>);

impl Seen {
    fn see(&self) {
        if self.0.0.fetch_add(1, Ordering::Relaxed) == 0 {
            self.0.1.get_or_init(Instant::now);
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.0.1.get().copied()
    }
}

/// Where a job reads.
pub(crate) struct Inputs<'a> {
    pub(crate) input: &'a str,
    pub(crate) second: &'a str,
}

impl StreamsJob {
    /// By its name on the command line: its own, or that of a query after "nexmark-".
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name.strip_prefix(NEXMARK) {
            Some(query) => <Query as ValueEnum>::from_str(query, false).map(Self::Nexmark),
            None => <Self as ValueEnum>::from_str(name, false),
        }
    }

    /// Whether it is over as soon as its tasks run.
    pub(super) fn starts_only(self) -> bool {
        matches!(self, Self::Start | Self::Restore)
    }

    /// Whether it is over when it is told so, by the end of standard input: records that it has seen may still lie in topics
    /// of its own.
    pub(super) fn is_told(self) -> bool {
        matches!(self, Self::Nexmark(_))
    }

    pub(crate) fn topology(
        self,
        application: &str,
        inputs: &Inputs<'_>,
        seen: &Seen,
    ) -> Result<Topology> {
        let output = format!("{application}-out");
        if let Self::Nexmark(query) = self {
            let seen = seen.clone();
            let sources = Sources {
                see: Some(Arc::new(move || seen.see())),
            };
            return query.topology(application, &output, &sources);
        }
        let app = App::new(application);
        let stream = app.stream::<String, String>(inputs.input);
        match self {
            Self::Map => {
                tapped(stream.map_values(|value| value.to_uppercase()), seen).to(output.as_str());
            }
            Self::Words => words(stream, seen, &output),
            Self::Join => {
                let rows =
                    tapped(app.stream::<String, String>(inputs.second), seen).to_table("rows");
                tapped(stream, seen)
                    .left_join(rows, |left, right| {
                        joined(left, right.map_or("", String::as_str))
                    })
                    .to(output.as_str());
            }
            Self::StreamJoin => {
                let others = tapped(app.stream::<String, String>(inputs.second), seen);
                let windows = JoinWindows::of(JOIN_DIFFERENCE).grace(JOIN_GRACE);
                tapped(stream, seen)
                    .join(others.within(windows), |left, right| joined(left, right))
                    .to(output.as_str());
            }
            Self::TableJoin => {
                let lefts = tapped(stream, seen).to_table("lefts");
                let rights = tapped(app.stream::<String, String>(inputs.second), seen);
                lefts
                    .join(rights.to_table("rights"), |left, right| joined(left, right))
                    .to_stream()
                    .to(output.as_str());
            }
            _ => self.aggregate(tapped(stream, seen), &output),
        }
        Ok(app.build()?)
    }

    /// Those that only group by the key that is there.
    fn aggregate(self, stream: KStream<'_, String, String>, output: &str) {
        let grouped = stream.group_by_key();
        match self {
            Self::Window => grouped
                .windowed_by(TimeWindows::of(WINDOW))
                .count("counts")
                .to_stream()
                .to(Topic::named(output).keys(windowed(String::format(), WINDOW))),
            Self::Session => grouped
                .windowed_by(SessionWindows::of(SESSION_GAP).grace(SESSION_GRACE))
                .count("counts")
                .to_stream()
                .to(Topic::named(output).keys(session_windowed(String::format()))),
            Self::Latest => grouped
                .reduce(|_, now| now.clone(), "latest")
                .to_stream()
                .to(output),
            Self::CountMemory => grouped
                .count(Store::<String, u64>::from("counts").in_memory())
                .to_stream()
                .to(output),
            _ => grouped.count("counts").to_stream().to(output),
        }
    }
}

fn tapped<'a>(stream: KStream<'a, String, String>, seen: &Seen) -> KStream<'a, String, String> {
    let seen = seen.clone();
    stream.peek(move |_, _| seen.see())
}

fn words(lines: KStream<'_, String, String>, seen: &Seen, output: &str) {
    let words = lines
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .select_key(|_, word| word.clone())
        .repartition("words");
    tapped(words, seen)
        .group_by_key()
        .count("counts")
        .to_stream()
        .to(output);
}

fn joined(left: &str, right: &str) -> String {
    let start = |text| str::get(text, ..JOINED_BYTES).unwrap_or(text);
    [start(left), start(right)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_known_by_its_name_and_a_query_by_its_own_behind_that_of_nexmark() {
        assert_eq!(StreamsJob::named("words"), Ok(StreamsJob::Words));
        let query = StreamsJob::named("nexmark-q5");
        assert_eq!(query, Ok(StreamsJob::Nexmark(Query::Q5)));
        for unknown in ["q5", "nexmark", "nexmark-", "nexmark-q10", "nexmark-words"] {
            assert!(StreamsJob::named(unknown).is_err(), "{unknown}");
        }
    }
}
