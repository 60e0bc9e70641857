//! The embedded log's commit, and a worker on it, on a disk in memory. Not the threads: on such a disk clients crank the log.
//! Invariant: the clock moves a fixed step with each turn, so commits fall where they fell before.

use super::task::topology;
use super::{KEYS, keys, record};
use anyhow::{Result, ensure};
use headwater::log::embedded::{EmbeddedLog, EmbeddedOptions};
use headwater::log::{
    Client, ClientOptions, CommitRequest, CommittedOffset, Guarantee, Log, NewTopic, Request,
    TopicPartition, call, call_deadline_default_ms,
};
use headwater::world::{Simulation, World};
use headwater_runtime::{Settings, Worker};
use std::sync::Arc;
use std::time::Duration;

/// Records of one commit in `log-commit`.
const COMMIT_RECORDS: usize = 256;
/// Records that lie in the input of `worker-count`; operations are its tail.
const INPUT_RECORDS: u64 = 8 * KEYS;
/// ms that pass in one step of the worker.
const STEP_MS: u64 = 1;
/// Steps without an end mean that something is stuck.
const STEPS_MAX: u64 = 1_000_000;

struct Bench {
    simulation: Simulation,
    log: Arc<EmbeddedLog>,
    client: Box<dyn Client>,
}

impl Bench {
    fn new() -> Result<Self> {
        let simulation = World::simulated(1);
        let log = EmbeddedLog::open("/log", simulation.world.clone(), EmbeddedOptions::default())?;
        let client = log.client(ClientOptions {
            guarantee: Guarantee::ExactlyOnce,
            ..ClientOptions::default()
        })?;
        Ok(Self {
            simulation,
            log,
            client,
        })
    }

    fn ask(&mut self, request: Request) -> Result<()> {
        call(
            &mut *self.client,
            &*self.simulation.world.clock,
            request,
            call_deadline_default_ms(),
        )?;
        Ok(())
    }

    fn create(&mut self, name: &str, partitions: u32) -> Result<()> {
        let topic = NewTopic {
            name: name.into(),
            partitions,
            config: Default::default(),
        };
        self.ask(Request::CreateTopics(vec![topic]))
    }
}

pub(super) fn commits(operations: u64) -> Result<()> {
    let mut bench = Bench::new()?;
    bench.create("out", 2)?;
    let slots = [0, 1].map(|number| bench.client.slot(&TopicPartition::new("out", number)));
    let (keys, value) = (keys(), 7_u64.to_be_bytes());
    for _ in 0..operations {
        for (number, key) in keys.iter().take(COMMIT_RECORDS).enumerate() {
            bench
                .client
                .append(slots[number % 2], &record(number as i64, key, &value))?;
        }
        bench.ask(Request::Commit(CommitRequest::default()))?;
    }
    Ok(())
}

pub(super) fn worker(operations: u64) -> Result<()> {
    ensure!(
        operations <= INPUT_RECORDS,
        "at most {INPUT_RECORDS} records are in the input"
    );
    let mut bench = Bench::new()?;
    bench.create("events", 1)?;
    bench.create("counts-out", 1)?;
    let events = TopicPartition::new("events", 0);
    let slot = bench.client.slot(&events);
    let (keys, value) = (keys(), [b'v'; crate::generate::VALUE_BYTES]);
    for number in 0..INPUT_RECORDS {
        let key = &keys[(number % KEYS) as usize];
        bench
            .client
            .append(slot, &record(number as i64, key, &value))?;
        if (number + 1) % KEYS == 0 {
            bench.ask(Request::Commit(CommitRequest::default()))?;
        }
    }
    let start = CommittedOffset {
        offset: (INPUT_RECORDS - operations) as i64,
        leader_epoch: None,
        metadata: String::new(),
    };
    bench.ask(Request::SetOffsets {
        group: "hot".into(),
        offsets: vec![(events, Some(start))],
    })?;
    let settings = Settings {
        world: bench.simulation.world.clone(),
        cache_bytes_max: 160 << 10,
        commit_interval_ms: 5 * STEP_MS,
        step_records_max: 1_000,
        ..Settings::default()
    };
    let (mut worker, _views) = Worker::join(&topology()?, &*bench.log, settings, 1)?;
    let (mut records, mut commits) = (0, None);
    for _ in 0..STEPS_MAX {
        bench
            .simulation
            .clock
            .advance(Duration::from_millis(STEP_MS));
        records += worker.step()?.records as u64;
        // The last records' commit is the one after they were seen.
        match commits {
            Some(before) if worker.commits() > before => return Ok(()),
            None if records == operations => commits = Some(worker.commits()),
            _ => {}
        }
    }
    anyhow::bail!("{records} of {operations} records were processed")
}
