//! A processor of the application that fails: the application stops, and what it did since its last commit is undone.
//! Not crashes of the process. Invariant: after the repair every record has been processed exactly once.

use crate::fixture::{PARTITIONS, WAIT, committed, ensure_topic, feed, read, stop, wait_until};
use headwater::log::Log;
use headwater::prelude::*;
use headwater::streams;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const LINES: u64 = 100;

/// What happens at one of the lines.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Error,
    Panic,
}

/// Numbers the records of each key in a store and hands them on, until its fault comes.
struct Numbering {
    numbers: StoreHandle<String, u64>,
    seen: u64,
    fault: Fault,
}

impl Processor for Numbering {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = u64;

    fn process(
        &mut self,
        record: Record<String, String>,
        ctx: &mut ProcessorContext<'_, '_, String, u64>,
    ) -> streams::Result<()> {
        let mut numbers = ctx.store(self.numbers)?;
        let number = numbers.get(&record.key)?.unwrap_or(0) + 1;
        numbers.put(&record.key, &number)?;
        self.seen += 1;
        let key = record.key.clone();
        ctx.forward(record.with(key, Some(number)))?;
        match self.fault {
            Fault::Error if self.seen == 20 => Err(streams::Error::failed("the scale is broken")),
            Fault::Panic if self.seen == 20 => panic!("the scale is on fire"),
            _ => Ok(()),
        }
    }
}

fn numbering(fault: Fault) -> Topology {
    let app = App::new("numbering");
    let numbers = app.store("numbers");
    app.stream::<String, String>("lines")
        .process(numbers, move || Numbering {
            numbers,
            seen: 0,
            fault,
        })
        .to("numbered");
    app.build().unwrap()
}

/// Commits nothing before the fault.
fn never_commits() -> Settings {
    Settings {
        commit_interval_ms: 3_600_000,
        ..Settings::default()
    }
}

#[track_caller]
fn check_numbered(log: &dyn Log, lines: u64) {
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..lines {
        *expected.entry((number % 13).to_string()).or_default() += 1;
    }
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for (key, value) in read(log, "numbered") {
        let count = found.entry(String::from_utf8(key).unwrap()).or_default();
        *count += 1;
        let number = u64::from_be_bytes(value.unwrap().try_into().unwrap());
        assert_eq!(
            number, *count,
            "each key is numbered without gaps and doubles"
        );
    }
    assert_eq!(found, expected);
}

#[track_caller]
fn check_fault(fault: Fault, settings: Settings, message: &str) {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(dir.path()).unwrap();
    let shared: Arc<dyn Log> = log.shared();
    feed(&*shared, LINES);
    ensure_topic(&*shared, "numbered", PARTITIONS);
    let running = headwater::start_with(numbering(fault), &log, settings).unwrap();
    let begun = Instant::now();
    while !running.failed() {
        assert!(begun.elapsed() < WAIT, "it does not fail");
        std::thread::sleep(Duration::from_millis(1));
    }
    let error = running.stop(WAIT).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
    assert_eq!(read(&*shared, "numbered"), []);
    assert_eq!(read(&*shared, "numbering-numbers-changelog"), []);
    assert_eq!(committed(&*shared, "numbering"), BTreeMap::new());
    let begun = Instant::now();
    let running = headwater::start(numbering(Fault::None), &log).unwrap();
    wait_until(&running, "every line", || running.records() >= LINES);
    stop(running);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "a failed member holds its tasks"
    );
    check_numbered(&*shared, LINES);
}

#[test]
fn an_error_stops_the_application_and_names_processor_and_record() {
    let message = "KSTREAM-PROCESSOR-0000000001 at lines-";
    check_fault(Fault::Error, never_commits(), message);
    check_fault(Fault::Error, never_commits(), "failed: the scale is broken");
    let settings = Settings {
        workers: 2,
        ..never_commits()
    };
    check_two_workers(settings);
}

