//! Tasks of the jobs that have more to do for a record than the count: sessions, a stream with a table, lines into words. Fed by
//! hand with records as the jobs on Kafka read them, a tenth of their keys in a tenth of their record cache.
//! Invariant: all rows of a table come before the first record that is counted.

use super::BATCH_RECORDS;
use crate::batches::Batches;
use crate::kafka::{Input, Inputs, Record, Seen, Shape, StreamsJob};
use anyhow::{Context, Result};
use headwater::log::batch::{BatchBuilder, set_base_offset};
use headwater::log::{AppendRecord, Chunk, HeadersRef, Slot, TaskId};
use headwater::store::{Budget, EngineKind, RecordCache, Store};
use headwater::world::World;
use headwater_streams::Task;
use std::sync::Arc;

const KEYS: u64 = 20_000;
const CACHE_BYTES: usize = 1 << 20;
const COMMIT_RECORDS: u64 = 4 * BATCH_RECORDS;
const EPOCH_MS: i64 = 1_700_000_000_000;
/// Before the others, the rows of a table.
const EARLIER_MS: i64 = 3_600_000;

pub(super) fn session(operations: u64) -> Result<()> {
    run(StreamsJob::Session, operations)
}

pub(super) fn window(operations: u64) -> Result<()> {
    run(StreamsJob::Window, operations)
}

pub(super) fn join(operations: u64) -> Result<()> {
    run(StreamsJob::Join, operations)
}

pub(super) fn split(operations: u64) -> Result<()> {
    run(StreamsJob::Words, operations)
}

fn run(job: StreamsJob, operations: u64) -> Result<()> {
    let inputs = Inputs {
        input: "events",
        second: "rows",
    };
    let topology = Arc::new(job.topology("hot", &inputs, &Seen::default())?);
    let id = TaskId {
        subtopology: 0,
        partition: 0,
    };
    let (mut cache, mut output) = (RecordCache::new(CACHE_BYTES), Batches::default());
    let budget = Budget::new(64 << 20, 1 << 20);
    let world = World::simulated(1).world;
    let part = topology.subtopology(0).context("no sub-topology")?;
    let mut stores = Vec::new();
    for (number, info) in topology.stores().enumerate() {
        if part.stores.contains(&number) {
            let mut options = info.options.clone();
            options.engine = EngineKind::Memory;
            stores.push((number, Store::open(options, None, &budget, &world)?));
        }
    }
    let mut task = Task::new(&topology, id, stores, &[], &mut |_| 0, &mut cache)?;
    task.open(&mut cache, &mut output, 0)?;
    let mut feed = Feed {
        task,
        cache,
        output,
    };
    if job == StreamsJob::Join {
        feed.all(
            "rows",
            KEYS,
            &mut Input::new(&shape(7, EPOCH_MS - EARLIER_MS, false)),
        )?;
    }
    let words = job == StreamsJob::Words;
    feed.all(
        "events",
        operations,
        &mut Input::new(&shape(42, EPOCH_MS, words)),
    )
}

fn shape(seed: i64, first_timestamp_ms: i64, words: bool) -> Shape {
    Shape {
        keys: KEYS,
        value_bytes: crate::generate::VALUE_BYTES,
        words,
        seed,
        first_timestamp_ms,
        records_per_ms: 1,
    }
}

struct Feed {
    task: Task,
    cache: RecordCache,
    output: Batches,
}

impl Feed {
    /// `records` records of `input` through the task, in batches as they are fetched, with a commit now and then.
    fn all(&mut self, topic: &str, records: u64, input: &mut Input) -> Result<()> {
        let number = (self.task.inputs())
            .position(|input| input.partition.topic.as_ref() == topic)
            .with_context(|| format!("no input {topic}"))?;
        let partition = self
            .task
            .inputs()
            .nth(number)
            .context("no such input")?
            .partition;
        let (mut record, mut offset) = (Record::default(), 0);
        while (offset as u64) < records {
            let count = BATCH_RECORDS.min(records - offset as u64) as i64;
            let mut batch = BatchBuilder::default();
            for _ in 0..count {
                input.next_into(&mut record);
                batch.append(&AppendRecord {
                    timestamp: record.timestamp_ms,
                    key: Some(&record.key),
                    value: Some(&record.value),
                    headers: HeadersRef::NONE,
                });
            }
            let mut bytes = batch.finish();
            set_base_offset(&mut bytes, offset);
            let next_offset = offset + count;
            let chunk = Chunk {
                partition: partition.clone(),
                slot: Slot(number as u32),
                position: offset,
                next_offset,
                end_offset: next_offset,
                bytes,
                aborted: Vec::new(),
            };
            self.task.add_chunk(number, chunk);
            offset = next_offset;
            self.process()?;
            if (offset as u64).is_multiple_of(COMMIT_RECORDS) {
                self.commit(offset)?;
            }
        }
        Ok(())
    }

    fn process(&mut self) -> Result<()> {
        let Self {
            task,
            cache,
            output,
        } = self;
        while task.process(cache, output, 0, usize::MAX)?.records > 0 {}
        task.take_spent(drop);
        Ok(())
    }

    fn commit(&mut self, offset: i64) -> Result<()> {
        let Self {
            task,
            cache,
            output,
        } = self;
        task.flush(cache, output)?;
        task.seal()?;
        task.stores()
            .try_for_each(|(_, store)| store.commit(Some(offset)))?;
        output.output.clear();
        output.changelog.clear();
        Ok(())
    }
}
