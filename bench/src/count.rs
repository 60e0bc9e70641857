//! The yardstick "count": 100-byte records counted by key, exactly once, synced, state on disk, on the embedded log.
//! Not the filling of the input, which is not timed. Invariant: the counts must add up to the records, else there is no figure.

use crate::report::{Figures, Report};
use crate::{generate, process, reference, wait};
use anyhow::{Context, Result, bail};
use clap::Args;
use headwater::{App, EmbeddedLog, Running, Settings, Store, Topology};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest a run may take.
const RUN_SECONDS_MAX: u64 = 600;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Records in the input topic.
    #[arg(long, default_value_t = 3_000_000)]
    records: u64,
    /// Distinct keys.
    #[arg(long, default_value_t = 200_000)]
    keys: u64,
    /// Runs; the table shows their median.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Workers of the process.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Partitions of the input topic.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// `statestore.cache.max.bytes`.
    #[arg(long, default_value_t = 10 << 20)]
    cache_bytes: usize,
    /// State in memory instead of on disk.
    #[arg(long)]
    in_memory: bool,
    /// Where the log and the state go; emptied first.
    #[arg(long, default_value = "target/bench/count")]
    dir: PathBuf,
}

/// Runs the yardstick and prints a line per run and a table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let state = if options.in_memory { "memory" } else { "disk" };
    let title = format!(
        "count on the embedded log: {} records, {} keys, {} partitions, {} workers, exactly once, every commit synced, state in {state}",
        options.records, options.keys, options.partitions, options.workers
    );
    let mut report = Report::new("count", title);
    let _ = std::fs::remove_dir_all(&options.dir);
    std::fs::create_dir_all(&options.dir).with_context(|| options.dir.display().to_string())?;
    let log = EmbeddedLog::open(&options.dir)?;
    generate::fill(
        &log,
        "events",
        options.records,
        options.keys,
        options.partitions,
    )?;
    for run in 0..options.runs {
        report.add(one(&log, options, run)?)?;
    }
    report.print(reference::COUNT);
    Ok(())
}

fn topology(options: &Options, run: usize) -> Result<Topology> {
    let app = App::new(format!("count-{run}"));
    let mut store = Store::<Vec<u8>, u64>::from("counts");
    if options.in_memory {
        store = store.in_memory();
    }
    let output = output(run);
    app.stream::<Vec<u8>, Vec<u8>>("events")
        .group_by_key()
        .count(store)
        .to_stream()
        .to(output.as_str());
    Ok(app.build()?)
}

fn output(run: usize) -> String {
    format!("counts-{run}")
}

fn start(log: &EmbeddedLog, options: &Options, run: usize) -> Result<Running> {
    let settings = Settings {
        workers: options.workers,
        cache_bytes_max: options.cache_bytes,
        ..Settings::in_dir(options.dir.join("state"))
    };
    Ok(headwater::start_with(
        topology(options, run)?,
        log,
        settings,
    )?)
}

fn one(log: &EmbeddedLog, options: &Options, run: usize) -> Result<Figures> {
    log.ensure_topic(&output(run), options.partitions)?;
    process::reset_peak();
    let (cpu, begin) = (process::cpu_seconds(), Instant::now());
    let running = start(log, options, run)?;
    let running = wait::until(running, RUN_SECONDS_MAX, "the run did not end", |it| {
        Ok(it.records() >= options.records)
    })?;
    let commits = running.commits();
    // The end is the last commit, not the last record.
    running.stop(Duration::from_secs(60))?;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), process::cpu_seconds() - cpu);
    let peak_mb = process::peak_mb();
    check(log, options, run)?;
    let mut figures = Figures::new();
    figures.insert(
        "records_per_second".into(),
        json!((options.records as f64 / seconds).round()),
    );
    figures.insert(
        "cpu_us_per_record".into(),
        json!(cpu * 1e6 / options.records as f64),
    );
    figures.insert("seconds".into(), json!(seconds));
    figures.insert("peak_mb".into(), json!(peak_mb.round()));
    figures.insert("commits".into(), json!(commits));
    Ok(figures)
}

/// Starts the application once more: its restored state must hold every record once.
fn check(log: &EmbeddedLog, options: &Options, run: usize) -> Result<()> {
    let running = start(log, options, run)?;
    let begin = Instant::now();
    while running.running_tasks() < options.partitions as usize
        && begin.elapsed() < Duration::from_secs(60)
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (mut keys, mut total) = (0, 0);
    running
        .view::<Vec<u8>, u64>("counts")?
        .for_each(|_, count| {
            keys += 1;
            total += count;
        })?;
    running.stop(Duration::from_secs(60))?;
    if total != options.records || keys != options.keys {
        bail!(
            "{keys} counts add up to {total} instead of {} to {}",
            options.keys,
            options.records
        );
    }
    Ok(())
}
