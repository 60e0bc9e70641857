//! A running application: worker threads around [`Worker::step`], their end, and what can be asked of them.
//! Not a scheduler. Invariant: when one worker ends by an error, all end, and the first error is kept.

use crate::crank::{PARK_MS_MAX, Shared, lock};
use crate::globals::SharedGlobals;
use crate::hosts::Hosts;
use crate::patterns::resolve_patterns;
use crate::positions::{Demand, Positions, demand, missing_source};
use crate::process::Process;
use crate::state::State;
use crate::threads::Thread;
use crate::view::View;
use crate::views::Views;
use crate::{Error, Result, Settings, TaskStatus};
use headwater_log::{ClientOptions, Log, Offset, TopicPartition};
use headwater_streams::{QuarantinedRecord, SubtopologyInfo, Topology};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long [`run`] lets workers commit and close after a signal.
const STOP_MS_MAX: u64 = 30_000;

/// A started application. Dropping it stops it, without waiting long.
pub struct Running {
    pub(crate) topology: Arc<Topology>,
    pub(crate) settings: Settings,
    pub(crate) shared: Arc<Shared>,
    views: Views,
    positions: Positions,
    globals: Arc<SharedGlobals>,
    pub(crate) process: Arc<Process>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) threads: Mutex<Vec<Thread>>,
}

/// Starts `topology` on `log`.
pub fn start(topology: Topology, log: &Arc<dyn Log>, settings: Settings) -> Result<Running> {
    let topology = match settings.cache_bytes_max {
        0 => topology.without_record_caches(),
        _ => topology,
    };
    let topology = resolve_patterns(topology, &**log, &settings)?;
    let topology = Arc::new(topology);
    let process = Arc::new(Process::new(&topology, &settings)?);
    let shared = Arc::new(Shared::default());
    let running = Running {
        topology: topology.clone(),
        settings: settings.clone(),
        shared,
        views: process.views.clone(),
        positions: process.positions.clone(),
        globals: process.globals.clone(),
        process,
        log: log.clone(),
        threads: Mutex::default(),
    };
    running.follow_globals()?;
    for _ in 0..settings.workers.max(1) {
        running.add_worker()?;
    }
    Ok(running)
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
/// Windows and buffers that later records would close stay open, as they do between two records. A source topic that does not
/// exist is an error: there is nothing to wait for.
pub fn run_to_end(
    topology: Topology,
    log: &Arc<dyn Log>,
    settings: Settings,
    ended: impl Fn() -> bool,
) -> Result<()> {
    let running = start(topology, log, settings)?;
    let interrupted = || Error::TimedOut(String::new());
    let outcome = running.require_sources().and_then(|()| {
        running.reached_end_unless(&|| if ended() { Err(interrupted()) } else { Ok(()) })
    });
    let stopped = running.stop(Duration::from_millis(STOP_MS_MAX));
    // A failed worker says more about why than the wait that it ended.
    stopped?;
    match outcome {
        Err(Error::TimedOut(_)) if ended() => Ok(()),
        outcome => outcome,
    }
}

impl Running {
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

    /// What can be asked from any thread, also by those who do not hold the application.
    pub fn state(&self) -> State {
        State {
            topology: self.topology.clone(),
            views: self.views.clone(),
            positions: self.positions.clone(),
            written: self.process.written.clone(),
            globals: self.globals.clone(),
            hosts: self.process.hosts.clone(),
            counts: self.process.counts.clone(),
            endpoint: self.settings.application_server.clone(),
            world: self.settings.world.clone(),
        }
    }

    /// Which instance of the application holds what, as far as they have an endpoint ([`Settings::application_server`]).
    pub fn hosts(&self) -> &Hosts {
        &self.process.hosts
    }

    /// Records that this process has set aside under [`headwater_streams::OnError::Quarantine`], as of each worker's last commit.
    pub fn quarantined(&self) -> Vec<QuarantinedRecord> {
        let told = lock(&self.shared.quarantined);
        told.values().flatten().cloned().collect()
    }

    /// Asks for another try of what is set aside; a record that fails again is set aside again.
    pub fn replay_quarantine(&self) {
        self.shared.replays.fetch_add(1, Ordering::AcqRel);
        self.wake();
    }

    /// Where each task of this process stands, active ones and standbys, as of 100 ms ago at most.
    pub fn tasks(&self) -> Vec<TaskStatus> {
        let told = lock(&self.shared.tasks);
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

    fn require_sources(&self) -> Result<()> {
        let mut client = self.log.client(ClientOptions::default())?;
        let clock = &*self.settings.world.clock;
        let Some(missing) = missing_source(&mut *client, clock, &self.topology)? else {
            return Ok(());
        };
        Err(Error::Config(format!(
            "application '{}' was to run to the end of topic '{missing}', which does not exist; create it and bring its records \
             in first, or start the application, which then waits for the topic",
            self.topology.application()
        )))
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
                demand.settled
                    && self.running_tasks() >= demand.tasks
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
        lock(&self.shared.failure).is_some()
    }

    /// Commits, closes, checkpoints and leaves; an error when a worker failed or `deadline` passes first.
    pub fn stop(self, deadline: Duration) -> Result<()> {
        self.shut_down(deadline)
    }

    /// As [`Running::stop`], for an application that is shared.
    pub fn shut_down(&self, deadline: Duration) -> Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        let end = self.settings.world.clock.elapsed() + deadline;
        let threads = std::mem::take(&mut *lock(&self.threads));
        // All of them are woken before the first is waited for: they close side by side.
        threads.iter().for_each(Thread::wake);
        for thread in threads {
            if !thread.ends_before(end, &*self.settings.world.clock) {
                return Err(Error::TimedOut(format!(
                    "stopping '{}' within {deadline:?}",
                    self.topology.application()
                )));
            }
        }
        lock(&self.shared.failure).take().map_or(Ok(()), Err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
    }
}
