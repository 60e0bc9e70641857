//! Windows behind a repartition topic while source partitions are read at different paces, in seeded order.
//! Not late records: all are on time in their partition. Invariant: each window's final count leaves once and is complete.

use crate::application::read_all;
use headwater_log::MemoryLog;
use headwater_runtime::{Settings, SourceWriter, Worker};
use headwater_streams::{
    App, EmitStrategy, Semantics, Store, Suppress, TimeWindows, Topology, TopologySettings,
};
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

/// What runs: how many ms each ms of the tables above lasts, and which operators close the windows.
#[derive(Clone, Copy)]
struct Job {
    semantics: Semantics,
    cached: bool,
    scale: i64,
    closes: Closes,
    among: Among,
}

/// Who else is in the group.
#[derive(Clone, Copy, PartialEq)]
enum Among {
    Own,
    /// Half of the workers are as Kafka Streams, to the end.
    Java,
    /// They die in the middle, and workers of ours replace them.
    JavaAtFirst,
}

#[derive(Clone, Copy, PartialEq)]
enum Closes {
    Suppression,
    Aggregate,
    Join,
}

const JOB: Job = Job {
    semantics: Semantics::Headwater,
    cached: false,
    scale: 1,
    closes: Closes::Suppression,
    among: Among::Own,
};

fn topology(job: Job) -> Arc<Topology> {
    let app = App::new("app");
    app.configure(TopologySettings {
        semantics: job.semantics,
        ..TopologySettings::default()
    });
    let window = Duration::from_millis((WINDOW_MS * job.scale) as u64);
    if job.closes == Closes::Join {
        join(&app, window);
        return Arc::new(app.build().unwrap());
    }
    let store = Store::from("counts");
    let store = match job.cached {
        true => store,
        false => store.without_cache(),
    };
    let windows = app
        .stream::<u64, i64>("in")
        .group_by(|_, number| number % REGIONS)
        .windowed_by(TimeWindows::of(window));
    let counts = match job.closes {
        Closes::Aggregate => windows
            .emit_strategy(EmitStrategy::OnWindowClose)
            .count(store),
        _ => windows
            .count(store)
            .suppress(Suppress::until_window_closes()),
    };
    let scale = job.scale;
    counts
        .to_stream()
        .map(move |window, count| (window.key, format!("{} in {}", count, window.start / scale)))
        .to("out");
    Arc::new(app.build().unwrap())
}

/// Each number with itself, written to two topics at the same time and to different partitions.
fn join(app: &App, window: Duration) {
    let numbers = |topic: &str| {
        let stream = app.stream::<u64, i64>(topic);
        stream.select_key(|_, number| *number)
    };
    numbers("in")
        .left_join(numbers("other").within(window), |_, other| match other {
            Some(_) => "met".to_owned(),
            None => "alone".to_owned(),
        })
        .to("out");
}

