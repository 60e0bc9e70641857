//! The job "count": texts counted by key, exactly once, record cache of 10 MB, state on disk, every count written out.
//! Not a check of the result: the output topic is read by another program. Invariant: it ends cleanly, all committed.

use super::line::Line;
use super::{Place, RUN_SECONDS_MAX};
use anyhow::{Result, bail};
use clap::Args;
use headwater::{App, Settings, Store, Topology};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// `application.id`; the output topic is `<application>-out` and is there.
    #[arg(long)]
    application: String,
    #[arg(long, default_value = "events")]
    topic: String,
    /// Records to wait for.
    #[arg(long, default_value_t = 3_000_000)]
    records: u64,
    /// `num.stream.threads`.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// `statestore.cache.max.bytes`.
    #[arg(long, default_value_t = 10 << 20)]
    cache_bytes: usize,
    /// `state.dir`.
    #[arg(long)]
    state_dir: PathBuf,
    /// State in memory instead of on disk.
    #[arg(long)]
    in_memory: bool,
}

/// Records seen, and when the first came.
#[derive(Default)]
struct Seen {
    records: AtomicU64,
    first: OnceLock<Instant>,
}

/// Runs it.
pub(super) fn run(options: &Options) -> Result<()> {
    let begin = Instant::now();
    let seen = Arc::new(Seen::default());
    let settings = Settings {
        workers: options.workers,
        cache_bytes_max: options.cache_bytes,
        ..Settings::in_dir(&options.state_dir)
    };
    let topology = topology(options, &seen)?;
    let running = headwater::start_with(topology, options.place.kafka()?, settings)?;
    let mut start_to_running = Duration::ZERO;
    while seen.records.load(Ordering::Relaxed) < options.records {
        if start_to_running.is_zero() && running.running_tasks() > 0 {
            start_to_running = begin.elapsed();
        }
        if running.failed() || begin.elapsed().as_secs() > RUN_SECONDS_MAX {
            running.stop(Duration::from_secs(1))?;
            bail!("the run did not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let first = *seen.first.get().unwrap_or(&begin);
    let seconds = first.elapsed();
    let commits = running.commits();
    running.stop(Duration::from_secs(60))?;
    eprintln!("count: {commits} commits before the stop");
    let line = Line {
        job: "count",
        records: options.records,
        seconds,
        seconds_closed: first.elapsed(),
        start_to_running,
    };
    line.print();
    Ok(())
}

fn topology(options: &Options, seen: &Arc<Seen>) -> Result<Topology> {
    let app = App::new(&options.application);
    let mut store = Store::<String, u64>::from("counts");
    if options.in_memory {
        store = store.in_memory();
    }
    let seen = Arc::clone(seen);
    let output = format!("{}-out", options.application);
    app.stream::<String, String>(options.topic.as_str())
        .peek(move |_, _| {
            if seen.records.fetch_add(1, Ordering::Relaxed) == 0 {
                seen.first.get_or_init(Instant::now);
            }
        })
        .group_by_key()
        .count(store)
        .to_stream()
        .to(output.as_str());
    Ok(app.build()?)
}
