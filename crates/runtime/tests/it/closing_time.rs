//! Windows behind a repartition topic while source partitions are read at different paces, in seeded order.
//! Not late records: all are on time in their partition. Invariant: each window's final count leaves once and is complete.

use crate::application::read_all;
use headwater_log::MemoryLog;
use headwater_runtime::{Settings, SourceWriter, Worker};
use headwater_streams::{App, Semantics, Store, Suppress, TimeWindows, Topology, TopologySettings};
use headwater_world::{Random, SeededRandom, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: u32 = 4;
const WORKERS: usize = 4;
const RECORDS: u64 = 400;
const REGIONS: i64 = 3;
const WINDOW_MS: i64 = 10;
/// Every partition ends with records of this time, which close all windows before it.
const END_MS: i64 = 10_000;
const UNEVEN_STEPS: usize = 1_200;
const EVEN_STEPS: usize = 6_000;

fn topology(semantics: Semantics, cached: bool) -> Arc<Topology> {
    let app = App::new("app");
    app.configure(TopologySettings {
        semantics,
        ..TopologySettings::default()
    });
    let store = Store::from("counts");
    let store = if cached { store } else { store.without_cache() };
    app.stream::<u64, i64>("in")
        .group_by(|_, number| number % REGIONS)
        .windowed_by(TimeWindows::of(Duration::from_millis(WINDOW_MS as u64)))
        .count(store)
        .suppress(Suppress::until_window_closes())
        .to_stream()
        .map(|window, count| (window.key, format!("{} in {}", count, window.start)))
        .to("out");
    Arc::new(app.build().unwrap())
}

/// Final results by region: the windows in the order of their texts.
type Finals = BTreeMap<i64, Vec<String>>;

fn expected() -> Finals {
    let mut counts: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    for time in 0..RECORDS as i64 {
        *counts
            .entry((time % REGIONS, time / WINDOW_MS * WINDOW_MS))
            .or_default() += 1;
    }
    let mut finals = Finals::new();
    for ((region, start), count) in counts {
        finals
            .entry(region)
            .or_default()
            .push(format!("{count} in {start}"));
    }
    finals.values_mut().for_each(|windows| windows.sort());
    finals
}

/// All of it, or only what one partition gets.
fn load(log: &MemoryLog, settings: &Settings, one_partition: bool) {
    let mut writer = SourceWriter::open(log, "app", "file", settings).unwrap();
    writer.ensure_topic("in", PARTITIONS).unwrap();
    writer.ensure_topic("out", 1).unwrap();
    for number in 0..RECORDS {
        let time = number as i64;
        let key = if one_partition { 0 } else { number };
        writer.append("in", &key, &time, time).unwrap();
    }
    for key in 0..64_u64 {
        let region = (key % 5) as i64 % REGIONS;
        let key = if one_partition { 0 } else { key };
        writer.append("in", &key, &region, END_MS).unwrap();
    }
    writer.commit(RECORDS).unwrap();
}

fn run(seed: u64, semantics: Semantics, cached: bool, one_partition: bool) -> Finals {
    let simulation = World::simulated(seed);
    let log = MemoryLog::new(&simulation.world);
    let settings = Settings {
        world: crate::application::impatient(&simulation),
        commit_interval_ms: 5,
        step_records_max: 3,
        session_timeout_ms: 150,
        rebalance_timeout_ms: 300,
        ..Settings::default()
    };
    load(&log, &settings, one_partition);
    let topology = topology(semantics, cached);
    let join = |number| {
        Worker::join(&topology, &*log, settings.clone(), number)
            .unwrap()
            .0
    };
    let mut workers: Vec<Worker> = (0..WORKERS).map(join).collect();
    let random = SeededRandom::new(seed);
    let favourite = random.below(WORKERS as u64) as usize;
    for step in 0..UNEVEN_STEPS + EVEN_STEPS {
        let number = match random.below(40) {
            0 => random.below(WORKERS as u64) as usize,
            _ if step < UNEVEN_STEPS => favourite,
            _ => step % WORKERS,
        };
        simulation.clock.advance(Duration::from_millis(1));
        // One dies without a word, and another takes its tasks over.
        if step == UNEVEN_STEPS / 2 {
            workers[number] = join(WORKERS);
        }
        workers[number].step().unwrap();
    }
    drop(workers);
    let mut finals = Finals::new();
    for (key, value) in read_all(&*log, &settings.world, "out") {
        let region = i64::from_be_bytes(key.try_into().unwrap());
        let text = String::from_utf8(value).unwrap();
        finals.entry(region).or_default().push(text);
    }
    finals.values_mut().for_each(|windows| windows.sort());
    finals
}

#[test]
fn windows_behind_a_repartition_topic_lose_nothing_when_partitions_are_read_at_different_paces() {
    for seed in 0..24 {
        let cached = seed % 2 == 0;
        assert_eq!(
            run(seed, Semantics::Headwater, cached, false),
            expected(),
            "seed {seed}"
        );
    }
}

#[test]
fn kafka_streams_rule_loses_there() {
    let complete = expected();
    let losses = (0..6).filter(|seed| run(*seed, Semantics::Java, false, false) != complete);
    assert!(losses.count() > 0, "the orders are uneven enough to tell");
}

#[test]
fn partitions_at_their_end_hold_no_window_open() {
    assert_eq!(run(1, Semantics::Headwater, true, true), expected());
    assert_eq!(run(2, Semantics::Headwater, false, true), expected());
}
