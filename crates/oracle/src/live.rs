//! Runs a case on the runtime, over a simulated log with one partition a topic: one input at a time, a commit after each record,
//! and, if wanted, the process killed between two inputs. Not the judge's driver: offsets, the wall clock and the order across
//! topics are the log's own. Invariant: nothing here waits or is random; a seed decides which inputs a crash follows.

use crate::case::Input;
use crate::{Case, Refusal, node, run};
use headwater::TestRecord;
use headwater::log::embedded::{EmbeddedLog, EmbeddedOptions};
use headwater::log::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, Guarantee, Log, MemoryLog,
    NewTopic, OffsetSpec, Request, Response, TopicPartition, call,
};
use headwater::streams::{Headers, Semantics, Topology, TopologyBuilder, TopologySettings};
use headwater::world::{CrashMode, Random, SeededRandom, Simulation, World};
use headwater::{Settings, Worker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long one call to the simulated log may take, in ms of its clock.
const CALL_MS_MAX: u64 = 30_000;
/// Steps without rest mean that something is stuck.
const STEPS_MAX: usize = 20_000;
/// Steps in which nothing happens, 10 ms apart, after which nothing will.
const REST_STEPS: usize = 20;

/// Which log, and what happens to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The log in memory.
    Memory,
    /// The embedded log on a simulated disk.
    Embedded,
    /// As `Embedded`; after about one input in three the process dies and what is not synced is lost.
    Crashes(u64),
}

/// What each topic holds in the end, in its order.
pub type Topics = BTreeMap<String, Vec<TestRecord>>;

/// Runs `case`; `topics` must exist beside those that the topology names, for records whose topic is chosen by a function.
pub fn live(
    case: &Case,
    semantics: Semantics,
    stage: Stage,
    topics: &BTreeSet<String>,
) -> Result<Topics, Refusal> {
    let settings = run::settings(case)?.map_err(|error| Refusal::Case(error.to_string()))?;
    let settings = TopologySettings {
        semantics,
        ..settings
    };
    let app = TopologyBuilder::new(run::application(case));
    app.configure(settings);
    node::build(&app, case)?;
    let topology = app
        .build()
        .map_err(|error| Refusal::Case(error.to_string()))?;
    let cache_bytes = run::cache_bytes(case)?;
    let topology = match cache_bytes {
        Some(0) => topology.without_record_caches(),
        _ => topology,
    };
    let topology = match topology.has_patterns() {
        true => topology
            .resolve_patterns(topics.iter().cloned())
            .map_err(broken)?,
        false => topology,
    };
    let mut process = Process::start(Arc::new(topology), stage, cache_bytes)?;
    process.create(topics)?;
    process.settle()?;
    let mut random = match stage {
        Stage::Crashes(seed) => Some(SeededRandom::new(seed)),
        _ => None,
    };
    for input in &case.input {
        match input {
            Input::AdvanceWallClock(ms) => {
                let ms = u64::try_from(*ms).unwrap_or_default();
                process.simulation.clock.advance(Duration::from_millis(ms));
            }
            Input::Record { topic, record } => process.append(topic, record)?,
        }
        process.settle()?;
        if let Some(random) = &mut random
            && random.below(3) == 0
        {
            process = process.crash(random.next_u64())?;
            process.settle()?;
        }
    }
    process.read_all()
}

fn broken(error: impl std::fmt::Display) -> Refusal {
    Refusal::Broken(error.to_string())
}

struct Process {
    topology: Arc<Topology>,
    simulation: Simulation,
    log: Arc<dyn Log>,
    worker: Worker,
    stage: Stage,
    cache_bytes: Option<usize>,
}

impl Process {
    fn start(
        topology: Arc<Topology>,
        stage: Stage,
        cache_bytes: Option<usize>,
    ) -> Result<Self, Refusal> {
        Self::on(World::simulated(7), topology, stage, cache_bytes)
    }

    fn on(
        simulation: Simulation,
        topology: Arc<Topology>,
        stage: Stage,
        cache_bytes: Option<usize>,
    ) -> Result<Self, Refusal> {
        let log: Arc<dyn Log> = match stage {
            Stage::Memory => MemoryLog::new(&simulation.world),
            _ => EmbeddedLog::open("/log", simulation.world.clone(), EmbeddedOptions::default())
                .map_err(broken)?,
        };
        let defaults = Settings::default();
        let settings = Settings {
            world: simulation.world.clone(),
            commit_interval_ms: 0,
            step_records_max: 1,
            cache_bytes_max: cache_bytes.unwrap_or(defaults.cache_bytes_max),
            ..defaults
        };
        let joined = Worker::join(&topology, &*log, settings, 1);
        let (worker, _) = joined.map_err(broken)?;
        Ok(Self {
            topology,
            simulation,
            log,
            worker,
            stage,
            cache_bytes,
        })
    }

