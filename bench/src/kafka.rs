//! The yardsticks on Apache Kafka: one run of one job against a running broker, one JSON line. `cargo xtask bench` starts the
//! broker, fills the inputs, runs the other systems beside ours and checks the outputs.
//! Not the measuring of CPU and memory: whoever starts this process does that, for every system alike.
//! Invariant: a job reads and writes what the Java programs in `bench/java` do, with the same settings.

mod ask;
mod consume;
mod drive;
mod fill;
mod input;
mod javarandom;
mod job;
mod limit;
mod line;
mod pour;
mod produce;
mod serve;
mod streams;

pub(crate) use input::{Input, Record, Shape};
pub(crate) use job::{Inputs, Seen, StreamsJob};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use headwater::Kafka;
use headwater::log::{Client, ClientOptions, Log, Slot, TopicPartition};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// The longest a job may take.
const RUN_SECONDS_MAX: u64 = 1_200;
/// How long a job waits for a topic to be known.
const TOPIC_SECONDS_MAX: u64 = 30;
/// Of every topic of the jobs.
const PARTITIONS: usize = 4;

/// Which job.
#[derive(Subcommand)]
pub(crate) enum Job {
    /// Writes an input of the jobs: the same records every time.
    Fill(fill::Options),
    /// Runs a topology until it has seen all records.
    Streams(streams::Options),
    /// Writes records at a fixed rate and sees the results of an application that passes them on.
    Drive(drive::Options),
    /// Counts by key with sockets and a hash map: the floor.
    Limit(limit::Options),
    /// Reads a topic to its end and does nothing with it.
    Consume(consume::Options),
    /// Writes the input's records to a topic, acknowledged by all replicas, idempotent.
    Produce(produce::Options),
    /// Runs an instance that counts and answers for its counts over HTTP, until standard input ends.
    Serve(serve::Options),
    /// Writes records at a fixed rate until standard input ends.
    Pour(pour::Options),
    /// Asks two instances for their counts while these change, and checks every answer.
    Ask(ask::Options),
}

/// Where.
#[derive(Args, Clone)]
pub(crate) struct Place {
    /// The broker, HOST:PORT.
    #[arg(long, default_value = "127.0.0.1:19092")]
    bootstrap: String,
    /// A setting of the client by Kafka's name, NAME=VALUE.
    #[arg(long = "set")]
    settings: Vec<String>,
}

/// Runs it.
pub(crate) fn run(job: &Job) -> Result<()> {
    match job {
        Job::Fill(options) => fill::run(options),
        Job::Streams(options) => streams::run(options),
        Job::Drive(options) => drive::run(options),
        Job::Limit(options) => limit::run(options),
        Job::Consume(options) => consume::run(options),
        Job::Produce(options) => produce::run(options),
        Job::Serve(options) => serve::run(options),
        Job::Pour(options) => pour::run(options),
        Job::Ask(options) => ask::run(options),
    }
}

impl Place {
    fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn kafka(&self) -> Result<Kafka> {
        let mut kafka = Kafka::at(&self.bootstrap)?;
        for setting in &self.settings {
            let (name, value) = setting
                .split_once('=')
                .with_context(|| format!("`{setting}` is not NAME=VALUE"))?;
            kafka = kafka.with(name, value)?;
        }
        Ok(kafka)
    }

    fn with(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// A client that wakes this thread.
    fn client(&self, options: ClientOptions) -> Result<Box<dyn Client>> {
        let options = ClientOptions {
            client_id: "bench".into(),
            waker: Some(Waker::from(Arc::new(Unpark(std::thread::current())))),
            ..options
        };
        Ok(self.kafka()?.client(options)?)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The slots of all partitions of `topic`, once the client knows how many there are.
fn slots(client: &mut dyn Client, topic: &str) -> Result<Vec<Slot>> {
    let begin = Instant::now();
    let partitions = loop {
        if let Some(partitions) = client.partitions(topic) {
            break partitions;
        }
        anyhow::ensure!(
            begin.elapsed().as_secs() < TOPIC_SECONDS_MAX,
            "no topic `{topic}`"
        );
        client.poll();
        nap();
    };
    let slot = |partition| client.slot(&TopicPartition::new(topic, partition));
    Ok((0..partitions).map(slot).collect())
}

/// Waits for the client to wake us, or a little.
fn nap() {
    std::thread::park_timeout(std::time::Duration::from_millis(1));
}
