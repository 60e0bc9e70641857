//! The binary with `--kafka`, on a real broker: over an application of ours, over one of Kafka Streams, and `reset` beside Kafka's own
//! tool. Not the client's own tests. Invariant: where Kafka has a tool for the same, its result is the expected one.

mod judge;
mod metrics;
mod reset;

use crate::fixture::word_count;
use headwater::{Kafka, Running, Settings, SourceWriter, log::Log};
use headwater_broker::{Cluster, Options, is_usable};
use std::{
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Longer than a loaded machine needs.
const WAIT: Duration = Duration::from_secs(120);
/// 2023-11-14T22:13:20Z.
const TIME_MS: i64 = 1_700_000_000_000;

/// One broker for all tests; `None` where there is no Java.
fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let options = Options::default()
        .set("group.streams.min.heartbeat.interval.ms", 100)
        .set("group.streams.heartbeat.interval.ms", 200);
    let start = || is_usable("the command line on a real broker").then(|| Cluster::start(&options));
    CLUSTER
        .get_or_init(|| start().transpose().unwrap())
        .as_ref()
}

/// Runs the binary with `--kafka`: exit status, output, errors.
fn run(cluster: &Cluster, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
    command
        .args(["--kafka", &cluster.bootstrap()])
        .args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Runs the binary, which succeeds.
#[track_caller]
fn out(cluster: &Cluster, arguments: &[&str]) -> String {
    let (code, out, err) = run(cluster, arguments);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}: {out}");
    out
}

#[track_caller]
fn json(cluster: &Cluster, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&out(cluster, &[arguments, &["--json"]].concat())).unwrap()
}

