//! The hot paths, each repeated a given number of times in a world that repeats: no clock, no disk, no second thread.
//! Not a timing: `cargo xtask guard` counts instructions for `n` and for `2 n` operations, and the difference is the path's.
//! Invariant: what a path does besides its operations does not depend on their number.

mod bytes;
mod commit;
mod job;
mod network;
mod state;
mod task;

use anyhow::{Context, Result};
use clap::Args;
use headwater::log::batch::{BatchBuilder, set_base_offset};
use headwater::log::{AppendRecord, Chunk, HeadersRef, Slot, TopicPartition};
use serde_json::json;

/// Keys that paths go through; operations are a multiple, so that each run ends where a round ends.
const KEYS: u64 = 4_096;
/// Records in one batch that is read.
const BATCH_RECORDS: u64 = 1_024;

/// A hot path: what one operation is, how many a count takes, and the loop.
struct Path {
    name: &'static str,
    operation: &'static str,
    operations: u64,
    run: fn(u64) -> Result<()>,
}

const PATHS: &[Path] = &[
    Path {
        name: "batch-append",
        operation: "a record appended to a batch",
        operations: 16 * KEYS,
        run: bytes::append,
    },
    Path {
        name: "batch-walk",
        operation: "a record read from a chunk",
        operations: 16 * KEYS,
        run: bytes::walk,
    },
    Path {
        name: "kafka-fetch",
        operation: "an answer with four batches of 1,024 records read, checked, cut to chunks",
        operations: 16,
        run: network::fetch,
    },
    Path {
        name: "kafka-produce",
        operation: "a request of four batches of 1,024 records closed, stamped and written",
        operations: 16,
        run: network::produce,
    },
    Path {
        name: "store-put",
        operation: "a put, sealed and committed every 4,096",
        operations: 8 * KEYS,
        run: state::put,
    },
    Path {
        name: "store-get-overlay",
        operation: "a get answered by the overlay",
        operations: 16 * KEYS,
        run: state::get_overlay,
    },
    Path {
        name: "store-get-write-back",
        operation: "a get answered by the write-back cache",
        operations: 16 * KEYS,
        run: state::get_write_back,
    },
    Path {
        name: "record-cache-hit",
        operation: "an update of a cached row",
        operations: 16 * KEYS,
        run: state::cache_hit,
    },
    Path {
        name: "record-cache-evict",
        operation: "an update that evicts another row",
        operations: 8 * KEYS,
        run: state::cache_evict,
    },
    Path {
        name: "task-count",
        operation: "a record counted, cached, committed every 4,096",
        operations: 4 * KEYS,
        run: task::count,
    },
    Path {
        name: "task-session",
        operation: "a record of the session yardstick made, processed, committed every 4,096",
        operations: 4 * KEYS,
        run: job::session,
    },
    Path {
        name: "task-window",
        operation: "a record of the window yardstick made, processed, committed every 4,096",
        operations: 4 * KEYS,
        run: job::window,
    },
    Path {
        name: "task-join",
        operation: "a record of the join yardstick made, processed, committed every 4,096",
        operations: 4 * KEYS,
        run: job::join,
    },
    Path {
        name: "task-split",
        operation: "a line of ten words made, split, each word sent by its key",
        operations: KEYS,
        run: job::split,
    },
    Path {
        name: "log-commit",
        operation: "a commit of 256 records to two partitions",
        operations: 64,
        run: commit::commits,
    },
    Path {
        name: "worker-count",
        operation: "a record through worker, task and log",
        operations: 4 * KEYS,
        run: commit::worker,
    },
];

/// Which path, how often; without a path the list of them as JSON.
#[derive(Args)]
pub(crate) struct Options {
    /// The path's name.
    path: Option<String>,
    /// Operations.
    #[arg(default_value_t = KEYS)]
    operations: u64,
}

/// Runs one path, or lists them and what the processor can do.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Some(name) = &options.path else {
        let paths: Vec<_> = PATHS
            .iter()
            .map(|path| json!({"name": path.name, "operation": path.operation, "operations": path.operations}))
            .collect();
        println!("{}", json!({"features": features(), "paths": paths}));
        return Ok(());
    };
    let path = PATHS
        .iter()
        .find(|path| path.name == name)
        .with_context(|| format!("no hot path `{name}`"))?;
    (path.run)(options.operations)
}

/// What this process sees of the processor that the C library and the checksum choose their code by. Under valgrind this is
/// what valgrind offers, which is less than the machine has.
fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let seen = [
            ("sse4.2", is_x86_feature_detected!("sse4.2")),
            ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
            ("avx", is_x86_feature_detected!("avx")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("bmi2", is_x86_feature_detected!("bmi2")),
            ("ermsb", is_x86_feature_detected!("ermsb")),
            ("rtm", is_x86_feature_detected!("rtm")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
        ];
        seen.iter()
            .filter(|(_, has)| *has)
            .map(|(name, _)| *name)
            .collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    Vec::new()
}

/// Keys as the yardsticks have them, spread.
fn keys() -> Vec<Vec<u8>> {
    (0..KEYS)
        .map(|number| crate::generate::key(number, KEYS).into_bytes())
        .collect()
}

fn record<'a>(timestamp: i64, key: &'a [u8], value: &'a [u8]) -> AppendRecord<'a> {
    AppendRecord {
        timestamp,
        key: Some(key),
        value: Some(value),
        headers: HeadersRef::NONE,
    }
}

/// The bytes of one batch of [`BATCH_RECORDS`] records; round `number` of the keys.
fn batch(keys: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut batch = BatchBuilder::default();
    let value = [b'v'; crate::generate::VALUE_BYTES];
    for index in 0..BATCH_RECORDS {
        let number = (number * BATCH_RECORDS + index) as usize;
        batch.append(&record(number as i64, &keys[number % keys.len()], &value));
    }
    batch.finish()
}

/// One batch of [`BATCH_RECORDS`] records as a chunk that begins at `offset`.
fn chunk(bytes: Vec<u8>, offset: i64) -> Chunk {
    chunk_of(
        TopicPartition::new("events", 0),
        bytes,
        offset,
        BATCH_RECORDS,
    )
}

/// One batch of so many records as a chunk that begins at `offset`.
fn chunk_of(partition: TopicPartition, mut bytes: Vec<u8>, offset: i64, records: u64) -> Chunk {
    set_base_offset(&mut bytes, offset);
    let next_offset = offset + records as i64;
    Chunk {
        partition,
        slot: Slot(0),
        position: offset,
        next_offset,
        end_offset: next_offset,
        bytes,
        aborted: Vec::new(),
    }
}
