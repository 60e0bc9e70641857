//! What the threads of a process do: a worker's crank, the crank of the global stores, and what both tell the rest.
//! Not the starting of threads. Invariant: an error or panic of one thread is kept, the first of all, and stops the others.

use crate::process::Process;
use crate::source_writer::thread_waker;
use crate::worker::Worker;
use crate::{Error, Result, Settings, TaskStatus, UncaughtResponse};
use headwater_log::{Log, Request};
use headwater_streams::{QuarantinedRecord, Topology};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// The longest a worker sleeps without being woken: heartbeats and wall-clock punctuation need it.
pub(crate) const PARK_MS_MAX: u64 = 50;
/// How old [`crate::Running::tasks`] may be.
const STATUS_MS_MAX: u64 = 100;
/// How long a worker that is done waits for the other workers of a process that stops, to leave together with them: a coordinator
/// assigns once in a while, and between two leaves it would assign too early.
const LEAVE_TOGETHER_MS_MAX: u64 = 500;
/// How often it looks for them.
const LEAVE_LOOK_MS: u64 = 1;

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) stop: AtomicBool,
    /// Workers turn the crank and process nothing.
    pub(crate) paused: AtomicBool,
    /// How many workers share the record caches.
    pub(crate) workers: AtomicUsize,
    pub(crate) records: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) running_tasks: AtomicUsize,
    /// Workers that have given up all tasks, as the process stops, and have yet to leave.
    pub(crate) closed: AtomicUsize,
    /// Counts the requests to replay what is quarantined.
    pub(crate) replays: AtomicU64,
    /// What the workers have set aside, as last told.
    pub(crate) quarantined: Mutex<BTreeMap<usize, Vec<QuarantinedRecord>>>,
    /// Where the tasks of each worker stand, as last told.
    pub(crate) tasks: Mutex<BTreeMap<usize, Vec<TaskStatus>>>,
    pub(crate) failure: Mutex<Option<Error>>,
}

/// The lock, also after a thread that held it has panicked: what it guards is replaced as a whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Turns the crank of what follows the global topics, until the process stops.
pub(crate) fn follow_globals(
    topology: &Arc<Topology>,
    log: &dyn Log,
    settings: &Settings,
    process: &Process,
    shared: &Shared,
) -> Result<()> {
    let Some(mut globals) = process.global_task(topology, log, settings, Some(thread_waker()))?
    else {
        return Ok(());
    };
    while !shared.stop.load(Ordering::Acquire) {
        if !globals.step()? {
            std::thread::park_timeout(Duration::from_millis(PARK_MS_MAX));
        }
    }
    globals.close()
}

/// How long the place of a worker that failed stays empty.
const REPLACE_PAUSE_MS: u64 = 100;

/// A worker, and those that take its place when it fails, as long as [`Settings::uncaught`] wants one.
pub(crate) fn work(
    topology: &Arc<Topology>,
    log: &dyn Log,
    settings: Settings,
    process: &Process,
    number: usize,
    shared: &Shared,
    stop: &AtomicBool,
) -> Result<()> {
    let is_stopping = || shared.stop.load(Ordering::Acquire) || stop.load(Ordering::Acquire);
    loop {
        let ended = work_once(topology, log, &settings, process, number, shared, stop);
        let Err((error, UncaughtResponse::ReplaceThread)) = ended else {
            return ended.map_err(|(error, _)| error);
        };
        if is_stopping() {
            return Err(error);
        }
        let message = format!("worker {number} has failed and is replaced: {error}");
        settings.listener.notice(&message);
        lock(&shared.tasks).remove(&number);
        lock(&shared.quarantined).remove(&number);
        process.hosts.forget(number);
        std::thread::park_timeout(Duration::from_millis(REPLACE_PAUSE_MS));
    }
}

/// An error with what is to follow.
fn work_once(
    topology: &Arc<Topology>,
    log: &dyn Log,
    settings: &Settings,
    process: &Process,
    number: usize,
    shared: &Shared,
    stop: &AtomicBool,
) -> Result<(), (Error, UncaughtResponse)> {
    let options = process.client_options(topology, settings, number, Some(thread_waker()));
    let opened = log.client(options).map_err(Error::from);
    let opened =
        opened.and_then(|client| Worker::new(topology, settings.clone(), client, process, number));
    let mut worker = opened.map_err(|error| {
        let response = settings.uncaught.response(&error);
        (error, response)
    })?;
    worker.wake_by(thread_waker());
    let result = caught(&format!("worker {number}"), || {
        crank(&mut worker, shared, stop)
    });
    result.map_err(|error| {
        let response = settings.uncaught.response(&error);
        abandon(&mut worker, response);
        (error, response)
    })
}