    /// Turns the crank until nothing happens any more.
    fn settle(&mut self) -> Result<(), Refusal> {
        let mut rest = 0;
        for _ in 0..STEPS_MAX {
            let step = self.worker.step().map_err(broken)?;
            rest = if step.busy { 0 } else { rest + 1 };
            if rest > REST_STEPS {
                return Ok(());
            }
            if !step.busy {
                self.simulation.clock.advance(Duration::from_millis(10));
            }
        }
        Err(Refusal::Broken("the worker does not come to rest".into()))
    }

    /// The process dies without a word; a new one comes up on the same disk.
    fn crash(self, seed: u64) -> Result<Self, Refusal> {
        let Self {
            topology,
            simulation,
            stage,
            cache_bytes,
            ..
        } = self;
        let simulation = simulation.restart(CrashMode::LoseUnsynced, seed);
        Self::on(simulation, topology, stage, cache_bytes)
    }

    fn client(&self) -> Result<Box<dyn Client>, Refusal> {
        let options = ClientOptions {
            guarantee: Guarantee::ExactlyOnce,
            ..ClientOptions::default()
        };
        self.log.client(options).map_err(broken)
    }

    fn ask(&self, client: &mut dyn Client, request: Request) -> Result<Response, Refusal> {
        call(client, &*self.simulation.world.clock, request, CALL_MS_MAX).map_err(broken)
    }

    fn create(&self, topics: &BTreeSet<String>) -> Result<(), Refusal> {
        let internal: BTreeSet<String> = self
            .topology
            .membership()
            .iter()
            .flat_map(|part| part.repartition_sources.iter().chain(&part.changelogs))
            .map(|topic| topic.name.clone())
            .collect();
        let sources = self
            .topology
            .source_topics()
            .iter()
            .map(|topic| topic.to_string());
        let outputs = self.topology.output_topics().iter().cloned();
        let all: BTreeSet<String> = sources
            .chain(outputs)
            .chain(topics.iter().cloned())
            .collect();
        let config = [("retention.ms".to_owned(), "-1".to_owned())];
        let new = all.into_iter().filter(|topic| !internal.contains(topic));
        let new = new.map(|name| NewTopic {
            name,
            partitions: 1,
            config: config.clone().into(),
        });
        let request = Request::CreateTopics(new.collect());
        self.ask(&mut *self.client()?, request).map(|_| ())
    }

    fn append(&self, topic: &str, record: &TestRecord) -> Result<(), Refusal> {
        let mut client = self.client()?;
        let slot = client.slot(&TopicPartition::new(topic, 0));
        let record = AppendRecord {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: record.headers.as_ref(),
        };
        client.append(slot, &record).map_err(broken)?;
        let commit = CommitRequest {
            group: None,
            member: None,
            offsets: Vec::new(),
        };
        self.ask(&mut *client, Request::Commit(commit)).map(|_| ())
    }

    fn read_all(&self) -> Result<Topics, Refusal> {
        let mut client = self.client()?;
        let Response::Topics(known) = self.ask(&mut *client, Request::DescribeTopics(None))? else {
            return Err(Refusal::Broken(
                "the log did not describe its topics".into(),
            ));
        };
        let mut topics = Topics::new();
        for topic in known {
            let name = topic.name.to_string();
            let mut records = Vec::new();
            for partition in 0..topic.partitions {
                let partition = TopicPartition::new(name.clone(), partition);
                records.extend(self.read(&mut *client, &partition)?);
            }
            topics.insert(name, records);
        }
        Ok(topics)
    }

    fn read(
        &self,
        client: &mut dyn Client,
        partition: &TopicPartition,
    ) -> Result<Vec<TestRecord>, Refusal> {
        let mut ends = [0_i64; 2];
        for (end, spec) in ends.iter_mut().zip([OffsetSpec::Start, OffsetSpec::Stable]) {
            let request = Request::Offsets(vec![(partition.clone(), spec)]);
            if let Response::Offsets(offsets) = self.ask(client, request)? {
                *end = offsets.first().map_or(0, |(_, offset)| *offset);
            }
        }
        let [mut position, end] = ends;
        let slot = client.slot(partition);
        client.read_from(slot, position);
        let mut records = Vec::new();
        for _ in 0..STEPS_MAX {
            if position >= end {
                client.stop_reading(slot);
                return Ok(records);
            }
            client.poll();
            let Some(chunk) = client.fetch().map_err(broken)? else {
                continue;
            };
            position = chunk.next_offset;
            let mut cursor = ChunkCursor::new(chunk);
            while let Some(record) = cursor.next_record().map_err(broken)? {
                records.push(TestRecord {
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp,
                    headers: Headers::copied(record.headers),
                });
            }
        }
        Err(Refusal::Broken(format!(
            "{partition} could not be read to its end"
        )))
    }
}
