//! Tasks of the jobs that have more to do for a record than the count: sessions, a stream with a table, lines into words. Fed by
//! hand with records as the jobs on Kafka read them, a tenth of their keys in a tenth of their record cache.
//! Invariant: all rows of a table come before the first record that is counted.

use super::task::Fed;
use super::{BATCH_RECORDS, chunk_of, record};
use crate::kafka::{Input, Inputs, Record, Seen, Shape, StreamsJob};
use anyhow::{Context, Result};
use headwater::log::batch::BatchBuilder;
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
    let mut fed = Fed::open(&topology, CACHE_BYTES)?;
    if job == StreamsJob::Join {
        let rows = shape(7, EPOCH_MS - EARLIER_MS, false);
        feed(&mut fed, "rows", KEYS, &rows)?;
    }
    let words = job == StreamsJob::Words;
    feed(&mut fed, "events", operations, &shape(42, EPOCH_MS, words))
}

fn shape(seed: i64, first_timestamp_ms: i64, words: bool) -> Shape {
    Shape {
        keys: KEYS,
        value_bytes: crate::generate::VALUE_BYTES,
        words,
        in_turn: false,
        seed,
        first_timestamp_ms,
        records_per_ms: 1,
    }
}

/// So many records of this shape through the task, in batches as they are fetched, with a commit now and then.
fn feed(fed: &mut Fed, topic: &str, records: u64, shape: &Shape) -> Result<()> {
    let mut inputs = fed.task.inputs().enumerate();
    let (number, state) = inputs
        .find(|(_, input)| *input.partition.topic == *topic)
        .with_context(|| format!("no input {topic}"))?;
    drop(inputs);
    let (mut input, mut made, mut offset) = (Input::new(shape), Record::default(), 0);
    while (offset as u64) < records {
        let count = BATCH_RECORDS.min(records - offset as u64);
        let mut batch = BatchBuilder::default();
        for _ in 0..count {
            input.next_into(&mut made);
            batch.append(&record(made.timestamp_ms, &made.key, &made.value));
        }
        let chunk = chunk_of(state.partition.clone(), batch.finish(), offset, count);
        fed.task.add_chunk(number, chunk);
        offset += count as i64;
        fed.process()?;
        if (offset as u64).is_multiple_of(COMMIT_RECORDS) {
            fed.commit(offset)?;
        }
    }
    Ok(())
}
