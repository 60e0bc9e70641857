//! Kafka Streams and we take over from each other: one side reads half of the input and ends, the other goes on in the same group, on
//! the same topics. Not a comparison of topologies: the corpus does that. Invariant: the result is that of Kafka Streams alone, and
//! Kafka's own clients write what is read and read what was written.

mod input;
pub(crate) mod java;
mod rows;
mod run;
mod together;

use headwater_broker::{Cluster, Options, has_streams_groups, is_usable};
use rows::Rows;
use run::{Bench, Terms};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Each kind of state has a changelog of its own format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count,
    Hopping,
    Tumbling,
    Session,
    OuterJoin,
    TableJoin,
    ForeignKeyJoin,
    Suppress,
}

const KINDS: &[Kind] = &[
    Kind::Count,
    Kind::Hopping,
    Kind::Tumbling,
    Kind::Session,
    Kind::OuterJoin,
    Kind::TableJoin,
    Kind::ForeignKeyJoin,
    Kind::Suppress,
];

impl Kind {
    /// The name of the topology in the Java program, and of our case file.
    fn name(self) -> &'static str {
        match self {
            Kind::Count => "count",
            Kind::Hopping => "hopping",
            Kind::Tumbling => "tumbling",
            Kind::Session => "session",
            Kind::OuterJoin => "outer_join",
            Kind::TableJoin => "table_join",
            Kind::ForeignKeyJoin => "foreign_key_join",
            Kind::Suppress => "suppress",
        }
    }

    fn has_two_inputs(self) -> bool {
        matches!(
            self,
            Kind::OuterJoin | Kind::TableJoin | Kind::ForeignKeyJoin
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Java,
    Ours,
}

/// So many take-overs at a time: most of each is waiting.
const AT_A_TIME: usize = 4;
const DIFFERENCES_SHOWN_MAX: usize = 12;

#[test]
fn every_kind_of_state_changes_hands_both_ways() {
    let terms = Terms {
        guarantee: "exactly_once_v2",
        group_protocol: "streams",
        is_killed: false,
    };
    stopped(KINDS, terms);
}

#[test]
#[ignore = "takes minutes: both guarantees, both group protocols"]
fn every_kind_of_state_changes_hands_on_all_terms() {
    all_terms(false, stopped);
}

#[test]
#[ignore = "takes minutes: both guarantees, both group protocols"]
fn every_kind_of_state_changes_hands_after_a_kill() {
    all_terms(true, killed);
}

fn all_terms(is_killed: bool, check: fn(&[Kind], Terms)) {
    for guarantee in ["exactly_once_v2", "at_least_once"] {
        for group_protocol in ["classic", "streams"] {
            let terms = Terms {
                guarantee,
                group_protocol,
                is_killed,
            };
            println!("{terms:?}");
            check(KINDS, terms);
        }
    }
}

/// Both ways for each kind, after an orderly stop. It must equal Kafka Streams taking over from Kafka Streams at the same place.
fn stopped(kinds: &[Kind], terms: Terms) {
    check(kinds, terms, |bench, (kind, first, second)| {
        bench.halves(kind, first, second, terms)
    });
}

/// Both ways for each kind, after a kill. Exactly once, it must equal Kafka Streams undisturbed; at least once, nothing is lost.
fn killed(kinds: &[Kind], terms: Terms) {
    check(kinds, terms, |bench, (kind, first, second)| {
        match (first, second) {
            (Side::Java, Side::Java) => bench.whole(kind, terms),
            _ => bench.killed(kind, first, second, terms),
        }
    });
}

type Job = (Kind, Side, Side);

/// Does the work for each kind: Kafka Streams alone, which is expected, and both ways.
fn check(
    kinds: &[Kind],
    terms: Terms,
    work: impl Fn(&Bench<'_>, Job) -> Result<Rows, String> + Sync,
) {
    const WHAT: &str = "take-over between Kafka Streams and us";
    let has_group = terms.group_protocol != "streams" || has_streams_groups(WHAT);
    if !has_group || !is_usable(WHAT) || !java::is_usable(WHAT) {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = Cluster::start(&options(terms)).expect("a broker starts");
    let bench = Bench::new(&cluster);
    let orders = [
        (Side::Java, Side::Java),
        (Side::Java, Side::Ours),
        (Side::Ours, Side::Java),
    ];
    let jobs: Vec<Job> = kinds
        .iter()
        .flat_map(|kind| orders.map(|(first, second)| (*kind, first, second)))
        .collect();
    let results = all(&jobs, |job| work(&bench, *job));
    let mut differences = Vec::new();
    for (jobs, results) in jobs.chunks(orders.len()).zip(results.chunks(orders.len())) {
        let expected = match &results[0] {
            Ok(expected) => expected,
            Err(error) => panic!("{:?}: {error}", jobs[0]),
        };
        assert!(expected.has_results(), "{:?}", jobs[0]);
        for (job, result) in jobs.iter().zip(results).skip(1) {
            let found = match result {
                Ok(found) if terms.is_killed && terms.guarantee == "at_least_once" => {
                    found.lost(expected, job.0)
                }
                Ok(found) => found.differences(expected),
                Err(error) => vec![error.clone()],
            };
            let found = found.iter().take(DIFFERENCES_SHOWN_MAX);
            differences.extend(found.map(|line| format!("{job:?}: {line}")));
        }
    }
    assert!(
        differences.is_empty(),
        "{terms:?}\n{}",
        differences.join("\n")
    );
}

/// Members are soon told what they get. Sessions are as long as ever where no member is killed: one that ends on a busy machine takes
/// the tasks away, and with them what Kafka Streams remembers of how far time has come.
fn options(terms: Terms) -> Options {
    let options = Options::default()
        .set("group.streams.min.heartbeat.interval.ms", 200)
        .set("group.streams.heartbeat.interval.ms", 300);
    match terms.is_killed {
        false => options,
        true => options
            .set("group.min.session.timeout.ms", 1_000)
            .set("group.streams.min.session.timeout.ms", 1_000)
            .set("group.streams.session.timeout.ms", 6_000),
    }
}

/// Does all jobs, some at a time; results in the order of the jobs.
fn all<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(number) else {
                        return;
                    };
                    let result = work(job);
                    done.lock().expect("no job panics").push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no job panics");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
