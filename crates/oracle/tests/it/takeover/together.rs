//! Windows and sessions counted by Kafka Streams and us in one group at the same time, exactly once, each instance replaced by one of the
//! other side under load. Not what a late record does: whoever takes a task over does not know how far time had come. Invariant: the same
//! input goes to Kafka Streams alone, and each record of the result is in both, as often and in the same order of its key.

use super::input::{Order, lines};
use super::rows::Rows;
use super::run::{Application, Bench, Terms};
use super::{DIFFERENCES_SHOWN_MAX, Kind};
use crate::instance::until;
use crate::rolling::{Instance, REPLACEMENTS, Side, start_cluster};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PARTITIONS: &str = "8";
/// More than are written; a prefix of an input is an input.
const LINES_MAX: u64 = 40_000;
/// Written at a time, by a producer of its own: so the input comes all the time.
const BURST: usize = 20;
const PAUSE: Duration = Duration::from_millis(25);
/// With the same instances, and at least so many records.
const STAGE: Duration = Duration::from_secs(8);
const STAGE_LINES_MIN: usize = 200;
const TERMS: Terms = Terms {
    guarantee: "exactly_once_v2",
    group_protocol: "streams",
    is_killed: false,
};

#[test]
fn java_and_ours_count_windows_and_sessions_together_as_java_alone() {
    let Some(_one) =
        crate::one_cluster_with_java("windows counted by Kafka Streams and us together")
    else {
        return;
    };
    let cluster = start_cluster();
    let bench = Bench::new(&cluster);
    for kind in [Kind::Hopping, Kind::Session] {
        let application = |partitions| bench.application(kind, TERMS, partitions);
        let both = application(PARTITIONS).expect("topics");
        let start = |application: &Application<'_>, side, number| {
            let what = (application.id.as_str(), kind.name());
            Instance::start(&cluster, &application.folder, what, side, number)
        };
        let mut fleet = vec![start(&both, Side::Java, 1), start(&both, Side::Java, 2)];
        let mut load = Load::new(kind);
        load.write_a_stage(&both);
        for (number, (place, side)) in REPLACEMENTS.into_iter().enumerate() {
            println!("{kind:?}: instance {place} becomes {side:?}");
            fleet[place].stop();
            fleet[place] = start(&both, side, 3 + number);
            load.write_a_stage(&both);
            fleet.iter_mut().for_each(Instance::must_live);
        }
        let found = drained(&both, fleet);

        let alone = application(PARTITIONS).expect("topics");
        let one = start(&alone, Side::Java, 1);
        alone.produce(load.written()).expect("Java writes");
        let expected = drained(&alone, vec![one]);
        found.must_equal(&expected);
        let (records, results) = (load.next, found.results());
        println!(
            "{kind:?}: {records} records, {results} results, three replacements: as Java alone"
        );
        assert!(results >= records, "each record has a result, or more");
    }
}

/// An input that is written bit by bit.
struct Load {
    lines: Vec<String>,
    next: usize,
}

impl Load {
    fn new(kind: Kind) -> Self {
        let lines = lines(kind, LINES_MAX, Order::ByTime, kind as u64);
        Self { lines, next: 0 }
    }

    fn write_a_stage(&mut self, application: &Application<'_>) {
        let (begun, first) = (Instant::now(), self.next);
        while begun.elapsed() < STAGE || self.next < first + STAGE_LINES_MIN {
            let burst = &self.lines[self.next..][..BURST];
            application.produce(burst).expect("Java writes");
            self.next += BURST;
            std::thread::sleep(PAUSE);
        }
    }

    fn written(&self) -> &[String] {
        &self.lines[..self.next]
    }
}

/// What the topics hold when all of the input is committed and the instances have ended.
fn drained(application: &Application<'_>, fleet: Vec<Instance>) -> Held {
    let lag = || application.lag();
    until("the end", || lag() == Ok(0), || format!("{:?}", lag()));
    for mut instance in fleet {
        instance.stop();
    }
    let dump = application.dump().expect("Java reads");
    Held::read(&dump, application)
}

/// A result: value, timestamp and headers.
type Row = [String; 3];

struct Held {
    /// Of each partition and key with its window, in order.
    out: BTreeMap<(String, String), Vec<Row>>,
    /// The changelogs' last values and the topics' settings, too.
    rows: Rows,
}

impl Held {
    fn read(dump: &str, application: &Application<'_>) -> Self {
        let out = format!("{}.out", application.id);
        let mut results: Vec<(String, u64, String, Row)> = Vec::new();
        for line in dump.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            if let [topic, partition, offset, key, value, ts, headers] = fields[..]
                && topic == out
            {
                let offset = offset.parse().expect("Java writes numbers");
                let row = [value, ts, headers].map(str::to_owned);
                results.push((partition.into(), offset, key.into(), row));
            }
        }
        results.sort();
        let mut out: BTreeMap<_, Vec<Row>> = BTreeMap::new();
        for (partition, _, key, row) in results {
            out.entry((partition, key)).or_default().push(row);
        }
        let is_killed = TERMS.is_killed;
        Self {
            out,
            rows: Rows::read(dump, &application.id, application.kind, is_killed),
        }
    }

    fn results(&self) -> usize {
        self.out.values().map(Vec::len).sum()
    }

    #[track_caller]
    fn must_equal(&self, expected: &Self) {
        let mut differences = self.rows.differences(&expected.rows);
        let keys = self.out.keys().chain(expected.out.keys());
        for key in keys.collect::<std::collections::BTreeSet<_>>() {
            let (found, expected) = (self.out.get(key), expected.out.get(key));
            if found != expected {
                differences.push(format!("{key:?}: found {found:?}, expected {expected:?}"));
            }
        }
        let count = differences.len();
        differences.truncate(DIFFERENCES_SHOWN_MAX);
        assert_eq!(count, 0, "{}", differences.join("\n"));
    }
}