#[track_caller]
fn refused(cluster: &Cluster, arguments: &[&str], expected: &str) {
    let (code, _, err) = run(cluster, arguments);
    assert_eq!(code, Some(1), "{arguments:?}");
    assert!(err.contains(expected), "{arguments:?}: {err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

fn kafka(cluster: &Cluster) -> Kafka {
    Kafka::at(&cluster.bootstrap()).unwrap()
}

/// Creates the topic with two partitions and writes records, each a second after the one before, in transactions of five.
fn write(cluster: &Cluster, topic: &str, records: &[(&str, &str)]) {
    let log = kafka(cluster);
    let log: &dyn Log = &log;
    let mut writer = SourceWriter::open(log, "writer", topic, &Settings::default()).unwrap();
    writer.ensure_topic(topic, 2).unwrap();
    for (number, (key, value)) in records.iter().enumerate() {
        let timestamp = TIME_MS + 1000 * number as i64;
        let (key, value) = ((*key).to_owned(), (*value).to_owned());
        writer.append(topic, &key, &value, timestamp).unwrap();
        if number % 5 == 4 {
            writer.commit(number as u64 + 1).unwrap();
        }
    }
    writer.commit(records.len() as u64).unwrap();
}

fn start(cluster: &Cluster, application: &str, input: &str, dir: &std::path::Path) -> Running {
    let settings = Settings {
        commit_interval_ms: 50,
        ..Settings::in_dir(dir)
    };
    let topology = word_count_of(application, input);
    headwater::start_with(topology, kafka(cluster), settings).unwrap()
}

fn word_count_of(application: &str, input: &str) -> headwater::Topology {
    assert_eq!(input, "lines", "the fixture's input");
    word_count(application)
}

#[track_caller]
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < WAIT, "{what}: it takes too long");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Where the text has ids of topics, members and processes.
fn masked(text: &str) -> String {
    let word = |word: &str| match word.len() {
        32 if word.bytes().all(|it| it.is_ascii_hexdigit()) => "ID".to_owned(),
        22 => "MEMBER".to_owned(),
        _ => word.to_owned(),
    };
    let line = |line: &str| {
        let words: Vec<String> = line.split_whitespace().map(word).collect();
        words.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

#[test]
fn every_command_reads_while_an_application_runs_and_reset_is_refused() {
    let Some(cluster) = cluster() else { return };
    let lines = [
        ("a", "the quick fox"),
        ("b", "the end"),
        ("c", "fox"),
        ("d", "end"),
    ];
    write(cluster, "lines", &lines);
    cluster
        .tool(
            "topics",
            &[
                "--create",
                "--topic",
                "counts",
                "--partitions",
                "1",
                "--config",
                "retention.ms=86400000",
            ],
        )
        .unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let running = start(cluster, "words", "lines", dir.path());
    // 4 lines and 7 words.
    wait_until("words are counted", || running.records() >= 11);
    let lag = || json(cluster, &["lag", "words"])[0]["lag"].as_i64();
    // The end of a transaction has an offset that nobody commits.
    wait_until("all is committed", || lag().is_some_and(|lag| lag <= 6));
    let tail = out(cluster, &["tail", "lines", "--from", "start"]);
    let expected = "\
0:0  2023-11-14T22:13:20.000Z  a  the quick fox
0:1  2023-11-14T22:13:21.000Z  b  the end
0:2  2023-11-14T22:13:22.000Z  c  fox
1:0  2023-11-14T22:13:23.000Z  d  end
";
    assert_eq!(tail, expected);
    records_and_topics_are_shown(cluster);
    groups_and_tasks_are_shown(cluster);
    refused(
        cluster,
        &["reset", "words", "--yes"],
        "application 'words' is running (",
    );
    refused(
        cluster,
        &["topology", "word"],
        "group 'word' does not exist in Kafka at ",
    );
    refused(
        cluster,
        &["tail", "line"],
        "topic 'line' does not exist in Kafka at ",
    );
    refused(cluster, &["verify"], "this command is for --data DIR");
    running.stop(WAIT).unwrap();
    reset::words_begin_anew(cluster, dir.path());
}

fn records_and_topics_are_shown(cluster: &Cluster) {
    let since = [
        "tail",
        "lines",
        "--from",
        "time:1700000002000",
        "--follow",
        "--count",
        "2",
    ];
    assert_eq!(out(cluster, &since).lines().count(), 2);
    let counts = out(
        cluster,
        &["tail", "counts", "--from", "start", "--values", "i64"],
    );
    assert!(counts.contains("  fox  2\n"), "{counts}");
    let topics = out(cluster, &["topics"]);
    let internal = "words-word-counts-changelog";
    for topic in ["lines", "counts", internal, "words-word-counts-repartition"] {
        assert!(
            topics
                .lines()
                .any(|line| line.starts_with(&format!("{topic} "))),
            "{topics}"
        );
    }
    let described = masked(&out(cluster, &["describe", "counts"]));
    let heading = "topic counts\nid ID\ncleanup.policy delete\nretention.ms 86400000\n\nPARTITION START END RECORDS LEADER REPLICAS IN SYNC\n";
    assert!(described.starts_with(heading), "{described}");
    assert!(described.trim_end().ends_with(" 1 1 1"), "{described}");
    assert_eq!(
        json(cluster, &["describe", internal])["config"]["cleanup.policy"],
        "compact"
    );
}

fn groups_and_tasks_are_shown(cluster: &Cluster) {
    let internal = "words-word-counts-changelog";
    let groups = masked(&out(cluster, &["groups"]));
    assert!(groups.contains("words streams Stable - 1 4 "), "{groups}");
    let topology = "\
SUBTOPOLOGY TOPIC PARTITIONS PURPOSE
0 lines 2 source
0 words-word-counts-repartition 2 repartition sink
1 words-word-counts-repartition 2 repartition source
1 words-word-counts-changelog 2 changelog
";
    assert_eq!(masked(&out(cluster, &["topology", "words"])), topology);
    let state = json(cluster, &["state", "words"]);
    let tasks = state["tasks"].as_array().unwrap();
    let ids: Vec<_> = tasks
        .iter()
        .map(|it| it["task"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["0_0", "0_1", "1_0", "1_1"]);
    assert!(
        tasks.iter().all(|it| it["holders"][0]["role"] == "active"),
        "{state}"
    );
    // Three records and the end of their transaction.
    assert_eq!(tasks[0]["inputs"][0]["committed"], 4);
    assert_eq!(tasks[2]["changelogs"][0]["topic"], internal);
    let shown = out(cluster, &["state", "words"]);
    assert!(shown.contains("RESTORED is ?"), "{shown}");
}

#[test]
fn settings_come_from_a_file_of_kafkas_properties() {
    let Some(cluster) = cluster() else { return };
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("client.properties");
    let config = ["--config", file.to_str().unwrap()];
    let list = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(cluster, &[&["groups"], &config[..]].concat())
    };
    let (code, _, err) =
        list("# ours\nsecurity.protocol = PLAINTEXT\nbootstrap.servers=elsewhere:1\n");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let (code, _, err) = list("security.protcol=SSL\n");
    assert_eq!(code, Some(1));
    let expected = "unknown setting 'security.protcol'; did you mean 'security.protocol'?";
    assert!(
        err.contains("client.properties: ") && err.contains(expected),
        "{err}"
    );
    let error = run(cluster, &["groups", "--data", "x"]).2;
    assert!(error.contains("--data and --kafka are two logs"), "{error}");
    let (code, _, err) = run(cluster, &["groups", "--config", "no-such.properties"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot read no-such.properties"), "{err}");
}
