//! Kill -9 in the middle of anything, then reopen: the state is that of a checkpoint at or after the stored position.
#![allow(
    clippy::disallowed_methods,
    reason = "tests damage files, kill processes and wait"
)]

use super::{commit, open_in, options};
use crate::{Budget, Direction, EngineKind, KeyRange, Layout, Store, suite::all, window};
use headwater_world::{CrashMode, Random, SeededRandom, World};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Names the directory, and tells this binary to be the process that is killed.
const VICTIM_DIR: &str = "HEADWATER_STORE_CRASH_DIR";
const VICTIM_LAYOUT: &str = "HEADWATER_STORE_CRASH_LAYOUT";

const KEYS: u64 = 400;
const WINDOWS: Layout = Layout::Window {
    retention_ms: 1 << 40,
    segment_interval_ms: 100,
};

fn layout_named(name: &str) -> Layout {
    if name == "windows" {
        WINDOWS
    } else {
        Layout::KeyValue
    }
}

/// The changelog: offset `n` sets the key that follows from `n` to `n`, or deletes it.
fn record(offset: i64, layout: &Layout) -> (Vec<u8>, Option<Vec<u8>>) {
    let draw = SeededRandom::new(offset as u64).next_u64();
    let number = draw % KEYS;
    let mut key = Vec::new();
    match layout {
        Layout::Window { .. } => window::key(b"k", number as i64, 0, &mut key),
        _ => key.extend(number.to_be_bytes()),
    }
    let value = !(draw >> 32).is_multiple_of(5);
    (
        key,
        value.then(|| [&offset.to_be_bytes()[..], &[7; 200]].concat()),
    )
}

fn apply(store: &mut Store, offset: i64, layout: &Layout) {
    let (key, value) = record(offset, layout);
    match value {
        Some(value) => store.put(&key, &value).unwrap(),
        None => store.delete(&key).unwrap(),
    }
}

/// Runs until it is killed. Prints each position once its checkpoint has returned.
#[test]
fn victim() {
    let (Ok(dir), Ok(layout)) = (std::env::var(VICTIM_DIR), std::env::var(VICTIM_LAYOUT)) else {
        return;
    };
    let layout = layout_named(&layout);
    let budget = Budget::new(1 << 20, 1 << 20);
    let mut store = open_in(Path::new(&dir), layout.clone(), &budget);
    let mut offset = store.position().unwrap_or(0);
    loop {
        for _ in 0..300 {
            apply(&mut store, offset, &layout);
            offset += 1;
        }
        commit(&mut store, offset);
        apply(&mut store, offset, &layout); // uncommitted, must never be found
        store.checkpoint().unwrap();
        println!("checkpoint {offset}");
        store.abort();
    }
}

#[track_caller]
fn check(store: &mut Store, confirmed: i64, layout: &Layout, context: &str) {
    let position = store.checkpoint_position().unwrap_or(0);
    assert!(
        position >= confirmed,
        "{context}: position {position} is before the confirmed {confirmed}"
    );
    let expected = |end: i64| {
        let mut map = std::collections::BTreeMap::new();
        for offset in 0..end {
            let (key, value) = record(offset, layout);
            map.insert(key, value);
        }
        map.into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect::<Vec<_>>()
    };
    let found = all(store, KeyRange::ALL, Direction::Forward);
    if *layout == Layout::KeyValue {
        assert!(
            found == expected(position),
            "{context}: not the state at {position}"
        );
    }
    // Data may be newer than the position; replaying from it must end in the same state.
    let end = position + 900;
    for offset in position..end {
        let (key, value) = record(offset, layout);
        store.restore(&key, value.as_deref()).unwrap();
    }
    let found = all(store, KeyRange::ALL, Direction::Forward);
    assert!(
        found == expected(end),
        "{context}: replay from {position} to {end} differs"
    );
}

fn kill_and_check(name: &str, seed: u64) {
    let layout = layout_named(name);
    let (dir, random) = (tempfile::tempdir().unwrap(), SeededRandom::new(seed));
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "store::tests::crash::victim",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(VICTIM_DIR, dir.path())
            .env(VICTIM_LAYOUT, name)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wait = Duration::from_micros(20_000 + random.below(150_000));
        let mut confirmed = 0;
        let start = Instant::now();
        let mut read = |lines: &mut dyn Iterator<Item = std::io::Result<String>>| -> bool {
            let Some(Ok(line)) = lines.next() else {
                return false;
            };
            if let Some(offset) = line.strip_prefix("checkpoint ") {
                confirmed = offset.parse().unwrap_or(confirmed);
            }
            true
        };
        while start.elapsed() < wait && read(&mut lines) {}
        child.kill().unwrap();
        child.wait().unwrap();
        while read(&mut lines) {}
        let budget = Budget::new(1 << 20, 1 << 20);
        let mut store = open_in(dir.path(), layout.clone(), &budget);
        check(
            &mut store,
            confirmed,
            &layout,
            &format!("seed {seed}, round {round}, {name}"),
        );
    }
}

#[test]
fn a_killed_process_leaves_a_checkpoint_and_its_position() {
    for seed in 0..2 {
        kill_and_check("plain", seed);
    }
}

#[test]
fn a_killed_process_leaves_segments_at_least_as_new_as_the_position() {
    for seed in 0..2 {
        kill_and_check("windows", seed);
    }
}

#[test]
fn a_simulated_crash_leaves_a_checkpoint_and_its_position() {
    for seed in 0..60 {
        let layout = if seed % 2 == 0 {
            Layout::KeyValue
        } else {
            WINDOWS
        };
        let simulation = World::simulated(seed);
        let budget = Budget::new(1 << 20, 1 << 20);
        let dir = Path::new("/state/store");
        let open = |world: &World| {
            Store::open(
                options(layout.clone(), EngineKind::Memory),
                Some(dir),
                &budget,
                world,
            )
            .unwrap()
        };
        let mut store = open(&simulation.world);
        for round in 0..3 {
            for offset in round * 100..(round + 1) * 100 {
                apply(&mut store, offset, &layout);
            }
            commit(&mut store, (round + 1) * 100);
            if round < 2 {
                store.checkpoint().unwrap();
            }
        }
        let mode = match seed % 3 {
            0 => CrashMode::KeepAll,
            1 => CrashMode::LoseUnsynced,
            _ => CrashMode::Torn { seed },
        };
        let restarted = simulation.restart(mode, seed);
        let mut store = open(&restarted.world);
        check(&mut store, 200, &layout, &format!("seed {seed}"));
    }
}
