//! A directory with topics, records and an application that has run; and the binary over it. Not a test.
//! Invariant: the same records with the same timestamps each time.

use headwater::log::{
    AppendRecord, ClientOptions, Header, HeadersRef, NewTopic, Request, TopicConfig, call,
};
use headwater::{App, EmbeddedLog, Running, Topology, world::World};
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// 2023-11-14T22:13:20Z.
pub(crate) const TIME_MS: i64 = 1_700_000_000_000;
/// Longer than a loaded machine needs.
const WAIT: Duration = Duration::from_secs(60);

/// Held from fork to exec, and while a log is opened: a child has the locks of its parent until it becomes another program.
static SPAWNING: Mutex<()> = Mutex::new(());

/// A test that panics while it holds this fails alone.
fn alone() -> MutexGuard<'static, ()> {
    SPAWNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the log in `dir`.
pub(crate) fn open(dir: &Path) -> EmbeddedLog {
    let _alone = alone();
    EmbeddedLog::open(dir).unwrap()
}

/// Starts the binary with `--data dir`.
pub(crate) fn spawn(dir: &Path, arguments: &[&str]) -> Child {
    let _alone = alone();
    Command::new(env!("CARGO_BIN_EXE_headwater"))
        .args(arguments)
        .arg("--data")
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// What a run of the binary left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A directory with input topics in which no application has run.
pub(crate) fn loaded() -> TempDir {
    let dir = TempDir::new().unwrap();
    let log = open(dir.path());
    create(&log, "lines", 2, &[]);
    create(&log, "counts", 1, &[("retention.ms", "86400000")]);
    create(&log, "mixed", 1, &[("cleanup.policy", "compact")]);
    load(&log);
    dir
}

/// A directory after one run of the application.
pub(crate) fn directory() -> TempDir {
    let dir = loaded();
    let log = open(dir.path());
    let running = headwater::start(word_count("word-count"), &log).unwrap();
    // Two commits: lines to words, words to counts.
    wait_until(&running, || running.records() >= 4 + 7);
    running.stop(WAIT).unwrap();
    dir
}

pub(crate) fn word_count(application: &str) -> Topology {
    let app = App::new(application);
    app.stream::<String, String>("lines")
        .flat_map_values(|line: String| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .group_by(|_, word| word.clone())
        .count("word-counts")
        .to_stream()
        .to("counts");
    app.build().unwrap()
}

#[track_caller]
pub(crate) fn wait_until(running: &Running, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(!running.failed(), "the application failed");
        assert!(begun.elapsed() < WAIT, "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn create(log: &EmbeddedLog, name: &str, partitions: u32, config: &[(&str, &str)]) {
    let config: TopicConfig = config
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let topic = NewTopic {
        name: name.into(),
        partitions,
        config,
    };
    let mut client = log.client(ClientOptions::default()).unwrap();
    let clock = World::real().clock;
    let request = Request::CreateTopics(vec![topic]);
    call(&mut *client, &*clock, request, 30_000).unwrap();
}

fn load(log: &EmbeddedLog) {
    let mut writer = log.source_writer("loader", "test").unwrap();
    let lines = [
        ("a", "the quick fox"),
        ("b", "the end"),
        ("c", "fox"),
        ("d", "end"),
    ];
    for (number, (key, line)) in lines.iter().enumerate() {
        let (key, line) = (key.to_string(), line.to_string());
        let timestamp = TIME_MS + 1000 * number as i64;
        writer.append("lines", &key, &line, timestamp).unwrap();
    }
    let mut headers = Vec::new();
    for (key, value) in [("source", Some(&b"test"[..])), ("empty", None)] {
        let key = key.as_bytes();
        HeadersRef::encode(&mut headers, Header { key, value });
    }
    let headers = HeadersRef {
        count: 2,
        bytes: &headers,
    };
    let eight = 7i64.to_be_bytes();
    let record = |key, value, headers| AppendRecord {
        timestamp: 0,
        key: Some(key),
        value,
        headers,
    };
    let records = [
        record(&eight[..], Some(&b"{ \"a\": [1] }"[..]), HeadersRef::NONE),
        record(b"text", Some(b"two\nlines"), headers),
        record(b"\xff\x00", Some(&eight), HeadersRef::NONE),
        record(b"text", None, HeadersRef::NONE),
    ];
    for (number, mut record) in records.into_iter().enumerate() {
        record.timestamp = TIME_MS + number as i64;
        writer.append_raw("mixed", &record).unwrap();
    }
    writer.commit(8).unwrap();
}

/// Runs the binary with `--data dir`.
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Ended {
    let Output {
        status,
        stdout,
        stderr,
    } = spawn(dir, arguments).wait_with_output().unwrap();
    let text = |bytes| masked(&String::from_utf8(bytes).unwrap(), dir);
    Ended {
        code: status.code(),
        out: text(stdout),
        err: text(stderr),
    }
}

/// What differs between two runs: the directory, and the ids of topics.
fn masked(text: &str, dir: &Path) -> String {
    let text = text.replace(dir.to_str().unwrap(), "DIR");
    let mut masked = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let digits = rest[at..].find(|c: char| !c.is_ascii_hexdigit());
        let end = digits.map_or(rest.len(), |digits| at + digits);
        masked += &rest[..at];
        masked += if end - at == 32 { "ID" } else { &rest[at..end] };
        rest = &rest[end..];
    }
    masked + rest
}

/// Runs the binary, which succeeds and prints this.
#[track_caller]
pub(crate) fn check(dir: &Path, arguments: &[&str], expected: &str) {
    let ended = run(dir, arguments);
    assert_eq!(ended.err, "", "{arguments:?}");
    assert_eq!(ended.code, Some(0), "{arguments:?}");
    assert!(
        ended.out == expected,
        "{arguments:?} printed\n{}\ninstead of\n{expected}",
        ended.out
    );
}

/// Runs the binary, which fails with this line.
#[track_caller]
pub(crate) fn check_error(dir: &Path, arguments: &[&str], code: i32, expected: &str) {
    let ended = run(dir, arguments);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
    assert_eq!(ended.err.trim_end(), expected, "{arguments:?}");
}

/// The count of each word as `tail` shows it.
pub(crate) fn counts(dir: &Path) -> Vec<String> {
    let out = run(dir, &["tail", "counts", "--from", "start"]).out;
    let mut counts = BTreeMap::new();
    for line in out.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        counts.insert(fields[2].to_owned(), fields[3].to_owned());
    }
    let counts = counts.iter();
    counts
        .map(|(word, count)| format!("{word} {count}"))
        .collect()
}

/// Runs the binary with `--json` and parses what it prints.
#[track_caller]
pub(crate) fn json(dir: &Path, arguments: &[&str]) -> serde_json::Value {
    let ended = run(dir, &[arguments, &["--json"]].concat());
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    serde_json::from_str(&ended.out).unwrap()
}
