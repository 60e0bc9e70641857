//! Start, feed, stop, go on, on an embedded log: state survives, and nothing is counted twice. Not crashes: a stop is clean here.
//! Invariant: view, output topic and a plain loop agree.

use crate::fixture::{
    WAIT, committed, ensure_topic, expected, feed, read, read_counts, stop, view, wait_for_counts,
    wait_until, word_count, words,
};
use headwater::prelude::*;
use headwater::{Listener, RestoreProgress};
use std::{
    fs,
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

const COUNTS: &str = "word-count-counts";

fn open(dir: &TempDir) -> EmbeddedLog {
    EmbeddedLog::open(dir.path()).unwrap()
}

/// How many records each restore read.
#[derive(Default)]
struct Restores(Mutex<Vec<i64>>);

impl Listener for Restores {
    fn restore_ended(&self, progress: &RestoreProgress) {
        self.0
            .lock()
            .unwrap()
            .push(progress.position - progress.start);
    }
}

/// Runs word count over the lines up to `lines`, and compares. Returns how many records were restored.
#[track_caller]
fn check(log: &EmbeddedLog, lines: u64, settings: Settings) -> i64 {
    feed(&*log.shared(), lines);
    ensure_topic(&*log.shared(), COUNTS, 1);
    let restores = Arc::new(Restores::default());
    let settings = Settings {
        listener: restores.clone(),
        ..settings
    };
    let running = headwater::start_with(word_count("word-count"), log, settings).unwrap();
    wait_for_counts(&running, lines);
    stop(running);
    assert_eq!(read_counts(&*log.shared(), COUNTS), expected(lines));
    let repartitioned = read(&*log.shared(), "word-count-word-counts-repartition");
    assert_eq!(
        repartitioned.len() as u64,
        words(lines),
        "words repartitioned"
    );
    restores.0.lock().unwrap().iter().sum()
}

#[test]
fn counts_go_on_after_a_stop_and_nothing_is_doubled() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    check(&log, 500, Settings::default());
    let positions = committed(&*log.shared(), "word-count");
    assert_eq!(positions["lines-0"] + positions["lines-1"], 500);
    let outputs = read(&*log.shared(), COUNTS).len();
    let restored = check(&log, 500, Settings::default());
    assert_eq!(restored, 0, "a clean stop leaves nothing to restore");
    assert_eq!(
        read(&*log.shared(), COUNTS).len(),
        outputs,
        "nothing is said twice"
    );
    drop(log);
    let log = open(&dir);
    assert_eq!(check(&log, 1000, Settings::default()), 0);
}

#[test]
fn state_that_is_gone_comes_back_from_the_changelog() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    check(&log, 300, Settings::default());
    fs::remove_dir_all(dir.path().join("state")).unwrap();
    let restored = check(&log, 600, Settings::default());
    assert!(
        restored >= expected(300).len() as i64,
        "{restored} restored"
    );
    let state_elsewhere = TempDir::new().unwrap();
    let settings = Settings::in_dir(state_elsewhere.path());
    assert!(check(&log, 700, settings) > 0);
    assert!(state_elsewhere.path().join("word-count").is_dir());
}

#[test]
fn two_workers_share_the_tasks() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    feed(&*log.shared(), 400);
    ensure_topic(&*log.shared(), COUNTS, 1);
    for (workers, lines) in [(2, 800), (1, 1200), (4, 1600), (9, 2000)] {
        let settings = Settings {
            workers,
            ..Settings::default()
        };
        let running = headwater::start_with(word_count("word-count"), &log, settings).unwrap();
        feed(&*log.shared(), lines);
        wait_for_counts(&running, lines);
        wait_until(&running, "four tasks", || running.running_tasks() == 4);
        stop(running);
        assert_eq!(
            read_counts(&*log.shared(), COUNTS),
            expected(lines),
            "{workers} workers"
        );
        let repartitioned = read(&*log.shared(), "word-count-word-counts-repartition");
        assert_eq!(repartitioned.len() as u64, words(lines));
    }
}

#[test]
fn two_applications_run_in_one_process() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    let names = ["word-count", "again"];
    for name in names {
        ensure_topic(&*log.shared(), &format!("{name}-counts"), 1);
    }
    feed(&*log.shared(), 100);
    let both = names.map(|name| headwater::start(word_count(name), &log).unwrap());
    feed(&*log.shared(), 1000);
    for running in &both {
        wait_for_counts(running, 1000);
    }
    let [first, second] = both;
    stop(first);
    feed(&*log.shared(), 1100);
    wait_for_counts(&second, 1100);
    stop(second);
    assert_eq!(read_counts(&*log.shared(), COUNTS), expected(1000));
    assert_eq!(read_counts(&*log.shared(), "again-counts"), expected(1100));
}

#[test]
fn one_application_is_not_started_twice_over_one_state_directory() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    feed(&*log.shared(), 10);
    ensure_topic(&*log.shared(), COUNTS, 1);
    let running = headwater::start(word_count("word-count"), &log).unwrap();
    let second = headwater::start(word_count("word-count"), &log);
    let message = second.err().unwrap().to_string();
    assert!(message.contains("word-count is in use by"), "{message}");
    wait_for_counts(&running, 10);
    stop(running);
}

#[test]
fn an_application_waits_for_its_input_topic() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    ensure_topic(&*log.shared(), COUNTS, 1);
    let running = headwater::start(word_count("word-count"), &log).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!running.failed());
    assert!(view(&running).is_empty());
    feed(&*log.shared(), 100);
    wait_for_counts(&running, 100);
    stop(running);
}

#[test]
fn a_running_application_keeps_the_log_open() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    feed(&*log.shared(), 100);
    ensure_topic(&*log.shared(), COUNTS, 1);
    let running = headwater::start(word_count("word-count"), log).unwrap();
    wait_for_counts(&running, 100);
    let held = EmbeddedLog::open(dir.path()).err().unwrap().to_string();
    assert!(held.contains("is open in another process"), "{held}");
    let beside = EmbeddedLog::open_read_only(dir.path()).unwrap();
    assert_eq!(read_counts(&*beside.shared(), COUNTS), expected(100));
    running.stop(WAIT).unwrap();
    drop(open(&dir));
}

#[test]
fn a_run_to_end_processes_what_is_there_and_returns() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    for lines in [300, 301, 301, 900] {
        feed(&*log.shared(), lines);
        ensure_topic(&*log.shared(), COUNTS, 1);
        headwater::run_to_end(word_count("word-count"), &log).unwrap();
        assert_eq!(read_counts(&*log.shared(), COUNTS), expected(lines));
        let positions = committed(&*log.shared(), "word-count");
        assert_eq!((positions["lines-0"] + positions["lines-1"]) as u64, lines);
    }
}

#[test]
fn a_run_to_end_that_fails_says_why() {
    let dir = TempDir::new().unwrap();
    let log = open(&dir);
    feed(&*log.shared(), 10);
    let app = App::new("failing");
    app.stream::<String, String>("lines")
        .for_each(|_, line| assert!(line.is_empty(), "a line with words"));
    let error = headwater::run_to_end(app.build().unwrap(), &log).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("KSTREAM-FOREACH-0000000001 at lines-")
            && text.contains("offset 0 failed: a line with words"),
        "{text}"
    );
}

#[test]
fn a_run_to_end_without_its_input_topic_is_an_error() {
    let dir = TempDir::new().unwrap();
    let error = headwater::run_to_end(word_count("word-count"), open(&dir)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("'word-count' was to run to the end of topic 'lines', which does not exist"),
        "{text}"
    );
}
