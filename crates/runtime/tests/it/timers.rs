//! Timers of keys on the runtime, while workers die without a word between commits and others take their tasks over.
//! Not what timers are, which the streams' tests have. Invariant: each timer is called once, in the results that commits keep.

use crate::application::{impatient, read_all};
use headwater_log::MemoryLog;
use headwater_runtime::{Settings, SourceWriter, Worker};
use headwater_streams::{
    App, Processor, ProcessorContext, PunctuationKind, Record, Result, StoreHandle, Timer, Timers,
    Topology,
};
use headwater_world::{Random, SeededRandom, World};
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: u32 = 4;
const RECORDS: u64 = 200;
const DELAY_MS: i64 = 25;
/// Every partition ends with records of this time, by which all timers are due.
const END_MS: i64 = 10_000;
const STEPS: usize = 6_000;

type Ctx<'a, 'c> = ProcessorContext<'a, 'c, u64, i64>;

/// Two timers for each record: one by stream time, one by the wall clock, which is at zero of the epoch or later.
struct Reminder(StoreHandle<u64, (), Timers>);

impl Processor for Reminder {
    type KeyIn = u64;
    type ValueIn = i64;
    type KeyOut = u64;
    type ValueOut = i64;

    fn process(&mut self, record: Record<u64, i64>, ctx: &mut Ctx<'_, '_>) -> Result<()> {
        if record.timestamp < END_MS {
            let mut timers = ctx.store(self.0)?;
            let at = record.timestamp + DELAY_MS;
            timers.set(PunctuationKind::StreamTime, at, &record.key)?;
            timers.set(PunctuationKind::WallClock, at, &record.key)?;
        }
        Ok(())
    }

    fn timer(&mut self, timer: Timer<u64>, ctx: &mut Ctx<'_, '_>) -> Result<()> {
        let value = match timer.clock {
            PunctuationKind::StreamTime => timer.at,
            PunctuationKind::WallClock => -timer.at,
        };
        ctx.forward(Record::new(timer.key, Some(value), timer.at))
    }
}

fn topology() -> Arc<Topology> {
    let app = App::new("app");
    let timers = app.timers::<u64>("reminders");
    app.stream::<u64, i64>("in")
        .process(timers, move || Reminder(timers))
        .to("out");
    Arc::new(app.build().unwrap())
}

fn load(log: &MemoryLog, settings: &Settings) {
    let mut writer = SourceWriter::open(log, "app", "file", settings).unwrap();
    writer.ensure_topic("in", PARTITIONS).unwrap();
    writer.ensure_topic("out", 1).unwrap();
    for key in 0..RECORDS {
        writer.append("in", &key, &0_i64, key as i64).unwrap();
    }
    for key in 0..64_u64 {
        writer.append("in", &key, &0_i64, END_MS).unwrap();
    }
    writer.commit(RECORDS).unwrap();
}

/// The timers that were called, and how many workers died.
fn run(seed: u64, when_idle: bool) -> (Vec<(u64, i64)>, usize) {
    let simulation = World::simulated(seed);
    let log = MemoryLog::new(&simulation.world);
    let settings = Settings {
        world: impatient(&simulation),
        commit_interval_ms: if when_idle { 30_000 } else { 5 },
        commit_when_idle: when_idle,
        step_records_max: 3,
        session_timeout_ms: 150,
        rebalance_timeout_ms: 300,
        ..Settings::default()
    };
    load(&log, &settings);
    let topology = topology();
    let join = |number| {
        Worker::join(&topology, &*log, settings.clone(), number)
            .unwrap()
            .0
    };
    let mut workers = vec![join(0), join(1)];
    let random = SeededRandom::new(seed);
    let mut died = 0;
    for step in 0..STEPS {
        simulation.clock.advance(Duration::from_millis(1));
        let number = random.below(2) as usize;
        if step < STEPS / 2 && random.below(150) == 0 {
            died += 1;
            workers[number] = join(1 + died);
        }
        workers[number].step().unwrap();
    }
    drop(workers);
    let number = |bytes: Vec<u8>| i64::from_be_bytes(bytes.try_into().unwrap());
    let called = read_all(&*log, &settings.world, "out").into_iter();
    let mut called: Vec<(u64, i64)> = called
        .map(|(key, value)| (number(key) as u64, number(value)))
        .collect();
    called.sort_unstable();
    (called, died)
}

#[test]
fn each_timer_is_called_once_whoever_dies() {
    let due = |key: u64| [-(key as i64) - DELAY_MS, key as i64 + DELAY_MS].map(|at| (key, at));
    let expected: Vec<(u64, i64)> = (0..RECORDS).flat_map(due).collect();
    let mut deaths = 0;
    // The last ones commit when they are idle, and only then.
    for seed in 0..24 {
        let (called, died) = run(seed, seed >= 16);
        assert_eq!(called, expected, "seed {seed}, {died} workers died");
        deaths += died;
    }
    assert!(deaths > 100, "only {deaths} workers died");
}
