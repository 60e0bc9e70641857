//! Batches: appending to one and walking one. Not their checksums, which belong to the commit.
//! Invariant: batches have the size that the count yardstick gives them.

use super::{BATCH_RECORDS, batch, chunk, keys, record};
use anyhow::Result;
use headwater::log::ChunkCursor;
use headwater::log::batch::BatchBuilder;
use std::hint::black_box;

pub(super) fn append(operations: u64) -> Result<()> {
    let (keys, value) = (keys(), 7_u64.to_be_bytes());
    let mut batch = BatchBuilder::default();
    for number in 0..operations {
        batch.append(&record(
            number as i64,
            &keys[number as usize % keys.len()],
            &value,
        ));
        if u64::from(batch.count()) == BATCH_RECORDS {
            batch.clear();
        }
    }
    black_box(batch.len());
    Ok(())
}

pub(super) fn walk(operations: u64) -> Result<()> {
    let bytes = batch(&keys(), 0);
    let mut cursor = ChunkCursor::new(chunk(bytes, 0));
    let mut left = operations;
    while left > 0 {
        match cursor.next_record()? {
            Some(record) => {
                black_box(record);
                left -= 1;
            }
            None => cursor = ChunkCursor::new(cursor.into_chunk()),
        }
    }
    Ok(())
}
