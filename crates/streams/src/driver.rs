//! `TestDriver`: runs a topology in memory, record by record, as Kafka Streams' `TopologyTestDriver` does.
//! Not a runtime: one task for all sub-topologies, one partition per topic, a commit after each record, no log.
//! Invariant: nothing waits and nothing is random; which of the waiting records goes first is what Kafka Streams' driver takes.

mod contents;
mod turns;

pub use contents::{StoreContents, StoreRow};

use crate::format::{Data, Formats};
use crate::operator::UnmatchedRows;
use crate::task::{GlobalUpdate, Output, Route, Task};
use crate::topology::java_order::in_partition_order;
use crate::{Error, Headers, Result, Semantics, Topology};
use headwater_log::batch::BatchBuilder;
use headwater_log::{AppendRecord, Chunk, HeadersRef, RecordRef, Slot, TopicPartition};
use headwater_store::{Budget, Direction, EngineKind, KeyRange, RecordCache, Store};
use headwater_world::{SimulatedExecutor, World};
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Waker;
use turns::Turns;

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
    /// Runs the calls of `map_async`, until each has ended, before a record's commit.
    executor: Arc<SimulatedExecutor>,
    /// One for all sub-topologies.
    task: Task,
    globals: Option<GlobalUpdate>,
    turns: Turns,
    cache: RecordCache,
    output: Recorder,
    offsets: BTreeMap<String, i64>,
    /// The topics that the records of an input come from which a pattern stands for, in their order.
    real_topics: BTreeMap<usize, VecDeque<Arc<str>>>,
    now_ms: i64,
    idle_ms_max: i64,
    /// The inputs in the order in which Kafka Streams looks whether they have records.
    idle_order: Vec<usize>,
    /// Until when, by the wall clock, others wait for an input without records.
    idle_until: BTreeMap<usize, i64>,
}

/// 10 MiB, the default of `statestore.cache.max.bytes`.
const CACHE_BYTES: usize = 10 << 20;

impl TestDriver {
    /// Wires the topology with state in memory; the wall clock stands at 0.
    pub fn new(topology: Topology) -> Result<Self> {
        Self::with_cache(topology, CACHE_BYTES)
    }

    /// As [`TestDriver::new`], with a record cache of `cache_bytes_max` bytes; none with 0.
    pub fn with_cache(mut topology: Topology, cache_bytes_max: usize) -> Result<Self> {
        if cache_bytes_max == 0 {
            topology = topology.without_record_caches();
        }
        let topology = Arc::new(topology);
        let simulation = World::simulated(0);
        let world = simulation.world.clone();
        let budget = Budget::new(64 << 20, 1 << 20);
        let mut cache = RecordCache::new(cache_bytes_max);
        let mut output = Recorder::new(&topology);
        let parts = topology.globals().iter();
        let global_stores: Vec<usize> = parts.flat_map(|part| part.stores.clone()).collect();
        let stores = open_stores(&topology, topology.whole().stores.clone(), &budget, &world)?;
        let global_stores = open_stores(&topology, global_stores, &budget, &world)?;
        let mut globals =
            GlobalUpdate::with_cache(&topology, global_stores, RecordCache::new(cache_bytes_max));
        if let Some(globals) = &mut globals {
            globals.open(0)?;
            globals.commit()?;
            // One cache for both: the slots of the global stores come first.
            globals.swap_cache(&mut cache);
        }
        let mut task = Task::whole(&topology, stores, &mut cache);
        if let Some(globals) = &globals {
            task = task.with_globals(&globals.globals());
        }
        task.set_executor(simulation.executor.clone(), Waker::noop().clone());
        task.open(&mut cache, &mut output, 0)?;
        let inputs: Vec<_> = task.inputs().map(|input| input.partition).collect();
        let topics: Vec<&str> = inputs.iter().map(|input| &*input.topic).collect();
        Ok(Self {
            topology,
            idle_order: in_partition_order(&topics),
            executor: simulation.executor,
            task,
            globals,
            turns: Turns::default(),
            cache,
            output,
            offsets: BTreeMap::new(),
            real_topics: BTreeMap::new(),
            now_ms: 0,
            idle_ms_max: 0,
            idle_until: BTreeMap::new(),
        })
    }

