//! Kafka Streams and we take over from each other: half of a case's input, then the other side goes on in the same group, on the same
//! topics. Not a comparison of topologies: the corpus does that. Invariant: the result is that of Kafka Streams on both halves, as its
//! own program reads it.

use headwater_broker::{Cluster, Options, is_usable};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Changes hands after each kind of state that has a changelog of its own format.
const CASES: &[&str] = &[
    "agg_count",
    "fk_join_inner",
    "session_count",
    "stream_stream_outer",
    "suppress_window_closes",
    "table_table_outer",
    "window_hopping",
];

/// Seconds for one half of one case; Java takes a few to start.
const RUN_S_MAX: &str = "120";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Java,
    Ours,
}

#[test]
fn a_count_changes_hands_both_ways() {
    check(&["agg_count"]);
}

#[test]
#[ignore = "takes minutes: every kind of state, both ways"]
fn every_kind_of_state_changes_hands_both_ways() {
    check(CASES);
}

fn check(cases: &[&str]) {
    let Some(judge) = judge() else {
        return;
    };
    let _one = crate::one_cluster_at_a_time();
    // The judge's members wait for nothing, and a member that has gone is soon known to have gone.
    let cluster = Cluster::start(&Options::default()).expect("a broker starts");
    let mut differences = Vec::new();
    for case in cases {
        let file = folder().join(format!("cases/{case}.json"));
        assert!(file.exists(), "no case {case}");
        let run = |first, second| Run::new(&judge, &cluster, &file).halves(first, second);
        let expected = run(Side::Java, Side::Java);
        for (first, second) in [(Side::Java, Side::Ours), (Side::Ours, Side::Java)] {
            let found = run(first, second);
            if found != expected {
                differences.push(format!(
                    "{case}, {first:?} then {second:?}:\n  found    {found:?}\n  expected {expected:?}"
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

/// The program of Kafka Streams; `None`, loudly, where it or Java is missing.
fn judge() -> Option<PathBuf> {
    if !is_usable("take-over between Kafka Streams and us") {
        return None;
    }
    let program = folder().join("../../../shared/oracle/oracle");
    if !program.exists() {
        eprintln!("SKIPPED: Kafka Streams' judge is not at ../shared/oracle");
        return None;
    }
    Some(program)
}

struct Run<'a> {
    judge: &'a Path,
    servers: String,
    case: &'a Path,
    state: tempfile::TempDir,
    application_id: String,
}

/// Rows of each topic: key, value, and for sinks of joins how often.
type Rows = BTreeMap<String, BTreeMap<String, usize>>;

impl<'a> Run<'a> {
    fn new(judge: &'a Path, cluster: &Cluster, case: &'a Path) -> Self {
        Self {
            judge,
            servers: cluster.bootstrap(),
            case,
            state: tempfile::tempdir().expect("a folder for state"),
            application_id: "takeover".into(),
        }
    }

    fn halves(&self, first: Side, second: Side) -> Rows {
        let text = std::fs::read_to_string(self.case).expect("a case");
        let case: Value = serde_json::from_str(&text).expect("a case is JSON");
        let inputs = case["input"].as_array().map_or(0, Vec::len);
        let half = (inputs / 2).to_string();
        self.judged("topics", &["--partitions", "2"], true);
        self.judged("produce", &["--to", &half], true);
        self.run(first);
        self.judged("produce", &["--from", &half], true);
        self.run(second);
        let id = ["--application-id", &self.application_id];
        let case = self.case.display().to_string();
        let all = [&id[..], &["--case", &case, "--compacted"]].concat();
        let tables = self.judged("dump", &all, false);
        let sinks = self.judged("dump", &["--case", &case], false);
        self.judged("drop", &[&id[..], &["--case", &case]].concat(), false);
        let mut rows = Rows::new();
        for line in tables.lines() {
            collect(line, "", &mut rows);
        }
        if self.case.to_string_lossy().contains("stream_stream") {
            for line in sinks.lines() {
                collect(line, "all of ", &mut rows);
            }
        }
        rows
    }

    fn run(&self, side: Side) {
        let state = self.state.path().join(format!("{side:?}"));
        let state = state.display().to_string();
        let case = self.case.display().to_string();
        let mut command = match side {
            Side::Java => Command::new(self.judge),
            Side::Ours => Command::new(env!("CARGO_BIN_EXE_headwater-oracle")),
        };
        command.args(["live", "run", &case, "--kafka", &self.servers]);
        command.args(["--application-id", &self.application_id]);
        command.args(["--state-dir", &state, "--to-end", "--seconds", RUN_S_MAX]);
        command.args(["--guarantee", "exactly_once_v2"]);
        command.args(["--group-protocol", "streams"]);
        output(&mut command);
    }

    fn judged(&self, command: &str, arguments: &[&str], names_case: bool) -> String {
        let mut judge = Command::new(self.judge);
        judge.args(["live", command]);
        if names_case {
            judge.arg(self.case);
        }
        output(judge.args(arguments).args(["--kafka", &self.servers]))
    }
}

/// Windows of joins keep duplicates under sequence numbers that begin anew with each start, and a suppression's changelog holds the
/// times of its own flushes: neither is compared.
fn is_compared(topic: &str) -> bool {
    !topic.ends_with("-store-changelog") && !topic.contains("SUPPRESS")
}

fn collect(line: &str, prefix: &str, rows: &mut Rows) {
    let dump: Value = serde_json::from_str(line).expect("a line of a dump is JSON");
    let topic = dump["topic"].as_str().expect("a dump names its topic");
    if !is_compared(topic) {
        return;
    }
    let found = rows.entry(format!("{prefix}{topic}")).or_default();
    let partitions = dump["partitions"].as_array().into_iter().flatten();
    for record in partitions.flat_map(|partition| partition.as_array().into_iter().flatten()) {
        let row = format!("{}={}@{}", record["key"], record["value"], record["ts"]);
        *found.entry(row).or_default() += 1;
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}
