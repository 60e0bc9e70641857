//! The yardstick "memory-image": a compacted topic held as a table in memory and served by a view.
//! Not the log's compaction, which has nothing to remove: every key is there once.
//! Invariant: no figure unless every row of the topic can be read.

use crate::report::{Figures, Report};
use crate::{generate, process, wait};
use anyhow::{Context, Result, bail};
use clap::Args;
use headwater::log::{ClientOptions, NewTopic, Request, call, call_deadline_default_ms};
use headwater::{App, EmbeddedLog, Running, Settings, Store, View};
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest a start may take.
const START_SECONDS_MAX: u64 = 120;
/// Reads that are timed.
const GETS: u64 = 2_000_000;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Rows, each of 100 bytes under a key of its own.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Workers of the process.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Starts; the table shows their median.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where the log goes; emptied first.
    #[arg(long, default_value = "target/bench/image")]
    dir: PathBuf,
}

/// Runs the yardstick.
pub(crate) fn run(options: &Options) -> Result<()> {
    let title = format!(
        "memory-image on the embedded log: {} rows of {} bytes, {} partitions, {} workers, from start to every row readable",
        options.rows,
        generate::VALUE_BYTES,
        options.partitions,
        options.workers
    );
    let mut report = Report::new("memory-image", title);
    let _ = std::fs::remove_dir_all(&options.dir);
    std::fs::create_dir_all(&options.dir).with_context(|| options.dir.display().to_string())?;
    let log = EmbeddedLog::open(&options.dir)?;
    create_compacted(&log, "rows", options.partitions)?;
    generate::fill(&log, "rows", options.rows, options.rows, options.partitions)?;
    // The first start reads the topic and writes the changelog; later ones read the changelog.
    let (first, running) = load(&log, options)?;
    running.stop(Duration::from_secs(60))?;
    for _ in 0..options.runs {
        report.add(one(&log, options, first)?)?;
    }
    report.print(&[]);
    Ok(())
}

fn create_compacted(log: &EmbeddedLog, name: &str, partitions: u32) -> Result<()> {
    let mut client = log.client(ClientOptions::default())?;
    let config = [("cleanup.policy".to_owned(), "compact".to_owned())].into();
    let request = Request::CreateTopics(vec![NewTopic {
        name: name.into(),
        partitions,
        config,
    }]);
    call(
        &mut *client,
        &*headwater::world::World::real().clock,
        request,
        call_deadline_default_ms(),
    )?;
    Ok(())
}

/// Starts the application and answers how long it took until every row was readable.
fn load(log: &EmbeddedLog, options: &Options) -> Result<(f64, Running)> {
    let app = App::new("image");
    app.table_in::<Vec<u8>, Vec<u8>>("rows", Store::<Vec<u8>, Vec<u8>>::from("rows").in_memory());
    let settings = Settings {
        workers: options.workers,
        ..Settings::in_dir(options.dir.join("state"))
    };
    let begin = Instant::now();
    let running = headwater::start_with(app.build()?, log, settings)?;
    let view = running.view::<Vec<u8>, Vec<u8>>("rows")?;
    // The last rows of all partitions, which are read last.
    let last: Vec<Vec<u8>> = (options.rows.saturating_sub(1_000)..options.rows)
        .map(|row| key(row, options))
        .collect();
    let failure = "the rows did not become readable";
    let running = wait::until(running, START_SECONDS_MAX, failure, |it| {
        Ok(it.running_tasks() >= options.partitions as usize && has_all(&view, &last)?)
    })?;
    Ok((begin.elapsed().as_secs_f64(), running))
}

fn key(row: u64, options: &Options) -> Vec<u8> {
    generate::key(row, options.rows).into_bytes()
}

fn has_all(view: &View<Vec<u8>, Vec<u8>>, keys: &[Vec<u8>]) -> Result<bool> {
    for key in keys {
        if view.get(key)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn one(log: &EmbeddedLog, options: &Options, first: f64) -> Result<Figures> {
    process::reset_peak();
    let cpu = process::cpu_seconds();
    let (seconds, running) = load(log, options)?;
    let cpu = process::cpu_seconds() - cpu;
    let view = running.view::<Vec<u8>, Vec<u8>>("rows")?;
    let (gets, get_cpu_us) = gets_per_second(&view, options)?;
    let (peak_mb, mut rows) = (process::peak_mb(), 0);
    view.for_each(|_, value| rows += u64::from(value.len() == generate::VALUE_BYTES))?;
    running.stop(Duration::from_secs(60))?;
    if rows != options.rows {
        bail!("{rows} rows are readable instead of {}", options.rows);
    }
    let mut figures = Figures::new();
    figures.insert("seconds_until_readable".into(), json!(seconds));
    figures.insert(
        "rows_per_second".into(),
        json!((options.rows as f64 / seconds).round()),
    );
    figures.insert(
        "cpu_us_per_row".into(),
        json!(cpu * 1e6 / options.rows as f64),
    );
    figures.insert("gets_per_second_of_one_thread".into(), json!(gets.round()));
    figures.insert("cpu_us_per_get".into(), json!(get_cpu_us));
    figures.insert("peak_mb".into(), json!(peak_mb.round()));
    figures.insert("seconds_of_the_first_load".into(), json!(first));
    Ok(figures)
}

/// Reads a second of one thread, and their CPU time in us.
fn gets_per_second(view: &View<Vec<u8>, Vec<u8>>, options: &Options) -> Result<(f64, f64)> {
    let keys: Vec<Vec<u8>> = (0..options.rows).map(|row| key(row, options)).collect();
    let (cpu, begin) = (process::cpu_seconds(), Instant::now());
    for number in 0..GETS {
        if view.get(&keys[(number % options.rows) as usize])?.is_none() {
            bail!("row {number} is missing");
        }
    }
    let cpu = process::cpu_seconds() - cpu;
    Ok((
        GETS as f64 / begin.elapsed().as_secs_f64(),
        cpu * 1e6 / GETS as f64,
    ))
}
