//! The yardstick "count": 100-byte records counted by key, exactly once, synced, state on disk, on the embedded log.
//! Not the filling of the input, which is not timed. Invariant: the counts must add up to the records, else there is no figure.

use crate::{generate, process};
use anyhow::{Context, Result, bail};
use headwater::{App, EmbeddedLog, Settings, Store};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest a run may take.
const RUN_SECONDS_MAX: u64 = 600;

/// What to run.
pub(crate) struct Options {
    pub(crate) records: u64,
    pub(crate) keys: u64,
    pub(crate) runs: usize,
    pub(crate) workers: usize,
    pub(crate) partitions: u32,
    pub(crate) cache_bytes: usize,
    pub(crate) in_memory: bool,
    pub(crate) dir: PathBuf,
}

/// Runs the yardstick and prints a line per run and the median.
pub(crate) fn run(options: &Options) -> Result<()> {
    let _ = std::fs::remove_dir_all(&options.dir);
    std::fs::create_dir_all(&options.dir).with_context(|| options.dir.display().to_string())?;
    let log = EmbeddedLog::open(&options.dir)?;
    generate::fill(&log, "events", options.records, options.keys, options.partitions)?;
    let mut rates = Vec::new();
    for run in 0..options.runs {
        rates.push(one(&log, options, run)?);
    }
    rates.sort_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    println!("{}", json!({"job": "count", "median_records_per_second": median.round(), "runs": options.runs}));
    Ok(())
}

fn one(log: &EmbeddedLog, options: &Options, run: usize) -> Result<f64> {
    let name = format!("count-{run}");
    let output = format!("counts-{run}");
    log.ensure_topic(&output, options.partitions)?;
    let app = App::new(&name);
    let mut store = Store::<Vec<u8>, u64>::from("counts");
    if options.in_memory {
        store = store.in_memory();
    }
    app.stream::<Vec<u8>, Vec<u8>>("events").group_by_key().count(store).to_stream().to(output.as_str());
    let settings = Settings {
        workers: options.workers,
        cache_bytes_max: options.cache_bytes,
        ..Settings::in_dir(options.dir.join("state"))
    };
    let (cpu, begin) = (process::cpu_seconds(), Instant::now());
    let running = headwater::start_with(app.build()?, log, settings)?;
    while running.records() < options.records {
        if running.failed() || begin.elapsed() > Duration::from_secs(RUN_SECONDS_MAX) {
            running.stop(Duration::from_secs(1))?;
            bail!("the run did not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let view = running.view::<Vec<u8>, u64>("counts")?;
    let commits = running.commits();
    // The end is the last commit, not the last record.
    running.stop(Duration::from_secs(60))?;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), process::cpu_seconds() - cpu);
    drop(view);
    let counted = check(log, &name, options)?;
    let rate = options.records as f64 / seconds;
    let line = json!({
        "job": "count", "run": run, "records": options.records, "keys": counted,
        "records_per_second": rate.round(), "seconds": seconds,
        "cpu_us_per_record": cpu * 1e6 / options.records as f64,
        "commits": commits, "peak_mb": process::peak_mb().round(), "workers": options.workers,
    });
    println!("{line}");
    Ok(rate)
}

/// Starts the application once more: its restored state must hold every record once.
fn check(log: &EmbeddedLog, name: &str, options: &Options) -> Result<usize> {
    let app = App::new(name);
    app.stream::<Vec<u8>, Vec<u8>>("events").group_by_key().count("counts").to_stream().to(name.replace("count", "counts").as_str());
    let running = headwater::start_with(app.build()?, log, Settings::in_dir(options.dir.join("state")))?;
    let begin = Instant::now();
    while running.running_tasks() < options.partitions as usize && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (mut keys, mut total) = (0, 0);
    running.view::<Vec<u8>, u64>("counts")?.for_each(|_, count| {
        keys += 1;
        total += count;
    })?;
    running.stop(Duration::from_secs(60))?;
    if total != options.records {
        bail!("the counts add up to {total} instead of {}", options.records);
    }
    Ok(keys)
}
