//! The floor of "count": fetch, check each batch's sum, count by key in a hash map, write every new count, acknowledged by all
//! replicas. One socket each way; no framework, no transaction, no state on disk, no compression.
//! Not a client: it knows one broker, answers no error and retries nothing. Invariant: a record is counted once.

mod batch;
mod wire;

use super::line::Line;
use super::{PARTITIONS, Place, RUN_SECONDS_MAX};
use anyhow::{Context, Result, ensure};
use batch::{Batch, OpenBatch};
use clap::Args;
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};
use wire::{Connection, Cursor};

/// Produce requests that are not answered yet.
const IN_FLIGHT_MAX: usize = 5;
const FETCH_BYTES_MAX: i32 = 8 << 20;
const PARTITION_BYTES_MAX: i32 = 2 << 20;
const FETCH_WAIT_MS: i32 = 100;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// What to count.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    #[arg(long, default_value = "events")]
    topic: String,
    /// Records to wait for.
    #[arg(long, default_value_t = 3_000_000)]
    records: u64,
    /// Where counts go; it is there.
    #[arg(long)]
    output: String,
}

type Counts = FxHashMap<Box<[u8]>, u64>;

/// Runs it.
pub(super) fn run(options: &Options) -> Result<()> {
    let mut fetch = Connection::open(&options.place.bootstrap)?;
    let mut produce = Output {
        connection: Connection::open(&options.place.bootstrap)?,
        topic: &options.output,
        in_flight: 0,
    };
    let (begin, mut first, mut seen) = (Instant::now(), None, 0);
    let mut offsets = [0; PARTITIONS];
    let mut counts = Counts::default();
    let mut answer = Vec::new();
    while seen < options.records {
        ensure!(
            begin.elapsed().as_secs() < RUN_SECONDS_MAX,
            "{seen} records came"
        );
        ask(&mut fetch, &options.topic, &offsets)?;
        fetch.receive(&mut answer)?;
        first.get_or_insert_with(Instant::now);
        let mut open = [const { OpenBatch::new() }; PARTITIONS];
        seen += take(&answer, &mut offsets, &mut counts, &mut open).context("a short answer")?;
        for (partition, batch) in open.into_iter().enumerate() {
            produce.send(partition, batch)?;
        }
    }
    produce.wait_for(0)?;
    let seconds = first.unwrap_or(begin).elapsed();
    let line = Line {
        job: "limit",
        records: seen,
        seconds,
        seconds_closed: seconds,
        start_to_running: Duration::ZERO,
    };
    line.print();
    Ok(())
}

/// Asks for what comes next: Fetch, version 4.
fn ask(connection: &mut Connection, topic: &str, offsets: &[i64; PARTITIONS]) -> Result<()> {
    let mut request = connection.request(1, 4);
    request.i32(-1);
    request.i32(FETCH_WAIT_MS);
    request.i32(1);
    request.i32(FETCH_BYTES_MAX);
    request.i8(0);
    request.i32(1);
    request.string(topic);
    request.i32(PARTITIONS as i32);
    for (partition, offset) in offsets.iter().enumerate() {
        request.i32(partition as i32);
        request.i64(*offset);
        request.i32(PARTITION_BYTES_MAX);
    }
    connection.send(request)
}

/// Counts what a fetch answered and appends the new counts; how many records there were.
fn take(
    answer: &[u8],
    offsets: &mut [i64; PARTITIONS],
    counts: &mut Counts,
    open: &mut [OpenBatch; PARTITIONS],
) -> Option<u64> {
    let mut cursor = Cursor::new(answer);
    // The correlation and the throttle time.
    cursor.skip(8)?;
    let mut seen = 0;
    for _ in 0..cursor.i32()? {
        let name = cursor.i16()?;
        cursor.skip(name as usize)?;
        for _ in 0..cursor.i32()? {
            let partition = cursor.i32()? as usize;
            // Error, high watermark, last stable offset.
            cursor.skip(2 + 8 + 8)?;
            let aborted = cursor.i32()?.max(0) as usize;
            cursor.skip(16 * aborted)?;
            let bytes = cursor.i32()?.max(0) as usize;
            let mut records = Cursor::new(cursor.take(bytes)?);
            let (offset, open) = (offsets.get_mut(partition)?, open.get_mut(partition)?);
            // The last batch may be cut off.
            while let Some(batch) = Batch::next(&mut records) {
                seen += count(batch, offset, counts, open)?;
            }
        }
    }
    Some(seen)
}

fn count(
    mut batch: Batch<'_>,
    next: &mut i64,
    counts: &mut Counts,
    open: &mut OpenBatch,
) -> Option<u64> {
    let mut seen = 0;
    while let Some(record) = batch.next_record()? {
        // A batch is answered whole, also for an offset in its middle.
        if record.offset < *next {
            continue;
        }
        *next = record.offset + 1;
        seen += 1;
        let count = match counts.get_mut(record.key) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => {
                counts.insert(record.key.into(), 1);
                1
            }
        };
        open.append(record.timestamp_ms, record.key, &count.to_be_bytes());
    }
    Some(seen)
}

/// Where counts go.
struct Output<'a> {
    connection: Connection,
    topic: &'a str,
    in_flight: usize,
}

impl Output<'_> {
    /// Produce, version 3.
    fn send(&mut self, partition: usize, batch: OpenBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut request = self.connection.request(0, 3);
        request.i16(-1);
        request.i16(-1);
        request.i32(PRODUCE_TIMEOUT_MS);
        request.i32(1);
        request.string(self.topic);
        request.i32(1);
        request.i32(partition as i32);
        batch.write_into(&mut request);
        self.connection.send(request)?;
        self.in_flight += 1;
        self.wait_for(IN_FLIGHT_MAX)
    }

    /// Until no more than so many requests are not answered.
    fn wait_for(&mut self, in_flight: usize) -> Result<()> {
        let mut answer = Vec::new();
        while self.in_flight > in_flight {
            self.connection.receive(&mut answer)?;
            let mut cursor = Cursor::new(&answer);
            // Correlation, one topic by its name, one partition.
            cursor.skip(4 + 4 + 2 + self.topic.len() + 4 + 4);
            let error = cursor.i16().context("a short answer")?;
            ensure!(error == 0, "the broker answers {error} to what was written");
            self.in_flight -= 1;
        }
        Ok(())
    }
}