    /// Lets records wait so many ms of wall clock for inputs that have none (`max.task.idle.ms`).
    pub fn set_idle_ms_max(&mut self, idle_ms_max: i64) {
        self.idle_ms_max = idle_ms_max;
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
        if record.timestamp < 0 {
            return Err(Error::Topology(format!(
                "a record for topic '{topic}' has the timestamp {}; timestamps are not negative",
                record.timestamp
            )));
        }
        if self.source_of(topic).is_none() {
            return Err(Error::Topology(format!(
                "the topology does not read topic '{topic}'"
            )));
        }
        let offset = self.feed(topic, &record)?;
        self.settle()?;
        // After the task, where it reads the topic too.
        self.apply_global(topic, &record, offset)
    }

    /// Moves the wall clock on by `ms`, and runs what is due.
    pub fn advance_wall_clock(&mut self, ms: i64) -> Result<()> {
        self.now_ms += ms;
        self.punctuate_and_commit()?;
        self.settle()
    }

    /// Takes everything written to `topic` so far: an output, a repartition topic or a changelog.
    pub fn read_raw(&mut self, topic: &str) -> Vec<TestRecord> {
        let (taken, kept) = std::mem::take(&mut self.output.written)
            .into_iter()
            .partition(|(written_to, _)| written_to == topic);
        self.output.written = kept;
        self.output.committed = self.output.written.len();
        let taken: Vec<(String, TestRecord)> = taken;
        taken.into_iter().map(|(_, record)| record).collect()
    }

    /// Takes everything written to any topic so far, in the order it was written.
    pub fn read_all(&mut self) -> Vec<(String, TestRecord)> {
        self.output.committed = 0;
        std::mem::take(&mut self.output.written)
    }

    /// The entries of store `name` as the store holds them, in the order of their bytes.
    pub fn entries_raw(&mut self, name: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let number = self.store_number(name)?;
        let mut entries = Vec::new();
        for (_, store) in self.task.stores().filter(|(found, _)| *found == number) {
            store.scan(KeyRange::ALL, Direction::Forward, &mut |key, value| {
                entries.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })?;
        }
        Ok(entries)
    }

