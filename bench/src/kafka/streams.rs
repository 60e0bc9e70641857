//! One run of a job by Headwater: started, waited for, stopped cleanly. Not a check of the result: the output topic is read by
//! another program. Invariant: it ends with everything committed, or fails.

use super::job::{Inputs, Seen, StreamsJob};
use super::{PARTITIONS, Place, RUN_SECONDS_MAX};
use anyhow::{Context, Result, bail};
use clap::Args;
use headwater::{Listener, RestoreProgress, Running, Settings};
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// As `bench/java/StreamsYardstick.java` calls it; of the queries of Nexmark nexmark-q0 and so on.
    #[arg(value_parser = StreamsJob::named)]
    job: StreamsJob,
    #[command(flatten)]
    place: Place,
    /// `application.id`; the output topic is `<application>-out` and is there.
    #[arg(long)]
    application: String,
    /// The topic read, of partitions as many as all topics of the jobs have.
    #[arg(long, default_value = "events")]
    input: String,
    /// The other topic of a join.
    #[arg(long, default_value = "profiles")]
    second: String,
    /// Records to wait for, of both inputs where there are two; of `words` the words. A query of Nexmark waits for the end of
    /// standard input instead.
    #[arg(long, default_value_t = 3_000_000)]
    records: u64,
    /// A setting of the application by Kafka's name, NAME=VALUE.
    #[arg(long = "property")]
    properties: Vec<String>,
    /// `state.dir`.
    #[arg(long)]
    state_dir: PathBuf,
}

/// When stores were restored, and how much.
#[derive(Default)]
struct Restored {
    begin: OnceLock<Instant>,
    end: Mutex<Option<Instant>>,
    records: AtomicI64,
}

impl Listener for Restored {
    fn restore_started(&self, _: &RestoreProgress) {
        self.begin.get_or_init(Instant::now);
    }

    fn restore_ended(&self, progress: &RestoreProgress) {
        let records = progress.position - progress.start;
        self.records.fetch_add(records, Ordering::Relaxed);
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl Restored {
    fn seconds(&self) -> f64 {
        let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let span = self.begin.get().zip(end);
        span.map_or(0.0, |(begin, end)| (end - *begin).as_secs_f64())
    }
}

/// Runs it.
pub(super) fn run(options: &Options) -> Result<()> {
    let (seen, restored) = (Seen::default(), Arc::new(Restored::default()));
    let settings = settings(options, restored.clone())?;
    let inputs = Inputs {
        input: &options.input,
        second: &options.second,
    };
    let topology = options.job.topology(&options.application, &inputs, &seen)?;
    let tasks = topology.subtopologies().len() * PARTITIONS;
    let running = headwater::start_with(topology, options.place.kafka()?, settings)?;
    let Some(running_unix_ms) = wait(&running, options, tasks, &seen) else {
        running.stop(Duration::from_secs(1))?;
        bail!("the run did not end: {} records came", seen.records());
    };
    let last = Instant::now();
    let (keys, sum) = match options.job {
        StreamsJob::Restore => held(&running)?,
        _ => (0, 0),
    };
    let commits = running.commits();
    running.stop(Duration::from_secs(60))?;
    let first = seen.first().unwrap_or(last);
    let line = json!({
        "job": format!("{:?}", options.job),
        "records": seen.records(),
        "seconds": (last - first).as_secs_f64(),
        "seconds_closed": first.elapsed().as_secs_f64(),
        "running_unix_ms": running_unix_ms,
        "restored": restored.records.load(Ordering::Relaxed),
        "restore_seconds": restored.seconds(),
        "keys": keys,
        "sum": sum,
        "commits": commits,
    });
    println!("{line}");
    Ok(())
}

fn settings(options: &Options, listener: Arc<dyn Listener>) -> Result<Settings> {
    let settings = Settings {
        listener,
        ..Settings::in_dir(&options.state_dir)
    };
    with_properties(settings, &options.properties)
}

/// `settings` with properties NAME=VALUE.
pub(super) fn with_properties(settings: Settings, properties: &[String]) -> Result<Settings> {
    let mut pairs = Vec::new();
    for property in properties {
        let pair = property.split_once('=');
        pairs.push(pair.with_context(|| format!("`{property}` is not NAME=VALUE"))?);
    }
    Ok(settings.with_properties(pairs)?)
}

/// Becomes true at the end of standard input.
fn told() -> Arc<AtomicBool> {
    let told = Arc::new(AtomicBool::new(false));
    let tell = told.clone();
    // Not joined: it waits for whoever started this process, and holds nothing.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        tell.store(true, Ordering::Release);
    });
    told
}

/// Waits until the job is done, and answers when all of its `tasks` ran; none if it failed or took too long.
fn wait(running: &Running, options: &Options, tasks: usize, seen: &Seen) -> Option<u64> {
    let told = options.job.is_told().then(told);
    let (begin, mut running_unix_ms) = (Instant::now(), None);
    loop {
        if running_unix_ms.is_none() && running.running_tasks() >= tasks {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            running_unix_ms = Some(since.map_or(0, |since| since.as_millis() as u64));
        }
        let is_done = match &told {
            Some(told) => told.load(Ordering::Acquire),
            None => options.job.starts_only() || seen.records() >= options.records,
        };
        if is_done && running_unix_ms.is_some() {
            return running_unix_ms;
        }
        if running.failed() || begin.elapsed().as_secs() > RUN_SECONDS_MAX {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Keys of the restored store and the sum of their counts.
fn held(running: &Running) -> Result<(u64, u64)> {
    let (mut keys, mut sum) = (0, 0);
    let view = running.view::<String, u64>("counts")?;
    view.for_each(|_, count| {
        keys += 1;
        sum += count;
    })?;
    Ok((keys, sum))
}
