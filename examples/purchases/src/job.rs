//! The job from beginning to end: read the history, append it, process it, read the result. Not the parts themselves.
//! Invariant: results are read only when everything appended has been processed and committed.

use crate::args::Args;
use crate::history::History;
use crate::load::load;
use crate::phases::Phases;
use crate::progress::Progress;
use crate::summary::{Outcome, Run, Summary};
use crate::topology::{APPLICATION, LOYALTY, PURCHASES, topology};
use crate::watch::Ear;
use anyhow::{Context, Result};
use headwater::{
    EmbeddedLog, Kafka, Running, Settings, TopicPartition, committed_offsets, count_records,
    end_offsets,
    log::{Log, Offset},
};
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

/// Time between two looks at how far the job is.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// How long the workers may take to commit and close at the end.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Runs the job; `None` when it was asked to stop before its end.
pub(crate) fn run(args: &Args) -> Result<Option<Outcome>> {
    let stop = headwater::watch_signals()?;
    let begin = Instant::now();
    let phases = Arc::new(Phases::open(args.phases.as_deref())?);
    let history = History::read(args.input.as_deref())?;
    let log = open(args)?;
    let load_begin = Instant::now();
    let loaded = load(&*log, &history, args.repeat, &phases, stop)?;
    let load_time = load_begin.elapsed();
    if stop() {
        return Ok(None);
    }
    let ear = Ear::new(APPLICATION, phases.clone());
    let settings = Settings {
        commit_interval_ms: args.commit_interval_ms,
        checkpoint_interval_ms: args.checkpoint_interval_ms,
        workers: usize::from(args.workers),
        cache_bytes_max: args.cache_bytes,
        listener: ear.clone(),
        ..Settings::in_dir(args.data.join("state"))
    };
    let process_begin = Instant::now();
    let before = committed_offsets(&*log, APPLICATION)?;
    let running = headwater::start_with(topology()?, &log, settings)?;
    let total = sum(&end_offsets(&*log, PURCHASES)?, PURCHASES)
        + sum(&end_offsets(&*log, LOYALTY)?, LOYALTY);
    let known = sum(&before, PURCHASES) + sum(&before, LOYALTY);
    let progress = Progress::new("processing", total.saturating_sub(known));
    let finished = process(&running, progress, known, &ear, &phases, stop);
    let process_time = process_begin.elapsed();
    let summary = match finished {
        Ok(true) => Some(Summary::read(&running, &*log)),
        Ok(false) => None,
        Err(error) => {
            // What the worker failed by says more than what was seen of it.
            running.stop(STOP_MAX)?;
            return Err(error);
        }
    };
    let processed = count_records(&*log, between(&before, running.positions(), PURCHASES))?;
    let (records, commits) = (running.records(), running.commits());
    running.stop(STOP_MAX)?;
    let Some(summary) = summary.transpose()? else {
        return Ok(None);
    };
    phases.enter("done");
    let run = Run {
        directory: args.data.display().to_string(),
        workers: args.workers,
        appended_records: loaded,
        append_seconds: load_time.as_secs_f64(),
        processed_purchases: processed,
        processed_records: records,
        restored_records: ear.restored_records(),
        commits,
        process_seconds: process_time.as_secs_f64(),
        total_seconds: begin.elapsed().as_secs_f64(),
    };
    Ok(Some(Outcome { summary, run }))
}

/// Waits until everything is processed; false when asked to stop first. `known` records were processed in earlier runs.
fn process(
    running: &Running,
    progress: Progress,
    known: u64,
    ear: &Ear,
    phases: &Phases,
    stop: fn() -> bool,
) -> Result<bool> {
    let mut entered = false;
    loop {
        for notice in ear.notices() {
            progress.note(&notice);
        }
        if !entered && running.running_tasks() > 0 {
            phases.enter("process");
            entered = true;
        }
        if running.failed() {
            anyhow::bail!("a worker failed");
        }
        let done = running.caught_up(LOOK_INTERVAL).is_ok();
        let positions = running.positions();
        let processed = sum(&positions, PURCHASES) + sum(&positions, LOYALTY);
        progress.at(processed.saturating_sub(known));
        if done || stop() {
            progress.done();
            return Ok(done);
        }
    }
}

fn open(args: &Args) -> Result<Arc<dyn Log>> {
    if let Some(servers) = &args.kafka {
        return Ok(Arc::new(Kafka::at(servers)?));
    }
    let log = EmbeddedLog::open(&args.data)
        .with_context(|| format!("cannot open the log in {}", args.data.display()))?;
    Ok(log.shared())
}

/// What was read of `topic` in this run.
fn between(
    before: &[(TopicPartition, Offset)],
    after: impl IntoIterator<Item = (TopicPartition, Offset)>,
    topic: &str,
) -> Vec<(TopicPartition, Range<Offset>)> {
    let of_topic = after.into_iter().filter(|(at, _)| &*at.topic == topic);
    let begin = |at: &TopicPartition| {
        let begin = before.iter().find(|(it, _)| it == at);
        begin.map_or(0, |(_, offset)| *offset)
    };
    let ranges = of_topic.map(|(at, end)| (begin(&at)..end, at));
    ranges.map(|(range, at)| (at, range)).collect()
}

/// Sum of the offsets in partitions of `topic`: records before them, since nothing is deleted, and on Kafka a few ends of
/// transactions.
fn sum<'a>(offsets: impl IntoIterator<Item = &'a (TopicPartition, Offset)>, topic: &str) -> u64 {
    let of_topic = offsets
        .into_iter()
        .filter(|(partition, _)| &*partition.topic == topic);
    of_topic.map(|(_, offset)| *offset as u64).sum()
}
