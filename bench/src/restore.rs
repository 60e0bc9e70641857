//! The yardstick "restore": an empty disk store follows its changelog to the end.
//! Not the processing behind it: the input is empty. Invariant: every key must hold its last value, else there is no figure.

use crate::report::{Figures, Report};
use crate::{generate, process, reference, wait};
use anyhow::{Context, Result, bail};
use clap::Args;
use headwater::{App, EmbeddedLog, Listener, RestoreProgress, Settings, Store};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// The longest a restore may take.
const RUN_SECONDS_MAX: u64 = 600;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Records in the changelog.
    #[arg(long, default_value_t = 2_600_000)]
    records: u64,
    /// Distinct keys.
    #[arg(long, default_value_t = 200_000)]
    keys: u64,
    /// Partitions of the changelog.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Workers of the process.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Runs; the table shows their median.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// State in memory instead of on disk.
    #[arg(long)]
    in_memory: bool,
    /// Where the log and the state go; emptied first.
    #[arg(long, default_value = "target/bench/restore")]
    dir: PathBuf,
}

/// Adds up what restores went through, so that a shortened changelog is noticed.
#[derive(Default)]
struct Restored(AtomicI64);

impl Listener for Restored {
    fn restore_ended(&self, progress: &RestoreProgress) {
        self.0
            .fetch_add(progress.position - progress.start, Ordering::Relaxed);
    }
}

/// Runs the yardstick.
pub(crate) fn run(options: &Options) -> Result<()> {
    let state = if options.in_memory { "memory" } else { "disk" };
    let title = format!(
        "restore from the embedded log: {} changelog records, {} keys, {} partitions, {} workers, into {state}",
        options.records, options.keys, options.partitions, options.workers
    );
    let mut report = Report::new("restore", title);
    let _ = std::fs::remove_dir_all(&options.dir);
    std::fs::create_dir_all(&options.dir).with_context(|| options.dir.display().to_string())?;
    let log = EmbeddedLog::open(&options.dir)?;
    log.ensure_topic("events", options.partitions)?;
    // Made beforehand and not compacted, so that the number of records is known.
    let (changelog, keys) = ("restore-counts-changelog", options.keys);
    generate::fill_with(
        &log,
        changelog,
        options.records,
        keys,
        options.partitions,
        |number, value| {
            value.extend((number / keys + 1).to_be_bytes());
        },
    )?;
    for _ in 0..options.runs {
        report.add(one(&log, options)?)?;
    }
    report.print(reference::RESTORE);
    Ok(())
}

fn one(log: &EmbeddedLog, options: &Options) -> Result<Figures> {
    let state = options.dir.join("state");
    let _ = std::fs::remove_dir_all(&state);
    let app = App::new("restore");
    let mut store = Store::<Vec<u8>, u64>::from("counts");
    if options.in_memory {
        store = store.in_memory();
    }
    app.stream::<Vec<u8>, Vec<u8>>("events")
        .group_by_key()
        .count(store);
    let restored = Arc::new(Restored::default());
    let settings = Settings {
        workers: options.workers,
        listener: restored.clone(),
        ..Settings::in_dir(&state)
    };
    process::reset_peak();
    let (cpu, begin) = (process::cpu_seconds(), Instant::now());
    let running = headwater::start_with(app.build()?, log, settings)?;
    let running = wait::until(running, RUN_SECONDS_MAX, "the restore did not end", |it| {
        Ok(it.running_tasks() >= options.partitions as usize)
    })?;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), process::cpu_seconds() - cpu);
    let peak_mb = process::peak_mb();
    let (mut keys, mut total) = (0, 0);
    running
        .view::<Vec<u8>, u64>("counts")?
        .for_each(|_, count| {
            keys += 1;
            total += count;
        })?;
    running.stop(Duration::from_secs(60))?;
    // The values count up, so the last ones add up to the number of records.
    let offsets = restored.0.load(Ordering::Relaxed);
    if (keys, total, offsets as u64) != (options.keys, options.records, options.records) {
        bail!(
            "{keys} keys add up to {total} over {offsets} offsets instead of {} to {}",
            options.keys,
            options.records
        );
    }
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
    Ok(figures)
}
