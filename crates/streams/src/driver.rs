//! `TestDriver`: runs a topology in memory, record by record, as Kafka Streams' `TopologyTestDriver` does.
//! Not a runtime: one partition per topic, a commit after each record, no log. Invariant: nothing waits and nothing is random.

use crate::format::{Data, Formats};
use crate::task::{Output, Route, Task};
use crate::{Error, Headers, Result, Topology};
use headwater_log::batch::BatchBuilder;
use headwater_log::{AppendRecord, Chunk, HeadersRef, Slot, TaskId, TopicPartition};
use headwater_store::{Budget, EngineKind, RecordCache, Store};
use headwater_world::World;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A record in bytes, as a topic holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRecord {
    /// The key, if any.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The timestamp, ms since the epoch.
    pub timestamp: i64,
    /// The headers.
    pub headers: Headers,
}

/// Drives a topology in a test.
pub struct TestDriver {
    topology: Arc<Topology>,
    tasks: Vec<Task>,
    cache: RecordCache,
    output: Recorder,
    offsets: BTreeMap<String, i64>,
    now_ms: i64,
}

/// 10 MiB, the default of `statestore.cache.max.bytes`.
const CACHE_BYTES: usize = 10 << 20;

impl TestDriver {
    /// Wires the topology with state in memory; the wall clock stands at 0.
    pub fn new(topology: Topology) -> Result<Self> {
        Self::with_cache(topology, CACHE_BYTES)
    }

    /// As [`TestDriver::new`], with a record cache of `cache_bytes_max` bytes.
    pub fn with_cache(topology: Topology, cache_bytes_max: usize) -> Result<Self> {
        let topology = Arc::new(topology);
        let world = World::simulated(0).world;
        let budget = Budget::new(64 << 20, 1 << 20);
        let mut cache = RecordCache::new(cache_bytes_max);
        let mut output = Recorder::new(&topology);
        let mut tasks = Vec::new();
        for part in topology.subtopologies() {
            let mut stores = Vec::new();
            for number in &part.stores {
                let mut options = topology
                    .store(*number)
                    .map(|store| store.options)
                    .expect("a part names its stores");
                options.engine = EngineKind::Memory;
                stores.push((*number, Store::open(options, None, &budget, &world)?));
            }
            let id = TaskId {
                subtopology: part.id,
                partition: 0,
            };
            tasks.push(Task::new(
                &topology,
                id,
                stores,
                &[],
                &mut |_| 0,
                &mut cache,
            )?);
        }
        for task in &mut tasks {
            task.open(&mut cache, &mut output, 0)?;
        }
        Ok(Self {
            topology,
            tasks,
            cache,
            output,
            offsets: BTreeMap::new(),
            now_ms: 0,
        })
    }

    /// The topology.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Pipes a typed record with the types' default formats, and everything that follows from it.
    pub fn pipe<K: Data, V: Data>(
        &mut self,
        topic: &str,
        key: K,
        value: V,
        timestamp: i64,
    ) -> Result<()> {
        let mut headers = Headers::default();
        let key = encode(topic, &mut headers, &key)?;
        let value = encode(topic, &mut headers, &value)?;
        self.pipe_raw(
            topic,
            TestRecord {
                key,
                value,
                timestamp,
                headers,
            },
        )
    }

    /// Pipes a record in bytes, and everything that follows from it.
    pub fn pipe_raw(&mut self, topic: &str, record: TestRecord) -> Result<()> {
        if !self
            .topology
            .source_topics()
            .iter()
            .any(|known| &**known == topic)
        {
            return Err(Error::Topology(format!(
                "the topology does not read topic '{topic}'"
            )));
        }
        self.feed(topic, &record)?;
        self.settle()
    }

    /// Moves the wall clock on by `ms`, and runs what is due.
    pub fn advance_wall_clock(&mut self, ms: i64) -> Result<()> {
        self.now_ms += ms;
        self.settle()
    }

    /// Takes everything written to `topic` so far: an output, a repartition topic or a changelog.
    pub fn read_raw(&mut self, topic: &str) -> Vec<TestRecord> {
        self.output
            .written
            .remove(topic)
            .map(Vec::from)
            .unwrap_or_default()
    }

    /// As [`TestDriver::read_raw`], decoded with the types' default formats: key, value, timestamp.
    pub fn read<K: Data, V: Data>(&mut self, topic: &str) -> Result<Vec<(K, Option<V>, i64)>> {
        let (key_format, value_format) = (K::format(), V::format());
        let error = |error| Error::format(topic, &error);
        let mut records = Vec::new();
        for record in self.read_raw(topic) {
            let key = match &record.key {
                Some(bytes) => key_format
                    .decode(topic, record.headers.as_ref(), bytes)
                    .map_err(error)?,
                None => key_format
                    .null()
                    .ok_or_else(|| Error::format(topic, &"an absent key".into()))?,
            };
            let value = match &record.value {
                Some(bytes) => Some(
                    value_format
                        .decode(topic, record.headers.as_ref(), bytes)
                        .map_err(error)?,
                ),
                None => None,
            };
            records.push((key, value, record.timestamp));
        }
        Ok(records)
    }