/// The worker whose task fails takes the other one down; what that one committed at its end stays.
#[track_caller]
fn check_two_workers(settings: Settings) {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(dir.path()).unwrap();
    let shared: Arc<dyn Log> = log.shared();
    feed(&*shared, LINES);
    ensure_topic(&*shared, "numbered", PARTITIONS);
    let running = headwater::start_with(numbering(Fault::Error), &log, settings).unwrap();
    let begun = Instant::now();
    while !running.failed() {
        assert!(begun.elapsed() < WAIT, "it does not fail");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(running.stop(WAIT).is_err());
    let running = headwater::start(numbering(Fault::None), &log).unwrap();
    let done = || committed(&*shared, "numbering").values().sum::<i64>() == LINES as i64;
    wait_until(&running, "every line", done);
    stop(running);
    check_numbered(&*shared, LINES);
}

#[test]
fn a_panic_stops_the_application_and_names_processor_and_record() {
    let message = "KSTREAM-PROCESSOR-0000000001 at lines-0 offset 19 failed: the scale is on fire";
    check_fault(Fault::Panic, never_commits(), message);
}

#[test]
fn a_failure_after_commits_undoes_only_what_came_after_them() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(dir.path()).unwrap();
    let shared: Arc<dyn Log> = log.shared();
    feed(&*shared, 10);
    ensure_topic(&*shared, "numbered", PARTITIONS);
    let settings = Settings {
        commit_interval_ms: 1,
        ..Settings::default()
    };
    let running = headwater::start_with(numbering(Fault::Error), &log, settings).unwrap();
    wait_until(&running, "commits", || {
        running.commits() > 0 && running.records() == 10
    });
    feed(&*shared, LINES);
    let begun = Instant::now();
    while !running.failed() {
        assert!(begun.elapsed() < WAIT, "it does not fail");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(running.stop(WAIT).is_err());
    let kept = committed(&*shared, "numbering").values().sum::<i64>();
    assert_eq!(
        read(&*shared, "numbered").len() as i64,
        kept,
        "outputs without positions"
    );
    let running = headwater::start(numbering(Fault::None), &log).unwrap();
    let done = || committed(&*shared, "numbering").values().sum::<i64>() == LINES as i64;
    wait_until(&running, "every line", done);
    stop(running);
    check_numbered(&*shared, LINES);
}

#[test]
fn bad_data_stops_skips_or_is_set_aside_as_its_topic_says() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(dir.path()).unwrap();
    let shared: Arc<dyn Log> = log.shared();
    feed(&*shared, LINES);
    ensure_topic(&*shared, "numbered", PARTITIONS);
    ensure_topic(&*shared, "dead", 1);
    let topology = |policy| {
        let app = App::new("strict");
        // Lines are no numbers, and most are not eight bytes.
        let lines: Topic<String, u64> = Topic::from("lines").on_bad_data(policy);
        app.stream(lines).to("numbered");
        app.build().unwrap()
    };
    let running = headwater::start(topology(BadData::Fail), &log).unwrap();
    let begun = Instant::now();
    while !running.failed() {
        assert!(begun.elapsed() < WAIT, "it does not fail");
        std::thread::sleep(Duration::from_millis(1));
    }
    let error = running.stop(WAIT).unwrap_err().to_string();
    assert!(error.starts_with("cannot read lines-"), "{error}");
    let policy = BadData::DeadLetter("dead".into());
    let running = headwater::start(topology(policy), &log).unwrap();
    let done = || committed(&*shared, "strict").values().sum::<i64>() == LINES as i64;
    wait_until(&running, "every line", done);
    stop(running);
    let (good, dead) = (read(&*shared, "numbered"), read(&*shared, "dead"));
    assert_eq!((good.len() + dead.len()) as u64, LINES);
    assert!(
        good.iter()
            .all(|(_, value)| value.as_ref().unwrap().len() == 8)
    );
    assert!(
        dead.iter()
            .all(|(_, value)| value.as_ref().unwrap().len() != 8)
    );
}
