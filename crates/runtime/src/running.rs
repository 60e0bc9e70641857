//! A running application: worker threads around [`Worker::step`], their end, and what can be asked of them.
//! Not a scheduler. Invariant: when one worker ends by an error, all end, and the first error is kept.

use crate::globals::SharedGlobals;
use crate::positions::{Demand, Positions, demand};
use crate::process::Process;
use crate::source_writer::thread_waker;
use crate::view::{View, Views};
use crate::worker::Worker;
use crate::{Error, Result, Settings, TaskStatus};
use headwater_log::{ClientOptions, Log, Offset, Request, TopicPartition};
use headwater_streams::{QuarantinedRecord, SubtopologyInfo, Topology};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest a worker sleeps without being woken: heartbeats and wall-clock punctuation need it.
const PARK_MS_MAX: u64 = 50;
/// How old [`Running::tasks`] may be.
const STATUS_MS_MAX: u64 = 100;
/// How long [`run`] lets workers commit and close after a signal.
const STOP_MS_MAX: u64 = 30_000;

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    records: AtomicU64,
    commits: AtomicU64,
    running_tasks: AtomicUsize,
    /// Counts the requests to replay what is quarantined.
    replays: AtomicU64,
    /// What the workers have set aside, as last told.
    quarantined: Mutex<BTreeMap<usize, Vec<QuarantinedRecord>>>,
    /// Where the tasks of each worker stand, as last told.
    tasks: Mutex<BTreeMap<usize, Vec<TaskStatus>>>,
    failure: Mutex<Option<Error>>,
}