    /// The value under `key` in store `name`, with the types of the store.
    pub fn get<K: 'static, V: 'static>(&mut self, name: &str, key: &K) -> Result<Option<V>> {
        let missing = || Error::Topology(format!("no store '{name}' with these types"));
        let number = self
            .topology
            .stores
            .iter()
            .position(|store| store.name == name)
            .ok_or_else(missing)?;
        let spec = &self.topology.stores[number];
        let formats = spec
            .formats
            .downcast_ref::<Formats<K, V>>()
            .ok_or_else(missing)?;
        let (Some(key_format), Some(value_format)) = (&formats.key, &formats.value) else {
            return Err(missing());
        };
        let mut bytes = Vec::new();
        key_format
            .encode(name, &mut Headers::default(), key, &mut bytes)
            .map_err(|error| Error::format(name, &error))?;
        let mut value = Vec::new();
        for task in &mut self.tasks {
            for (_, store) in task.stores().filter(|(found, _)| *found == number) {
                if store.get(&bytes, &mut value)? {
                    let plain = if spec.timestamped {
                        &value[8..]
                    } else {
                        &value[..]
                    };
                    let value = value_format
                        .decode(name, HeadersRef::NONE, plain)
                        .map_err(|error| Error::format(name, &error))?;
                    return Ok(Some(value));
                }
            }
        }
        Ok(None)
    }

    /// Records that operators or policies passed over, in all tasks.
    pub fn dropped(&self) -> u64 {
        self.tasks
            .iter()
            .map(|task| task.counters().dropped + task.counters().bad)
            .sum()
    }

    fn feed(&mut self, topic: &str, record: &TestRecord) -> Result<()> {
        let partition = TopicPartition::new(topic, 0);
        let offset = self.offsets.entry(topic.into()).or_default();
        let mut batch = BatchBuilder::default();
        batch.append(&AppendRecord {
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: record.headers.as_ref(),
        });
        let mut bytes = batch.finish();
        headwater_log::batch::set_base_offset(&mut bytes, *offset);
        *offset += 1;
        for task in &mut self.tasks {
            let inputs: Vec<_> = task.inputs().map(|input| input.partition).collect();
            for (number, input) in inputs.iter().enumerate() {
                if *input == partition {
                    let chunk = Chunk {
                        partition: partition.clone(),
                        slot: Slot(0),
                        position: *offset - 1,
                        next_offset: *offset,
                        end_offset: *offset,
                        bytes: bytes.clone(),
                        aborted: Vec::new(),
                    };
                    task.add_chunk(number, chunk);
                } else {
                    task.set_end(number, Some(0));
                }
            }
        }
        Ok(())
    }

    /// Processes, punctuates and commits until nothing moves.
    fn settle(&mut self) -> Result<()> {
        loop {
            let mut moved = false;
            for task in &mut self.tasks {
                let progress =
                    task.process(&mut self.cache, &mut self.output, self.now_ms, usize::MAX)?;
                let punctuated = task.punctuate(&mut self.cache, &mut self.output, self.now_ms)?;
                moved |= progress.records > 0 || punctuated > 0;
                task.flush(&mut self.cache, &mut self.output)?;
                task.seal()?;
                for (_, store) in task.stores() {
                    store.commit(None)?;
                }
            }
            while let Some((topic, record)) = self.output.internal.pop_front() {
                self.feed(&topic, &record)?;
                moved = true;
            }
            if !moved {
                return Ok(());
            }
        }
    }
}

fn encode<T: Data>(topic: &str, headers: &mut Headers, value: &T) -> Result<Option<Vec<u8>>> {
    let format = T::format();
    if format.is_null(value) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    format
        .encode(topic, headers, value, &mut bytes)
        .map_err(|error| Error::format(topic, &error))?;
    Ok(Some(bytes))
}

/// Keeps what tasks write, and queues what goes back to a source of the same topology.
struct Recorder {
    topics: Vec<String>,
    changelogs: Vec<Option<String>>,
    sources: Vec<Arc<str>>,
    written: BTreeMap<String, VecDeque<TestRecord>>,
    internal: VecDeque<(String, TestRecord)>,
}

impl Recorder {
    fn new(topology: &Topology) -> Self {
        Self {
            topics: topology.output_topics().to_vec(),
            changelogs: topology.stores().map(|store| store.changelog).collect(),
            sources: topology.source_topics().to_vec(),
            written: BTreeMap::new(),
            internal: VecDeque::new(),
        }
    }

    fn record(&mut self, topic: &str, record: &AppendRecord<'_>) {
        let kept = TestRecord {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            timestamp: record.timestamp,
            headers: Headers::copied(record.headers),
        };
        if self.sources.iter().any(|source| &**source == topic) {
            self.internal.push_back((topic.into(), kept.clone()));
        }
        self.written
            .entry(topic.into())
            .or_default()
            .push_back(kept);
    }
}

impl Output for Recorder {
    fn send(&mut self, topic: u32, _: Route<'_>, record: &AppendRecord<'_>) -> Result<()> {
        let topic = self.topics[topic as usize].clone();
        self.record(&topic, record);
        Ok(())
    }

    fn send_to(&mut self, topic: &str, _: Route<'_>, record: &AppendRecord<'_>) -> Result<()> {
        self.record(topic, record);
        Ok(())
    }

    fn changelog(&mut self, store: usize, _: u32, record: &AppendRecord<'_>) -> Result<()> {
        if let Some(topic) = self.changelogs[store].clone() {
            self.record(&topic, record);
        }
        Ok(())
    }

    fn partitions(&mut self, _: u32) -> Result<u32> {
        Ok(1)
    }
}
