//! What the network thread does with an answer and with a request, but for the socket. Not the broker.
//! Invariant: each operation has the batches of four partitions, as a fetch and a commit of the yardsticks have.

use super::{BATCH_RECORDS, batch, keys, record};
use anyhow::Result;
use headwater::log::batch::BatchBuilder;
use headwater_kafka::yardstick;
use std::hint::black_box;

/// Of all topics of the yardsticks.
const PARTITIONS: u64 = 4;

pub(super) fn fetch(operations: u64) -> Result<()> {
    let keys = keys();
    let batches: Vec<_> = (0..PARTITIONS).map(|number| batch(&keys, number)).collect();
    let body = yardstick::answer(&batches);
    // Buffers come back from who has read a chunk.
    let mut spare: Vec<Vec<u8>> = Vec::new();
    for _ in 0..operations {
        let chunks = yardstick::fetch(&body, |bytes| {
            spare.pop().unwrap_or_else(|| Vec::with_capacity(bytes))
        })?;
        spare.extend(chunks.into_iter().map(|chunk| black_box(chunk).bytes));
    }
    Ok(())
}

pub(super) fn produce(operations: u64) -> Result<()> {
    let (keys, value) = (keys(), [b'v'; crate::generate::VALUE_BYTES]);
    for _ in 0..operations {
        let batches = (0..PARTITIONS).map(|_| {
            let mut batch = BatchBuilder::default();
            for number in 0..BATCH_RECORDS as usize {
                batch.append(&record(number as i64, &keys[number % keys.len()], &value));
            }
            batch.finish_as(7, 0, 0, true).into()
        });
        black_box(yardstick::produce(&batches.collect::<Vec<_>>())?);
    }
    Ok(())
}