    /// What store `name` holds, taken apart by its layout; `None` when no operator uses it.
    pub fn contents(&mut self, name: &str) -> Result<Option<StoreContents>> {
        let number = self.store_number(name)?;
        let semantics = self.topology.settings.semantics;
        if self.topology.is_global_store(number) {
            let mut stores = self.globals.iter_mut().flat_map(GlobalUpdate::stores);
            let found = stores.find(|(found, _)| *found == number);
            return found
                .map(|(_, store)| StoreContents::of(store, None, semantics, None))
                .transpose();
        }
        let lists = self.topology.stores[number].formats.is::<UnmatchedRows>();
        let held = self.topology.stores[number].held;
        let hidden = self.task.hidden(number);
        let found = self.task.stores().find(|(found, _)| *found == number);
        let contents =
            found.map(|(_, store)| StoreContents::of(store, held, semantics, hidden.as_ref()));
        let contents = contents.transpose()?;
        Ok(contents.map(|contents| {
            if lists {
                contents.split_rows(|row| UnmatchedRows::split(row).map(<[u8]>::to_vec).collect())
            } else {
                contents
            }
        }))
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

    /// Takes back what was written since the last commit, as exactly-once does when a record fails. State stays as it is.
    pub fn discard_uncommitted(&mut self) {
        self.output.written.truncate(self.output.committed);
    }

    /// The value under `key` in store `name`, with the types of the store.
    pub fn get<K: 'static, V: 'static>(&mut self, name: &str, key: &K) -> Result<Option<V>> {
        let missing = || Error::Topology(format!("no store '{name}' with these types"));
        let number = self.store_number(name)?;
        let spec = &self.topology.stores[number];
        let formats = spec
            .formats
            .downcast_ref::<Formats<K, V>>()
            .ok_or_else(missing)?;
        let (Some(key_format), Some(value_format)) = (&formats.key, &formats.value) else {
            return Err(missing());
        };
        let info = self.topology.store(number).ok_or_else(missing)?;
        let mut bytes = Vec::new();
        key_format
            .encode(name, &mut Headers::default(), key, &mut bytes)
            .map_err(|error| Error::format(name, &error))?;
        let mut value = Vec::new();
        for (_, store) in self.task.stores().filter(|(found, _)| *found == number) {
            if store.get(&bytes, &mut value)? {
                let (_, plain) = info.plain_value(&value)?;
                let value = value_format
                    .decode(name, HeadersRef::NONE, plain)
                    .map_err(|error| Error::format(name, &error))?;
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Records that operators or policies passed over.
    pub fn dropped(&self) -> u64 {
        let counters = self.task.counters();
        counters.dropped + counters.bad
    }

    /// Hands a record to the global stores that are filled from its topic.
    fn apply_global(&mut self, topic: &str, record: &TestRecord, offset: i64) -> Result<()> {
        let record = RecordRef {
            offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: record.headers.as_ref(),
        };
        let Some(globals) = &mut self.globals else {
            return Ok(());
        };
        let topics = &self.topology.source_topics;
        let Some(number) = topics.iter().position(|known| **known == *topic) else {
            return Ok(());
        };
        globals.swap_cache(&mut self.cache);
        let applied = globals.apply(number as u32, 0, &record, self.now_ms);
        let applied = applied.and_then(|()| globals.commit());
        globals.swap_cache(&mut self.cache);
        match applied {
            // Kafka Streams' driver passes over what its global topics cannot give, whatever the handler.
            Err(Error::BadData { .. }) if self.topology.settings.semantics == Semantics::Java => {
                Ok(())
            }
            applied => applied,
        }
    }

    /// The topic under which the task knows `topic`: itself, or the text of the pattern that stands for it.
    fn source_of(&self, topic: &str) -> Option<Arc<str>> {
        let known = self.topology.source_topics().iter();
        let known = known.clone().find(|known| ***known == *topic);
        let known = known.cloned();
        known.or_else(|| self.topology.pattern_of(topic).map(Arc::from))
    }

    /// Queues a record for the task, if that reads its topic; answers its offset. Topics behind one pattern share queue and
    /// offsets.
    fn feed(&mut self, real_topic: &str, record: &TestRecord) -> Result<i64> {
        let topic = self.source_of(real_topic);
        let topic = &*topic.unwrap_or_else(|| real_topic.into());
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
        let at = *offset - 1;
        let Some(input) = self
            .task
            .inputs()
            .position(|input| input.partition == partition)
        else {
            return Ok(at);
        };
        if topic != real_topic {
            let topics = self.real_topics.entry(input).or_default();
            topics.push_back(real_topic.into());
        }
        let waited = self.task.next_timestamp(input)?.is_some();
        let chunk = Chunk {
            partition,
            slot: Slot(0),
            position: at,
            next_offset: at + 1,
            end_offset: at + 1,
            bytes,
            aborted: Vec::new(),
        };
        self.task.add_chunk(input, chunk);
        if !waited {
            self.offer(input)?;
        }
        Ok(at)
    }

    fn offer(&mut self, input: usize) -> Result<()> {
        // Kafka Streams reads a record once it is the first of its queue, though it may then wait for other inputs.
        while self.idle_ms_max > 0 && !self.task.can_decode_next(input)? {
            self.process(input)?;
        }
        if let Some(timestamp) = self.task.next_timestamp(input)? {
            self.turns.offer(timestamp, input);
        }
        Ok(())
    }

    fn store_number(&self, name: &str) -> Result<usize> {
        let missing = || Error::Topology(format!("the topology has no store '{name}'"));
        self.topology
            .stores
            .iter()
            .position(|store| store.name == name)
            .ok_or_else(missing)
    }

    /// Processes record by record until none waits, as Kafka Streams' driver does: a record, the punctuations it makes due, a
    /// commit, and only then what was written for other sources.
    fn settle(&mut self) -> Result<()> {
        loop {
            while let Some((topic, record)) = self.output.internal.pop_front() {
                let offset = self.feed(&topic, &record)?;
                self.apply_global(&topic, &record, offset)?;
            }
            if !self.is_processable()? {
                return Ok(());
            }
            let Some(input) = self.turns.poll() else {
                return Ok(());
            };
            self.process(input)?;
            self.offer(input)?;
            self.punctuate_and_commit()?;
        }
    }

    /// Processes the next record of an input.
    fn process(&mut self, input: usize) -> Result<()> {
        let real_topics = self.real_topics.get_mut(&input);
        if let Some(topic) = real_topics.and_then(VecDeque::pop_front) {
            self.task.read_from(input, &topic);
        }
        let (cache, output) = (&mut self.cache, &mut self.output);
        self.task.process_input(input, cache, output, self.now_ms)
    }

    /// False while records wait for an input without any (`PartitionGroup.readyToProcess`); the first such input decides.
    fn is_processable(&mut self) -> Result<bool> {
        if self.idle_ms_max <= 0 || self.turns.is_empty() {
            return Ok(true);
        }
        for input in self.idle_order.iter().copied() {
            if self.task.next_timestamp(input)?.is_some() {
                self.idle_until.remove(&input);
                continue;
            }
            let until = self.now_ms.saturating_add(self.idle_ms_max);
            if self.now_ms < *self.idle_until.entry(input).or_insert(until) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs calls to the outside until none is left that can end.
    fn finish_calls(&mut self) -> Result<()> {
        while self.task.calls_running() > 0 {
            self.executor.run_until_idle();
            let (cache, output) = (&mut self.cache, &mut self.output);
            if self.task.poll_calls(cache, output, self.now_ms)? == 0 {
                return Err(Error::Topology(
                    "a call of map_async waits for something outside; the test driver runs only futures that end by themselves".into(),
                ));
            }
        }
        Ok(())
    }

    fn punctuate_and_commit(&mut self) -> Result<()> {
        self.finish_calls()?;
        let task = &mut self.task;
        task.punctuate(&mut self.cache, &mut self.output, self.now_ms)?;
        task.flush(&mut self.cache, &mut self.output)?;
        task.seal()?;
        for (_, store) in task.stores() {
            store.commit(None)?;
        }
        task.take_spent(drop);
        self.output.committed = self.output.written.len();
        Ok(())
    }
}

/// Opens stores in memory.
fn open_stores(
    topology: &Topology,
    numbers: Vec<usize>,
    budget: &Arc<Budget>,
    world: &World,
) -> Result<Vec<(usize, Store)>> {
    let mut stores = Vec::new();
    for number in numbers {
        let info = topology.store(number);
        let mut options = info.expect("a part names its stores").options;
        options.engine = EngineKind::Memory;
        stores.push((number, Store::open(options, None, budget, world)?));
    }
    Ok(stores)
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
    topology: Arc<Topology>,
    topics: Vec<String>,
    changelogs: Vec<Option<String>>,
    sources: Vec<Arc<str>>,
    written: Vec<(String, TestRecord)>,
    /// How many of these are committed.
    committed: usize,
    internal: VecDeque<(String, TestRecord)>,
}

impl Recorder {
    fn new(topology: &Arc<Topology>) -> Self {
        Self {
            topology: topology.clone(),
            topics: topology.output_topics().to_vec(),
            changelogs: topology.stores().map(|store| store.changelog).collect(),
            sources: topology.source_topics().to_vec(),
            written: Vec::new(),
            committed: 0,
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
        let read = self.sources.iter().any(|source| &**source == topic);
        if read || self.topology.pattern_of(topic).is_some() {
            self.internal.push_back((topic.into(), kept.clone()));
        }
        self.written.push((topic.into(), kept));
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

    fn partitions_of(&mut self, _: &str) -> Result<u32> {
        Ok(1)
    }
}