/// Every number has met itself, once.
fn all_met() -> Finals {
    let met = |number| (number, vec!["met".to_owned()]);
    (REGIONS..RECORDS as i64).map(met).collect()
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

/// All of it by its own keys, or all to the partition of one key.
fn load(log: &MemoryLog, settings: &Settings, scale: i64, only: Option<u64>) {
    let mut writer = SourceWriter::open(log, "app", "file", settings).unwrap();
    writer.ensure_topic("in", PARTITIONS).unwrap();
    writer.ensure_topic("other", PARTITIONS).unwrap();
    writer.ensure_topic("out", 1).unwrap();
    for number in 0..RECORDS {
        let time = number as i64;
        let key = only.unwrap_or(number);
        writer.append("in", &key, &time, time * scale).unwrap();
        let key = key * 31 + 7;
        writer.append("other", &key, &time, time * scale).unwrap();
    }
    for key in 0..64_u64 {
        let region = (key % 5) as i64 % REGIONS;
        let key = only.unwrap_or(key);
        writer.append("in", &key, &region, END_MS * scale).unwrap();
        writer
            .append("other", &key, &region, END_MS * scale)
            .unwrap();
    }
    writer.commit(RECORDS).unwrap();
}

fn run(seed: u64, job: Job, one_partition: bool) -> Finals {
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
    // Whose partition that is in a mixed group is to differ.
    let key = if job.among == Among::Own { 0 } else { seed };
    load(&log, &settings, job.scale, one_partition.then_some(key));
    let java = topology(Job {
        semantics: Semantics::Java,
        ..job
    });
    let own = topology(job);
    let join = |topology, number| {
        Worker::join(topology, &*log, settings.clone(), number)
            .unwrap()
            .0
    };
    let is_java = |number| job.among != Among::Own && number % 2 == 1;
    let first = |number| join(if is_java(number) { &java } else { &own }, number);
    let mut workers: Vec<Worker> = (0..WORKERS).map(first).collect();
    let random = SeededRandom::new(seed);
    let favourite = random.below(WORKERS as u64) as usize;
    for step in 0..UNEVEN_STEPS + EVEN_STEPS {
        let number = match random.below(40) {
            0 => random.below(WORKERS as u64) as usize,
            // In a mixed group tasks are to stay where they are.
            _ if step < UNEVEN_STEPS && job.among == Among::Own => favourite,
            _ => step % WORKERS,
        };
        simulation.clock.advance(Duration::from_millis(1));
        // One dies without a word, and another takes its tasks over.
        if step == UNEVEN_STEPS / 2 {
            let same = job.among == Among::Java && is_java(number);
            workers[number] = join(if same { &java } else { &own }, WORKERS);
            for number in (0..WORKERS).filter(|number| is_java(*number)) {
                if job.among == Among::JavaAtFirst {
                    workers[number] = join(&own, 2 * WORKERS + number);
                }
            }
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
        let job = Job { cached, ..JOB };
        assert_eq!(run(seed, job, false), expected(), "seed {seed}");
    }
}

#[test]
fn kafka_streams_rule_loses_there() {
    let complete = expected();
    let job = Job {
        semantics: Semantics::Java,
        ..JOB
    };
    let losses = (0..6).filter(|seed| run(*seed, job, false) != complete);
    assert!(losses.count() > 0, "the orders are uneven enough to tell");
}

#[test]
fn partitions_at_their_end_hold_no_window_open() {
    let cached = Job {
        cached: true,
        ..JOB
    };
    assert_eq!(run(1, cached, true), expected());
    assert_eq!(run(2, JOB, true), expected());
}

#[test]
fn in_a_group_with_kafka_streams_no_window_waits_for_what_its_tasks_never_say() {
    for among in [Among::Java, Among::JavaAtFirst] {
        for closes in [Closes::Suppression, Closes::Aggregate] {
            for seed in 0..8 {
                let cached = seed % 2 == 0;
                let job = Job {
                    among,
                    closes,
                    cached,
                    ..JOB
                };
                let (mut finals, mut complete) = (run(seed, job, true), expected());
                // What ours holds open when Kafka Streams takes over leaves with the record that follows, and nothing follows the last.
                for windows in finals.values_mut().chain(complete.values_mut()) {
                    windows.retain(|window| !window.ends_with(" in 390"));
                }
                assert_eq!(finals, complete, "seed {seed}");
            }
        }
    }
}

#[test]
fn results_on_close_leave_when_upstream_has_said_enough_without_a_record_that_follows() {
    let closes = Closes::Aggregate;
    for seed in 0..8 {
        let cached = seed % 2 == 0;
        let job = Job {
            cached,
            closes,
            ..JOB
        };
        assert_eq!(run(seed, job, false), expected(), "seed {seed}");
        assert_eq!(run(seed, job, true), expected(), "seed {seed}, at its end");
    }
}

#[test]
fn a_task_that_takes_over_expires_no_window_that_upstream_may_still_fill() {
    // Windows of 100 s in segments of a minute: what expires is gone.
    let scale = 10_000;
    for closes in [Closes::Suppression, Closes::Aggregate] {
        for seed in 0..8 {
            let job = Job {
                scale,
                closes,
                ..JOB
            };
            assert_eq!(run(seed, job, false), expected(), "seed {seed}");
        }
    }
}

#[test]
fn joins_behind_repartition_topics_find_every_partner_that_was_on_time() {
    let closes = Closes::Join;
    for seed in 0..12 {
        let scale = if seed % 2 == 0 { 1 } else { 10_000 };
        let job = Job {
            closes,
            scale,
            ..JOB
        };
        let mut finals = run(seed, job, false);
        finals.retain(|number, _| *number >= REGIONS);
        assert_eq!(finals, all_met(), "seed {seed}");
    }
}

#[test]
fn kafka_streams_joins_miss_partners_there() {
    let job = Job {
        semantics: Semantics::Java,
        closes: Closes::Join,
        ..JOB
    };
    let misses = (0..4).filter(|seed| {
        let mut finals = run(*seed, job, false);
        finals.retain(|number, _| *number >= REGIONS);
        finals != all_met()
    });
    assert!(misses.count() > 0, "the orders are uneven enough to tell");
}
