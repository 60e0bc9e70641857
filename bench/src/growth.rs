//! One point of a growth curve: records counted by key on the embedded log, exactly once, at a size and shape to choose.
//! Not the curve: `cargo xtask bench growth` runs a process for each point, so that each has a peak of its own, and another
//! before it that fills the input. Invariant: every key's count is looked at in every store before a figure is printed.

use crate::{generate, process, wait};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use headwater::{App, EmbeddedLog, Running, Settings, Store, Topology};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest a run may take.
const RUN_SECONDS_MAX: u64 = 600;
/// The longest that a start or a stop may take.
const TURN_SECONDS_MAX: u64 = 120;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Records in the input topic; a multiple of the keys.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Distinct keys.
    #[arg(long, default_value_t = 200_000)]
    keys: u64,
    /// Bytes of a value, one at least.
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// Partitions of the input topic.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Workers of the process.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Stores that count every record.
    #[arg(long, default_value_t = 1)]
    stores: usize,
    /// Stores behind a filter that keeps nothing.
    #[arg(long, default_value_t = 0)]
    idle_stores: usize,
    /// Operators without state before the count.
    #[arg(long, default_value_t = 0)]
    chain: u8,
    /// State in memory instead of on disk.
    #[arg(long)]
    in_memory: bool,
    /// Empties `dir`, fills the input, and ends.
    #[arg(long)]
    fill: bool,
    /// Where the log and the state are.
    #[arg(long, default_value = "target/bench/growth")]
    dir: PathBuf,
}

/// Fills the input, or runs over it and prints a JSON line.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.keys > 0, "at least one key");
    ensure!(
        options.records.is_multiple_of(options.keys),
        "every key is to come equally often: make the records a multiple of the keys"
    );
    ensure!(options.value_bytes > 0, "a value has one byte at least");
    if options.fill {
        return fill(options);
    }
    let log = EmbeddedLog::open(&options.dir)?;
    log.ensure_topic("counts", options.partitions)?;
    process::reset_peak();
    let (cpu, begin) = (process::cpu_seconds(), Instant::now());
    let (running, start_ms) = start(&log, options)?;
    let running = wait::until(running, RUN_SECONDS_MAX, "the run did not end", |it| {
        Ok(it.records() >= options.records)
    })?;
    let commits = running.commits();
    // The end is the last commit, not the last record.
    running.stop(Duration::from_secs(TURN_SECONDS_MAX))?;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), process::cpu_seconds() - cpu);
    let peak_mb = process::peak_mb();
    check(&log, options)?;
    let line = json!({
        "records_per_second": (options.records as f64 / seconds).round(),
        "cpu_us_per_record": cpu * 1e6 / options.records as f64,
        "seconds": seconds,
        "peak_mb": peak_mb.round(),
        "start_ms": start_ms,
        "commits": commits,
    });
    println!("{line}");
    Ok(())
}

fn fill(options: &Options) -> Result<()> {
    let _ = std::fs::remove_dir_all(&options.dir);
    std::fs::create_dir_all(&options.dir).with_context(|| options.dir.display().to_string())?;
    let log = EmbeddedLog::open(&options.dir)?;
    // The first byte counts the operators that have seen the value.
    generate::fill_with(
        &log,
        "events",
        options.records,
        options.keys,
        options.partitions,
        |_, value| value.resize(options.value_bytes, 0),
    )
}

fn topology(options: &Options) -> Result<Topology> {
    let app = App::new("growth");
    let mut stream = app.stream::<Vec<u8>, Vec<u8>>("events");
    let chain = options.chain;
    for _ in 0..chain {
        stream = stream.map_values(|mut value: Vec<u8>| {
            value[0] = value[0].wrapping_add(1);
            value
        });
    }
    if chain > 0 {
        // A record that missed an operator is not counted, which the check sees.
        stream = stream.filter(move |_, value| value[0] == chain);
    }
    for number in 0..options.stores {
        let counts = stream.group_by_key().count(store(options, number));
        if number == 0 {
            counts.to_stream().to("counts");
        }
    }
    if options.idle_stores > 0 {
        let none = stream.filter(|_, _| false);
        for number in 0..options.idle_stores {
            none.group_by_key()
                .count(store(options, options.stores + number));
        }
    }
    Ok(app.build()?)
}

fn store(options: &Options, number: usize) -> Store<Vec<u8>, u64> {
    let store = Store::from(name(number).as_str());
    match options.in_memory {
        true => store.in_memory(),
        false => store,
    }
}

fn name(number: usize) -> String {
    format!("counts-{number}")
}

/// The application, all of its tasks running, and the ms that this took.
fn start(log: &EmbeddedLog, options: &Options) -> Result<(Running, f64)> {
    let settings = Settings {
        workers: options.workers,
        ..Settings::in_dir(options.dir.join("state"))
    };
    let begin = Instant::now();
    let running = headwater::start_with(topology(options)?, log, settings)?;
    let failure = "the tasks did not start";
    let running = wait::until(running, TURN_SECONDS_MAX, failure, |it| {
        Ok(it.running_tasks() >= options.partitions as usize)
    })?;
    Ok((running, begin.elapsed().as_secs_f64() * 1e3))
}

/// Starts the application once more: its restored stores must hold every record once, the idle ones nothing.
fn check(log: &EmbeddedLog, options: &Options) -> Result<()> {
    let (running, _) = start(log, options)?;
    let each = options.records / options.keys;
    for number in 0..options.stores {
        let mut seen = vec![false; options.keys as usize];
        let mut wrong = None;
        let view = running.view::<Vec<u8>, u64>(&name(number))?;
        view.for_each(|key, count| {
            let mine = place(&key).and_then(|place| seen.get_mut(place));
            let is_first = mine.is_some_and(|seen| !std::mem::replace(seen, true));
            if !is_first || count != each {
                wrong.get_or_insert((key, count));
            }
        })?;
        if let Some((key, count)) = wrong {
            let key = String::from_utf8_lossy(&key);
            bail!("store {number}: {key} was counted as {count}, and is to be {each}, once");
        }
        let missing = seen.iter().filter(|seen| !**seen).count();
        ensure!(missing == 0, "store {number}: {missing} keys are missing");
    }
    for number in options.stores..options.stores + options.idle_stores {
        let rows = running.view::<Vec<u8>, u64>(&name(number))?.all()?;
        ensure!(rows.is_empty(), "store {number} is to hold nothing");
    }
    running.stop(Duration::from_secs(TURN_SECONDS_MAX))?;
    Ok(())
}

/// The number of a key that [`generate::key`] made.
fn place(key: &[u8]) -> Option<usize> {
    let digits = key.strip_prefix(b"key-")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn counted(shape: impl FnOnce(&mut Options)) {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options {
            records: 3_000,
            keys: 300,
            value_bytes: 10,
            partitions: 3,
            workers: 1,
            stores: 1,
            idle_stores: 0,
            chain: 0,
            in_memory: false,
            fill: true,
            dir: dir.path().into(),
        };
        shape(&mut options);
        run(&options).unwrap();
        options.fill = false;
        run(&options).unwrap();
    }

    #[test]
    fn every_record_is_counted_in_each_store_and_none_in_idle_ones() {
        counted(|options| (options.stores, options.idle_stores) = (3, 2));
    }

    #[test]
    fn every_record_goes_through_the_whole_chain() {
        counted(|options| (options.chain, options.workers) = (64, 2));
    }
}