/// A started application. Dropping it stops it, without waiting long.
pub struct Running {
    topology: Arc<Topology>,
    settings: Settings,
    shared: Arc<Shared>,
    views: Views,
    positions: Positions,
    globals: Arc<SharedGlobals>,
    log: Arc<dyn Log>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts `topology` on `log`.
pub fn start(topology: Topology, log: &Arc<dyn Log>, settings: Settings) -> Result<Running> {
    let topology = match settings.cache_bytes_max {
        0 => topology.without_record_caches(),
        _ => topology,
    };
    let topology = Arc::new(topology);
    let process = Arc::new(Process::new(&topology, &settings)?);
    let shared = Arc::new(Shared::default());
    let mut running = Running {
        topology: topology.clone(),
        settings: settings.clone(),
        shared,
        views: process.views.clone(),
        positions: process.positions.clone(),
        globals: process.globals.clone(),
        log: log.clone(),
        threads: vec![],
    };
    if process.globals.is_wanted() {
        let (topology, log, settings) = (topology.clone(), log.clone(), settings.clone());
        let (process, shared) = (process.clone(), running.shared.clone());
        running.spawn("global".into(), move || {
            follow_globals(&topology, &*log, &settings, &process, &shared)
        })?;
    }
    for number in 1..=settings.workers.max(1) {
        let (topology, log, settings) = (topology.clone(), log.clone(), settings.clone());
        let (process, shared) = (process.clone(), running.shared.clone());
        running.spawn(format!("worker-{number}"), move || {
            work(&topology, &*log, settings, &process, number, &shared)
        })?;
    }
    Ok(running)
}

/// Turns the crank of what follows the global topics, until the process stops.
fn follow_globals(
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

/// Starts `topology`, waits for the end (ctrl-c, SIGTERM or a failure), and stops it cleanly.
pub fn run(
    topology: Topology,
    log: &Arc<dyn Log>,
    settings: Settings,
    ended: impl Fn() -> bool,
) -> Result<()> {
    let running = start(topology, log, settings)?;
    while !ended() && !running.failed() {
        std::thread::park_timeout(Duration::from_millis(PARK_MS_MAX));
    }
    running.stop(Duration::from_millis(STOP_MS_MAX))
}

/// Starts `topology`, processes what its topics hold and what follows from it, and stops it cleanly; `ended` ends it before.
/// Windows and buffers that later records would close stay open, as they do between two records.
pub fn run_to_end(
    topology: Topology,
    log: &Arc<dyn Log>,
    settings: Settings,
    ended: impl Fn() -> bool,
) -> Result<()> {
    let running = start(topology, log, settings)?;
    let interrupted = || Error::TimedOut(String::new());
    let outcome = running.reached_end_unless(&|| if ended() { Err(interrupted()) } else { Ok(()) });
    let stopped = running.stop(Duration::from_millis(STOP_MS_MAX));
    // A failed worker says more about why than the wait that it ended.
    stopped?;
    match outcome {
        Err(Error::TimedOut(_)) if ended() => Ok(()),
        outcome => outcome,
    }
}

fn work(
    topology: &Arc<Topology>,
    log: &dyn Log,
    settings: Settings,
    process: &Process,
    number: usize,
    shared: &Shared,
) -> Result<()> {
    let options = process.client_options(topology, &settings, number, Some(thread_waker()));
    let client = log.client(options)?;
    let mut worker = Worker::new(topology, settings, client, process, number)?;
    worker.wake_by(thread_waker());
    let result = caught(&format!("worker {number}"), || crank(&mut worker, shared));
    if result.is_err() {
        abandon(&mut worker);
    }
    result
}

/// Leaves the group without another commit: a member that only fell silent would hold its tasks for the session's timeout,
/// and an open transaction would hold readers up.
fn abandon(worker: &mut Worker) {
    worker.client.submit(Request::Abort);
    worker.client.leave();
    // A log without threads works when it is polled; the answer is of no use.
    worker.client.poll();
}

fn crank(worker: &mut Worker, shared: &Shared) -> Result<()> {
    let (mut commits, mut tasks) = (0, 0);
    let mut replays = shared.replays.load(Ordering::Acquire);
    let clock = worker.settings.world.clock.clone();
    let (mut told_at, status_interval) = (clock.elapsed(), Duration::from_millis(STATUS_MS_MAX));
    loop {
        if shared.stop.load(Ordering::Acquire) {
            worker.stop();
        }
        let asked = shared.replays.load(Ordering::Acquire);
        if asked != replays {
            replays = asked;
            worker.replay_quarantine();
        }
        let step = worker.step().inspect_err(|_| {
            shared.running_tasks.fetch_sub(tasks, Ordering::AcqRel);
        })?;
        shared
            .records
            .fetch_add(step.records as u64, Ordering::Relaxed);
        shared
            .commits
            .fetch_add(worker.commits() - commits, Ordering::Relaxed);
        let committed = worker.commits() != commits;
        commits = worker.commits();
        let now_running = worker.running().count();
        if committed || now_running != tasks {
            tell_quarantined(worker, shared)?;
        }
        let now = clock.elapsed();
        if now_running != tasks || now.saturating_sub(told_at) >= status_interval {
            told_at = now;
            tell_tasks(worker, shared);
        }
        if now_running != tasks {
            shared
                .running_tasks
                .fetch_add(now_running, Ordering::AcqRel);
            shared.running_tasks.fetch_sub(tasks, Ordering::AcqRel);
            tasks = now_running;
        }
        if step.stopped {
            tell_tasks(worker, shared);
            return Ok(());
        }
        if !step.busy {
            std::thread::park_timeout(worker.idle_for().min(Duration::from_millis(PARK_MS_MAX)));
        }
    }
}

/// Tells what the worker has set aside; for most applications that is nothing, at no cost.
fn tell_quarantined(worker: &Worker, shared: &Shared) -> Result<()> {
    let records = worker.quarantined()?;
    let told = shared.quarantined.lock();
    let mut told = told.unwrap_or_else(|poisoned| poisoned.into_inner());
    told.insert(worker.number(), records);
    Ok(())
}

fn tell_tasks(worker: &mut Worker, shared: &Shared) {
    let tasks = worker.status();
    let told = shared.tasks.lock();
    let mut told = told.unwrap_or_else(|poisoned| poisoned.into_inner());
    told.insert(worker.number(), tasks);
}

impl Running {
    /// Starts a thread whose error stops the application.
    fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let shared = self.shared.clone();
        let full = format!("{}-{name}", self.topology.application()).replace(' ', "-");
        let what = name.clone();
        let body = move || {
            // Around all of it: opening and dropping a worker may panic too.
            if let Err(error) = caught(&name, work) {
                let mut failure = shared
                    .failure
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                failure.get_or_insert(error);
                shared.stop.store(true, Ordering::Release);
            }
        };
        let thread = std::thread::Builder::new()
            .name(full)
            .spawn(body)
            .map_err(|error| Error::Worker(format!("cannot start {what}: {error}")))?;
        self.threads.push(thread);
        Ok(())
    }

    /// The topology that runs.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// A typed view of a store's committed state in this process.
    pub fn view<K: 'static, V: 'static>(&self, store: &str) -> Result<View<K, V>> {
        View::new(&self.topology, &self.views, store)
    }

    /// The readers behind all views.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Records that this process has set aside under [`headwater_streams::OnError::Quarantine`], as of each worker's last commit.
    pub fn quarantined(&self) -> Vec<QuarantinedRecord> {
        let told = self.shared.quarantined.lock();
        let told = told.unwrap_or_else(|poisoned| poisoned.into_inner());
        told.values().flatten().cloned().collect()
    }

    /// Asks for another try of what is set aside; a record that fails again is set aside again.
    pub fn replay_quarantine(&self) {
        self.shared.replays.fetch_add(1, Ordering::AcqRel);
        for thread in &self.threads {
            thread.thread().unpark();
        }
    }

    /// Where each task of this process stands, active ones and standbys, as of 100 ms ago at most.
    pub fn tasks(&self) -> Vec<TaskStatus> {
        let told = self.shared.tasks.lock();
        let told = told.unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut tasks: Vec<TaskStatus> = told.values().flatten().cloned().collect();
        tasks.sort_by_key(|status| (status.task, status.role));
        tasks
    }

    /// Records processed since the start.
    pub fn records(&self) -> u64 {
        self.shared.records.load(Ordering::Relaxed)
    }

    /// Commits that took effect since the start.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// The next record of each input that views do not show yet, for the tasks of this process. Topics of global stores are not
    /// among them: [`Running::global_positions`] has those.
    pub fn positions(&self) -> Vec<(TopicPartition, Offset)> {
        self.positions.get().into_iter().collect()
    }

    /// The next record of each partition that fills a global store; what lies before it is visible to all tasks.
    pub fn global_positions(&self) -> Vec<(TopicPartition, Offset)> {
        self.globals.positions.get().into_iter().collect()
    }

    /// Waits until views show everything the log holds for this topology, and what followed from it, or until `deadline`
    /// passes or a worker fails. All tasks must run in this process.
    pub fn caught_up(&self, deadline: Duration) -> Result<()> {
        let until = self.settings.world.clock.elapsed() + deadline;
        self.follow(&mut |_| {}, &|now| {
            if now < until {
                return Ok(());
            }
            Err(Error::TimedOut(format!(
                "'{}' has not caught up within {deadline:?}",
                self.topology.application()
            )))
        })
    }

    /// Waits until everything is processed and committed that the topics of the application held when this was called, and
    /// what followed from it: repartition topics, and topics that the topology itself writes, are followed to their end. What
    /// others append meanwhile may wait. All tasks must run in this process.
    pub fn reached_end(&self) -> Result<()> {
        self.reached_end_unless(&|| Ok(()))
    }

    fn reached_end_unless(&self, go_on: &dyn Fn() -> Result<()>) -> Result<()> {
        let mut first: Option<BTreeMap<TopicPartition, Offset>> = None;
        let written = |topic: &str| {
            let outputs = self.topology.output_topics();
            outputs.iter().any(|output| output == topic)
        };
        let bound = &mut |demand: &mut Demand| {
            let known = first.get_or_insert_with(|| demand.ends.clone());
            for (partition, end) in &mut demand.ends {
                if !written(&partition.topic) {
                    *end = (*end).min(known.get(partition).copied().unwrap_or(0));
                }
            }
        };
        self.follow(bound, &|_| go_on())
    }

    /// Waits until the ends that `bound` leaves in the demand are reached, while `patient` says so.
    fn follow(
        &self,
        bound: &mut dyn FnMut(&mut Demand),
        patient: &dyn Fn(Duration) -> Result<()>,
    ) -> Result<()> {
        let clock = self.settings.world.clock.clone();
        let mut client = self.log.client(ClientOptions::default())?;
        let mut seen = None;
        loop {
            let mut demand = demand(&mut *client, &*clock, &self.topology)?;
            if let Some(demand) = &mut demand {
                bound(demand);
            }
            let (positions, globals) = (self.positions.get(), self.globals.positions.get());
            let has_read = |partition: &TopicPartition, end: &Offset| {
                let by_tasks = !self.reads(self.topology.subtopologies(), &partition.topic)
                    || positions.get(partition) >= Some(end);
                let by_globals = !self.reads(self.topology.globals(), &partition.topic)
                    || globals.get(partition) >= Some(end);
                by_tasks && by_globals
            };
            let reached = demand.as_ref().is_some_and(|demand| {
                let mut ends = demand.ends.iter().filter(|(_, end)| **end > 0);
                self.running_tasks() >= demand.tasks
                    && ends.all(|(partition, end)| has_read(partition, end))
            });
            // Twice with the same ends: what the last commits wrote to repartition topics is in the second look.
            if reached && demand == seen {
                return Ok(());
            }
            if self.failed() {
                return Err(Error::Worker(format!(
                    "'{}' failed; Running::stop tells why",
                    self.topology.application()
                )));
            }
            patient(clock.elapsed())?;
            if !reached {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            seen = demand.filter(|_| reached);
        }
    }

    fn reads(&self, parts: &[SubtopologyInfo], topic: &str) -> bool {
        let names = self.topology.source_topics();
        let mut topics = parts.iter().flat_map(|part| &part.source_topics);
        topics.any(|number| *names[*number as usize] == *topic)
    }

    /// Tasks that process records in this process.
    pub fn running_tasks(&self) -> usize {
        self.shared.running_tasks.load(Ordering::Acquire)
    }

    /// True once a worker has ended by an error; [`Running::stop`] tells it.
    pub fn failed(&self) -> bool {
        self.shared
            .failure
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .is_some()
    }

    /// Commits, closes, checkpoints and leaves; an error when a worker failed or `deadline` passes first.
    pub fn stop(mut self, deadline: Duration) -> Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        let clock = self.settings.world.clock.clone();
        let end = clock.elapsed() + deadline;
        for thread in std::mem::take(&mut self.threads) {
            thread.thread().unpark();
            while !thread.is_finished() {
                if clock.elapsed() >= end {
                    return Err(Error::TimedOut(format!(
                        "stopping '{}' within {deadline:?}",
                        self.topology.application()
                    )));
                }
                std::thread::park_timeout(Duration::from_millis(1));
            }
            // Its panics were turned into the failure below.
            let _ = thread.join();
        }
        let failure = self
            .shared
            .failure
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        failure.map_or(Ok(()), Err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in &self.threads {
            thread.thread().unpark();
        }
    }
}

/// A panic as an error that names the thread.
fn caught(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
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
