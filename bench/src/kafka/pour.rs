//! Writes records at a fixed rate, their keys in turn, until standard input ends. Not timed.
//! Invariant: record `n` has key `n` modulo the keys, so that every count follows from how many were written.

use super::Place;
use super::input::Record;
use super::produce::Writer;
use anyhow::Result;
use clap::Args;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes of each value.
const VALUE_BYTES: usize = 100;

/// What to write.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    keys: u64,
    /// The number of the first record.
    #[arg(long)]
    first: u64,
    /// Records a second.
    #[arg(long)]
    rate: u64,
}

/// Runs it, and prints the number of the record that would be next, once all before it are acknowledged.
pub(super) fn run(options: &Options) -> Result<()> {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = stopped.clone();
    std::thread::spawn(move || {
        // However it ends, nobody holds the other end any more.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
    });
    let mut writer = Writer::open(&options.place, &options.topic)?;
    let (begin, mut number) = (Instant::now(), options.first);
    while !stopped.load(Ordering::Relaxed) {
        let due = (begin.elapsed().as_secs_f64() * options.rate as f64) as u64;
        let due = options.first + due;
        if number >= due {
            std::thread::park_timeout(Duration::from_millis(1));
            continue;
        }
        while number < due {
            writer.write(&record(number, options.keys))?;
            number += 1;
        }
        writer.flush()?;
    }
    writer.finish()?;
    println!("{number}");
    Ok(())
}

/// Record `number`.
pub(super) fn record(number: u64, keys: u64) -> Record {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Record {
        key: key(number % keys).into_bytes(),
        value: vec![b'.'; VALUE_BYTES],
        timestamp_ms: since.map_or(0, |since| since.as_millis() as i64),
    }
}

/// A key by its number.
pub(super) fn key(number: u64) -> String {
    format!("k{number:07}")
}
