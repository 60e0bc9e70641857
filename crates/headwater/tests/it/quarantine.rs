//! Quarantine: one key's records are set aside, the others go on, and what was set aside is processed later, in order.
//! Not dead letters. Invariant: in the end every record is counted exactly once, under its key's own order.

use crate::fixture::{WAIT, ensure_topic, feed, line, read, stop, wait_until};
use headwater::prelude::*;
use headwater::{OnError, TopologySettings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const LINES: u64 = 400;
/// Keys are the numbers modulo 13.
const POISONED: &str = "5";

/// Appends each line's number of words to its key's row; fails at one key while `broken`.
fn topology(broken: &Arc<AtomicBool>) -> Topology {
    let app = App::new("quarantining");
    app.configure(TopologySettings {
        on_error: OnError::Quarantine,
        ..TopologySettings::default()
    });
    let broken = broken.clone();
    app.stream::<String, String>("lines")
        .peek(|_, _| ())
        .map_values_with_key(move |key, line| {
            let fails = key == POISONED && broken.load(Ordering::SeqCst);
            assert!(!fails, "the key {key} is too heavy");
            line.split(' ').count().to_string()
        })
        .group_by_key()
        .reduce(|all, count| all + &count, "rows")
        .to_stream()
        .to("rows-out");
    app.build().unwrap()
}

fn expected() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::<String, String>::new();
    for number in 0..LINES {
        let words = line(number).split(' ').count().to_string();
        rows.entry(format!("{}", number % 13))
            .or_default()
            .push_str(&words);
    }
    rows
}

fn rows(log: &EmbeddedLog) -> BTreeMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    read(&*log.shared(), "rows-out")
        .into_iter()
        .map(|(key, value)| (text(key), text(value.unwrap())))
        .collect()
}

fn open(dir: &TempDir) -> EmbeddedLog {
    let log = EmbeddedLog::open(dir.path()).unwrap();
    feed(&*log.shared(), LINES);
    ensure_topic(&*log.shared(), "rows-out", 1);
    log
}

/// Runs while the key is broken: all others are complete, none of its records has an effect.
fn run_broken(log: &EmbeddedLog, broken: &Arc<AtomicBool>) -> Running {
    let running = headwater::start(topology(broken), log).unwrap();
    running.caught_up(WAIT).unwrap();
    let mut others = expected();
    others.remove(POISONED);
    assert_eq!(rows(log), others);
    let held = LINES.div_ceil(13) as usize;
    wait_until(&running, "all records of the key", || {
        running.quarantined().len() == held
    });
    let held = running.quarantined();
    assert!(
        held.iter()
            .all(|record| record.key.as_deref() == Some(POISONED.as_bytes()))
    );
    assert!(!held[0].replays);
    running
}

#[test]
fn other_keys_go_on_and_a_replay_in_the_running_application_catches_up() {
    let dir = TempDir::new().unwrap();
    let (log, broken) = (open(&dir), Arc::new(AtomicBool::new(true)));
    let running = run_broken(&log, &broken);
    // Still broken: it is tried, and set aside again.
    running.replay_quarantine();
    wait_until(&running, "another try", || {
        running.quarantined().iter().all(|record| !record.replays)
    });
    broken.store(false, Ordering::SeqCst);
    running.replay_quarantine();
    wait_until(&running, "an empty quarantine", || {
        running.quarantined().is_empty()
    });
    stop(running);
    assert_eq!(rows(&log), expected());
}

#[test]
fn a_restart_with_the_fault_mended_processes_what_was_set_aside() {
    let dir = TempDir::new().unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let log = open(&dir);
    stop(run_broken(&log, &broken));
    // A restart that mends nothing changes nothing.
    stop(run_broken(&log, &broken));
    broken.store(false, Ordering::SeqCst);
    let running = headwater::start(topology(&broken), &log).unwrap();
    wait_until(&running, "every row", || rows(&log) == expected());
    stop(running);
}