/// Ends the membership without another commit: a member that only fell silent would hold its tasks for the session's timeout,
/// and an open transaction would hold readers up. One that is kept for a session is taken over by its successor.
fn abandon(worker: &mut Worker, response: UncaughtResponse) {
    worker.client.submit(Request::Abort);
    match response {
        UncaughtResponse::ShutdownApplication => worker.client.stop_group(),
        UncaughtResponse::ReplaceThread | UncaughtResponse::ShutdownClient => {
            worker.client.end_membership();
        }
    }
    // A log without threads works when it is polled; the answer is of no use.
    worker.client.poll();
}

fn crank(worker: &mut Worker, shared: &Shared, stop: &AtomicBool) -> Result<()> {
    let mut commits = 0;
    let mut counted = Counted { shared, tasks: 0 };
    let mut replays = shared.replays.load(Ordering::Acquire);
    let clock = worker.settings.world.clock.clone();
    let (mut told_at, status_interval) = (clock.elapsed(), Duration::from_millis(STATUS_MS_MAX));
    let mut parting = Parting::default();
    loop {
        if shared.stop.load(Ordering::Acquire) {
            worker.stop();
        } else if stop.load(Ordering::Acquire) {
            worker.retire();
        }
        worker.stay(parting.waits(worker, shared));
        worker.pause(shared.paused.load(Ordering::Acquire));
        worker.share_cache(shared.workers.load(Ordering::Acquire));
        let asked = shared.replays.load(Ordering::Acquire);
        if asked != replays {
            replays = asked;
            worker.replay_quarantine();
        }
        let step = worker.step()?;
        shared
            .records
            .fetch_add(step.records as u64, Ordering::Relaxed);
        shared
            .commits
            .fetch_add(worker.commits() - commits, Ordering::Relaxed);
        let committed = worker.commits() != commits;
        commits = worker.commits();
        let now_running = worker.running().count();
        let moved = now_running != counted.tasks;
        if committed || moved {
            tell_quarantined(worker, shared)?;
        }
        let now = clock.elapsed();
        if moved || now.saturating_sub(told_at) >= status_interval {
            told_at = now;
            tell_tasks(worker, shared);
        }
        counted.set(now_running);
        if step.stopped {
            tell_tasks(worker, shared);
            return Ok(());
        }
        if !step.busy {
            let park_ms = match parting.since {
                Some(_) => LEAVE_LOOK_MS,
                None => PARK_MS_MAX,
            };
            std::thread::park_timeout(worker.idle_for().min(Duration::from_millis(park_ms)));
        }
    }
}

/// A worker's part in [`Shared::running_tasks`], taken back when it ends, also by a panic.
struct Counted<'a> {
    shared: &'a Shared,
    tasks: usize,
}

impl Counted<'_> {
    fn set(&mut self, tasks: usize) {
        let running = &self.shared.running_tasks;
        running.fetch_add(tasks, Ordering::AcqRel);
        running.fetch_sub(std::mem::replace(&mut self.tasks, tasks), Ordering::AcqRel);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A worker's part in leaving together, while its process stops.
#[derive(Default)]
struct Parting {
    /// When it was done.
    since: Option<Duration>,
}

impl Parting {
    /// True while the worker is to stay for the others' sake.
    fn waits(&mut self, worker: &Worker, shared: &Shared) -> bool {
        if !shared.stop.load(Ordering::Acquire) {
            return false;
        }
        let now = worker.settings.world.clock.elapsed();
        if self.since.is_none() && worker.has_closed() {
            self.since = Some(now);
            shared.closed.fetch_add(1, Ordering::AcqRel);
        }
        // Before it is done it has nothing to leave with.
        let is_patient = self.since.is_none_or(|since| {
            now.saturating_sub(since) < Duration::from_millis(LEAVE_TOGETHER_MS_MAX)
        });
        let (closed, workers) = (
            shared.closed.load(Ordering::Acquire),
            shared.workers.load(Ordering::Acquire),
        );
        is_patient && closed < workers
    }
}

/// Tells what the worker has set aside; for most applications that is nothing, at no cost.
fn tell_quarantined(worker: &Worker, shared: &Shared) -> Result<()> {
    let records = worker.quarantined()?;
    lock(&shared.quarantined).insert(worker.number(), records);
    Ok(())
}

fn tell_tasks(worker: &mut Worker, shared: &Shared) {
    let tasks = worker.status();
    lock(&shared.tasks).insert(worker.number(), tasks);
}

/// A panic as an error that names the thread.
pub(crate) fn caught(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    result.unwrap_or_else(|panic| {
        Err(Error::Worker(format!(
            "{name} panicked: {}",
            panic_text(&*panic)
        )))
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}
