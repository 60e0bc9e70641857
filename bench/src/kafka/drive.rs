//! Drives an application at a fixed rate and takes the time from the writing of each record to its result's being visible to a
//! reader of committed records. Not the application. Invariant: a record is due at its time, whatever became of those before it;
//! what comes late counts from when it was due.

use super::input::Record;
use super::produce::Writer;
use super::{PARTITIONS, Place, nap, slots};
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use headwater::log::{ChunkCursor, Client, ClientOptions};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Digits of the due time, in us since 1970, that each value begins with.
const STAMP_BYTES: usize = 16;
/// The longest that the application may take to answer its first record.
const FIRST_SECONDS_MAX: u64 = 60;
/// The longest that the last results may take.
const LAST_SECONDS_MAX: u64 = 30;

/// What to drive.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Where the application reads.
    #[arg(long)]
    input: String,
    /// Where it writes the value of each record.
    #[arg(long)]
    output: String,
    /// Records a second.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// Seconds of records whose times are not taken.
    #[arg(long, default_value_t = 8)]
    warm_up_seconds: u64,
    /// Seconds of records whose times are taken.
    #[arg(long, default_value_t = 12)]
    seconds: u64,
    #[arg(long, default_value_t = 10_000)]
    keys: u64,
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
}

impl Options {
    fn us_per_record(&self) -> f64 {
        1e6 / self.rate as f64
    }

    /// When record `number` is due, if the first one is at `begin_us`.
    fn due_us(&self, begin_us: u64, number: u64) -> u64 {
        begin_us + (number as f64 * self.us_per_record()) as u64
    }
}

/// Runs it.
pub(super) fn run(options: &Options) -> Result<()> {
    let mut reader = Reader::open(options)?;
    let mut writer = Writer::open(&options.place, &options.input)?;
    writer.write(&record(options, 0, now_us()))?;
    writer.finish()?;
    reader.read(1, FIRST_SECONDS_MAX)?;
    reader.seen.clear();

    let records = options.rate * (options.warm_up_seconds + options.seconds);
    let seconds_max = options.warm_up_seconds + options.seconds + LAST_SECONDS_MAX;
    let begin_us = now_us();
    let (written, read) = std::thread::scope(|scope| {
        let written = scope.spawn(|| write(writer, options, records, begin_us));
        let read = reader.read(records, seconds_max);
        (written.join(), read)
    });
    written.map_err(|_| anyhow!("the writer panicked"))??;
    read?;
    check(options, begin_us, &reader.seen)?;
    let taken_from_us = begin_us + options.warm_up_seconds * 1_000_000;
    let seen = reader
        .seen
        .iter()
        .filter(|seen| seen.due_us >= taken_from_us);
    let mut taken: Vec<u64> = seen.map(|seen| seen.latency_us).collect();
    taken.sort_unstable();
    let at = |part: f64| -> Result<f64> {
        let index = (taken.len().saturating_sub(1) as f64 * part) as usize;
        let us = taken.get(index).context("no record was seen")?;
        Ok(*us as f64 / 1_000.0)
    };
    let line = json!({
        "job": "drive",
        "records": taken.len(),
        "p50_ms": at(0.5)?,
        "p99_ms": at(0.99)?,
        "p999_ms": at(0.999)?,
        "max_ms": at(1.0)?,
    });
    println!("{line}");
    Ok(())
}

/// Whether the results are those of the records written: of each one, and of a key in the order in which they were written.
fn check(options: &Options, begin_us: u64, seen: &[Seen]) -> Result<()> {
    let mut next: Vec<u64> = (0..options.keys).collect();
    for result in seen {
        let number = next
            .get_mut(result.key as usize)
            .with_context(|| format!("no record has key {}", result.key))?;
        let due_us = options.due_us(begin_us, *number);
        ensure!(
            result.due_us == due_us,
            "the result of a record due at {} us came where that of {due_us} us, record {number}, was to come",
            result.due_us
        );
        *number += options.keys;
    }
    Ok(())
}

/// Writes each record when it is due.
fn write(mut writer: Writer, options: &Options, records: u64, begin_us: u64) -> Result<()> {
    let begin = Instant::now();
    let us_per_record = options.us_per_record();
    let mut number = 0;
    while number < records {
        let due = (begin.elapsed().as_micros() as f64 / us_per_record) as u64 + 1;
        let due = due.min(records);
        if number == due {
            std::thread::park_timeout(Duration::from_micros(500));
            continue;
        }
        while number < due {
            writer.write(&record(options, number, options.due_us(begin_us, number)))?;
            number += 1;
        }
        writer.flush()?;
    }
    writer.finish()
}

fn record(options: &Options, number: u64, due_us: u64) -> Record {
    let mut value = format!("{due_us:0width$}", width = STAMP_BYTES).into_bytes();
    value.resize(options.value_bytes.max(STAMP_BYTES), b'.');
    Record {
        key: format!("k{:07}", number % options.keys).into_bytes(),
        value,
        timestamp_ms: (due_us / 1_000) as i64,
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

/// When a result was seen.
struct Seen {
    key: u64,
    due_us: u64,
    latency_us: u64,
}

/// Sees the results.
struct Reader {
    client: Box<dyn Client>,
    seen: Vec<Seen>,
}

impl Reader {
    fn open(options: &Options) -> Result<Self> {
        let place = options.place.clone().with("isolation.level=read_committed");
        let mut client = place.client(ClientOptions::default())?;
        let slots = slots(&mut *client, &options.output)?;
        ensure!(slots.len() == PARTITIONS, "{} partitions", slots.len());
        for slot in slots {
            client.read_from(slot, 0);
        }
        Ok(Self {
            client,
            seen: Vec::new(),
        })
    }

    /// Until so many were seen.
    fn read(&mut self, records: u64, seconds_max: u64) -> Result<()> {
        let begin = Instant::now();
        while (self.seen.len() as u64) < records {
            ensure!(
                begin.elapsed().as_secs() < seconds_max,
                "{} of {records} results came within {seconds_max} s",
                self.seen.len()
            );
            let Some(chunk) = self.client.fetch()? else {
                nap();
                continue;
            };
            let now_us = now_us();
            let mut cursor = ChunkCursor::new(chunk);
            while let Some(record) = cursor.next_record()? {
                let value = record.value.context("a result without a value")?;
                let stamp = value.get(..STAMP_BYTES).context("a short result")?;
                let due_us: u64 = std::str::from_utf8(stamp)?.parse()?;
                let key = record.key.and_then(|key| key.strip_prefix(b"k"));
                let key = std::str::from_utf8(key.context("a result without its key")?)?;
                self.seen.push(Seen {
                    key: key.parse()?,
                    due_us,
                    latency_us: now_us.saturating_sub(due_us),
                });
            }
            self.client.recycle(cursor.into_chunk());
        }
        Ok(())
    }
}
