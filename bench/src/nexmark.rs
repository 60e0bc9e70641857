//! The yardstick "nexmark": queries over auctions, on the embedded log, exactly once, state on disk, every commit synced.
//! Not a comparison with other systems. Invariant: what a query wrote equals a plain fold over the same events, else there is
//! no figure.

mod event;
mod expected;
pub(crate) mod generator;
pub(crate) mod query;

use crate::process;
use crate::report::{Figures, Report};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use expected::Rows;
use generator::Kind;
use headwater::log::{AppendRecord, HeadersRef};
use headwater::{App, EmbeddedLog, Settings};
use query::{Query, Sources};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Events in one commit while the inputs are filled.
const COMMIT_EVENTS: u64 = 50_000;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Queries; all of them unless named.
    #[arg(value_enum)]
    queries: Vec<Query>,
    /// Events: of each fifty one person, three auctions, 46 bids.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Runs; the table shows their median.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Workers of the process.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Partitions of every topic.
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Where the log and the state go; emptied first.
    #[arg(long, default_value = "target/bench/nexmark")]
    dir: PathBuf,
}

/// Runs the queries, and prints a line per run and a table for each.
pub(crate) fn run(options: &Options) -> Result<()> {
    let _ = std::fs::remove_dir_all(&options.dir);
    std::fs::create_dir_all(&options.dir).with_context(|| options.dir.display().to_string())?;
    let log = EmbeddedLog::open(&options.dir)?;
    let records = fill(&log, options)?;
    let queries = match options.queries.as_slice() {
        [] => Query::value_variants(),
        queries => queries,
    };
    for query in queries {
        let (name, inputs) = (query.name(), query.inputs());
        let title = format!(
            "nexmark {name} on the embedded log: {} events, {} partitions, {} workers, reading {}",
            options.events,
            options.partitions,
            options.workers,
            inputs.join(" and ")
        );
        let mut report = Report::new("nexmark", title);
        let records = inputs.iter().map(|input| records[input]).sum();
        let expected = expected::rows(*query, options.events);
        for run in 0..options.runs {
            let sources = Sources::default();
            let figures = one(&log, options, *query, &sources, run, records, &expected);
            report.add(figures.with_context(|| name.clone())?)?;
        }
        report.print(&[]);
    }
    Ok(())
}

/// Fills the inputs, and answers how many records each has.
fn fill(log: &EmbeddedLog, options: &Options) -> Result<HashMap<&'static str, u64>> {
    let mut writer = log.source_writer("bench", "nexmark")?;
    let mut records = HashMap::new();
    for topic in ["persons", "auctions", "bids", "labels"] {
        writer.ensure_topic(topic, options.partitions)?;
        records.insert(topic, 0);
    }
    let mut value = Vec::new();
    let labels = (0..query::LABELS).map(|index| Kind::Labels.event(index));
    let events = (0..options.events).map(generator::event);
    let mut written = 0;
    for event in labels.chain(events) {
        value.clear();
        let (topic, key, time_ms) = event.write(&mut value);
        let record = AppendRecord {
            timestamp: time_ms,
            key: Some(&key.to_be_bytes()),
            value: Some(&value),
            headers: HeadersRef::NONE,
        };
        writer.append_raw(topic, &record)?;
        *records.entry(topic).or_default() += 1;
        written += 1;
        if written % COMMIT_EVENTS == 0 {
            writer.commit(written)?;
        }
    }
    writer.commit(written)?;
    Ok(records)
}

fn one(
    log: &EmbeddedLog,
    options: &Options,
    query: Query,
    sources: &Sources,
    run: usize,
    records: u64,
    expected: &Rows,
) -> Result<Figures> {
    let application = format!("{}-{run}", query.name());
    let output = format!("{application}-out");
    log.ensure_topic(&output, options.partitions)?;
    let settings = Settings {
        workers: options.workers,
        ..Settings::in_dir(options.dir.join("state"))
    };
    process::reset_peak();
    let (cpu, begin) = (process::cpu_seconds(), Instant::now());
    let topology = query.topology(&application, &output, sources)?;
    headwater::run_to_end_with(topology, log, settings)?;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), process::cpu_seconds() - cpu);
    let peak_mb = process::peak_mb();
    let written = written(log, options, query, &output)?;
    check(&written, expected)?;
    let mut figures = Figures::new();
    figures.insert("query".into(), json!(query.name()));
    figures.insert("records".into(), json!(records));
    figures.insert(
        "records_per_second".into(),
        json!((records as f64 / seconds).round()),
    );
    figures.insert(
        "cpu_us_per_record".into(),
        json!(cpu * 1e6 / records as f64),
    );
    figures.insert("seconds".into(), json!(seconds));
    figures.insert("peak_mb".into(), json!(peak_mb.round()));
    figures.insert("rows".into(), json!(written.len()));
    Ok(figures)
}

/// What stands in the output, in order: of a table the last value of each key.
fn written(log: &EmbeddedLog, options: &Options, query: Query, output: &str) -> Result<Rows> {
    let seen = Arc::new(Mutex::new((Rows::new(), BTreeMap::new())));
    let app = App::new(format!("{output}-read"));
    let (sight, is_table) = (seen.clone(), query.is_table());
    app.stream::<Vec<u8>, Vec<u8>>(output)
        .with_nulls()
        .for_each(move |key, value| {
            let mut seen = sight.lock().unwrap_or_else(PoisonError::into_inner);
            match (is_table, value) {
                (true, Some(value)) => drop(seen.1.insert(key.clone(), value.clone())),
                (true, None) => drop(seen.1.remove(key)),
                (false, value) => seen
                    .0
                    .push((key.clone(), value.cloned().unwrap_or_default())),
            }
        });
    let settings = Settings::in_dir(options.dir.join("state"));
    headwater::run_to_end_with(app.build()?, log, settings)?;
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut rows, table) = std::mem::take(&mut *seen);
    rows.extend(table);
    rows.sort_unstable();
    Ok(rows)
}

fn check(written: &Rows, expected: &Rows) -> Result<()> {
    let differing = written
        .iter()
        .zip(expected)
        .find(|(one, other)| one != other);
    ensure!(
        differing.is_none() && written.len() == expected.len(),
        "{} rows instead of {}; the first that differs: {differing:?}",
        written.len(),
        expected.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    #[test]
    fn every_query_writes_what_a_plain_fold_over_the_events_gives_counted_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            queries: Vec::new(),
            events: 25_000,
            runs: 1,
            workers: 2,
            partitions: 3,
            dir: dir.path().into(),
        };
        let log = EmbeddedLog::open(&options.dir).unwrap();
        let records = fill(&log, &options).unwrap();
        for query in Query::value_variants() {
            let expected = expected::rows(*query, options.events);
            assert!(!expected.is_empty(), "{query:?} has no result to compare");
            let seen = Arc::new(AtomicU64::new(0));
            let sight = seen.clone();
            let see = move || {
                sight.fetch_add(1, Relaxed);
            };
            let counted = Sources {
                see: Some(Arc::new(see)),
            };
            for (run, sources) in [Sources::default(), counted].iter().enumerate() {
                let figures = one(&log, &options, *query, sources, run, 1, &expected);
                assert!(figures.is_ok(), "{query:?}, run {run}: {figures:?}");
            }
            let read: u64 = query.inputs().iter().map(|input| records[input]).sum();
            assert_eq!(seen.load(Relaxed), read, "{query:?}");
        }
    }
}
