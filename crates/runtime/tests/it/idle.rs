//! Commits of a worker that has nothing else to do: results long before the interval, on every log that needs no broker.
//! Not faults: crashes, timers and the simulated cluster run with the option too. Invariant: the interval is so long that no commit
//! here is its doing.

use crate::application::{
    RECORDS, differences, expected, impatient, is_done, load, results, topology_in_memory,
};
use headwater_log::embedded::{EmbeddedLog, EmbeddedOptions};
use headwater_log::{Guarantee, Log, MemoryLog};
use headwater_runtime::{Settings, SourceWriter, Worker};
use headwater_streams::App;
use headwater_world::{Simulation, World};
use std::sync::Arc;
use std::time::Duration;

const INTERVAL_MS: u64 = 30_000;
/// Of the runtime: between the beginnings of two commits.
const GAP_MS: u64 = 5;
/// More ms than it takes to join, open and process all, and far fewer than the interval.
const SOON_MS: usize = 1_000;

type Open = fn(&Simulation) -> Arc<dyn Log>;

const LOGS: [(&str, Open); 3] = [
    ("memory", |simulation| MemoryLog::new(&simulation.world)),
    ("memory, like Kafka", |simulation| {
        MemoryLog::kafka_like(&simulation.world)
    }),
    ("embedded", |simulation| {
        let options = EmbeddedOptions::default();
        EmbeddedLog::open("/log", simulation.world.clone(), options).unwrap()
    }),
];

const GUARANTEES: [Guarantee; 2] = [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce];

fn settings(simulation: &Simulation, guarantee: Guarantee, when_idle: bool) -> Settings {
    Settings {
        world: impatient(simulation),
        guarantee,
        commit_interval_ms: INTERVAL_MS,
        commit_when_idle: when_idle,
        ..Settings::default()
    }
}

/// Steps for so many ms.
fn turn(worker: &mut Worker, simulation: &Simulation, ms: usize) {
    for _ in 0..ms {
        simulation.clock.advance(Duration::from_millis(1));
        worker.step().unwrap();
    }
}

#[test]
fn everything_is_committed_long_before_the_interval_and_then_nothing_more() {
    for (name, open) in LOGS {
        for guarantee in GUARANTEES {
            let what = format!("{name}, {guarantee:?}");
            let simulation = World::simulated(1);
            let log = open(&simulation);
            let settings = settings(&simulation, guarantee, true);
            load(&*log, &settings).unwrap();
            let (mut worker, _) =
                Worker::join(&topology_in_memory(), &*log, settings.clone(), 1).unwrap();
            turn(&mut worker, &simulation, SOON_MS);
            assert!(is_done(&*log, &settings.world).unwrap(), "{what}");
            let differences = differences(&results(&*log, &settings.world), &expected());
            assert!(differences.is_empty(), "{what}: {differences:#?}");
            let commits = worker.commits();
            assert!((1..=RECORDS).contains(&commits), "{what}: {commits}");
            turn(&mut worker, &simulation, SOON_MS);
            assert_eq!(worker.commits(), commits, "{what}: there was nothing");
        }
    }
}

#[test]
fn without_the_option_a_commit_waits_for_the_interval() {
    assert!(!Settings::default().commit_when_idle);
    for (name, open) in LOGS {
        for guarantee in GUARANTEES {
            let simulation = World::simulated(1);
            let log = open(&simulation);
            let settings = settings(&simulation, guarantee, false);
            load(&*log, &settings).unwrap();
            let (mut worker, _) =
                Worker::join(&topology_in_memory(), &*log, settings.clone(), 1).unwrap();
            turn(&mut worker, &simulation, SOON_MS);
            assert!(worker.running().count() > 0, "{name}, {guarantee:?}");
            assert_eq!(worker.commits(), 0, "{name}, {guarantee:?}");
        }
    }
}

/// A record each ms, as long as it takes.
fn drip(simulation: &Simulation, log: &dyn Log, worker: &mut Worker, records: u64) {
    let settings = Settings {
        world: simulation.world.clone(),
        ..Settings::default()
    };
    let mut writer = SourceWriter::open(log, "feeder", "drip", &settings).unwrap();
    for number in 0..records {
        writer.append("in", &number, &1_i64, number as i64).unwrap();
        writer.commit(number + 1).unwrap();
        turn(worker, simulation, 1);
    }
}

#[test]
fn under_a_steady_load_commits_keep_their_distance() {
    const RECORDS: u64 = 2_000;
    for (name, open) in LOGS {
        let simulation = World::simulated(1);
        let log = open(&simulation);
        let settings = Settings {
            world: simulation.world.clone(),
            ..settings(&simulation, Guarantee::ExactlyOnce, true)
        };
        let mut writer = SourceWriter::open(&*log, "app", "file", &settings).unwrap();
        writer.ensure_topic("in", 1).unwrap();
        writer.ensure_topic("out", 1).unwrap();
        let app = App::new("app");
        app.stream::<u64, i64>("in").to("out");
        let topology = Arc::new(app.build().unwrap());
        let (mut worker, _) = Worker::join(&topology, &*log, settings, 1).unwrap();
        while worker.running().count() < 1 {
            turn(&mut worker, &simulation, 1);
        }
        let begin = worker.commits();
        let begin_at = simulation.world.clock.elapsed();
        drip(&simulation, &*log, &mut worker, RECORDS);
        let took_ms = (simulation.world.clock.elapsed() - begin_at).as_millis() as u64;
        let commits = worker.commits() - begin;
        assert!(
            (RECORDS / 40..=took_ms / GAP_MS + 1).contains(&commits),
            "{name}: {commits} commits in {took_ms} ms"
        );
        println!("{name}: {commits} commits of {RECORDS} records in {took_ms} ms");
    }
}

#[test]
fn a_worker_sleeps_until_the_distance_is_kept_and_not_for_the_interval() {
    let simulation = World::simulated(1);
    let log = MemoryLog::new(&simulation.world);
    let settings = settings(&simulation, Guarantee::ExactlyOnce, true);
    let interval = Duration::from_millis(INTERVAL_MS);
    load(&*log, &settings).unwrap();
    let settings = Settings {
        world: simulation.world.clone(),
        ..settings
    };
    let (mut worker, _) = Worker::join(&topology_in_memory(), &*log, settings.clone(), 1).unwrap();
    let mut slept_short = 0;
    for _ in 0..10 * SOON_MS {
        simulation.clock.advance(Duration::from_micros(100));
        let step = worker.step().unwrap();
        let sleep = worker.idle_for();
        if !step.busy && sleep < interval {
            assert!(sleep <= Duration::from_millis(GAP_MS), "{sleep:?}");
            slept_short += 1;
        }
    }
    assert!(worker.commits() > 0 && slept_short > 0, "{slept_short}");
    turn(&mut worker, &simulation, SOON_MS);
    assert_eq!(worker.idle_for(), interval, "nothing is left to commit");
}
