//! A worker: one client, its share of the tasks, one commit at a time. `step` is the whole loop.
//! Not a thread: a thread, a test or a simulator calls `step`. Invariant: `step` does bounded work and never waits.

use crate::checkpoint_turns::CheckpointTurns;
use crate::chunks::resume_inputs;
use crate::commit::{Commit, IDLE_COMMIT_GAP};
use crate::counts::Counts;
use crate::global_task::GlobalTask;
use crate::globals::SharedGlobals;
use crate::hosts::Hosts;
use crate::output::{ClientOutput, OutputMap};
use crate::positions::Positions;
use crate::process::Process;
use crate::state_dir::{StateDir, TaskDir};
use crate::task_slot::{Role, Stage, TaskSlot};
use crate::task_status::TaskStatus;
use crate::views::Views;
use crate::{Error, Result, Settings};
use headwater_log::{
    Client, Error as LogError, Log, MemberEpoch, Membership, Slot, Subtopology, TaskId,
    TopicPartition,
};
use headwater_store::{Budget, RecordCache, Store, StoreReader};
use headwater_streams::{QuarantinedRecord, Topology};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// Records of one task between two looks at the bytes that wait for the commit.
const SLICE_RECORDS_MAX: usize = 1_000;
/// A step ends at the first slice after so many ms, or after the commit interval if that is less: completions, heartbeats
/// and the next commit wait for its end.
const STEP_MS_MAX: u64 = 20;
/// A commit starts early when this many bytes wait in the client: bounds memory and the length of a commit.
const APPEND_BYTES_SOFT: usize = 32 << 20;

/// The dialect of members whose tasks say their stream times to those behind them.
const TELLS_TIMES: &str = "times";

/// What a client's slot is read for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SlotUse {
    Input(TaskId, usize),
    Restore(TaskId, usize),
}

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Records processed.
    pub records: usize,
    /// True when calling again at once would do more.
    pub busy: bool,
    /// True after a requested stop: every task is closed and the group is left.
    pub stopped: bool,
}

/// What a step's part of processing came to.
#[derive(Clone, Copy, Debug)]
struct Processed {
    records: usize,
    /// Nothing is left that could be processed. What waits for another input (`max.task.idle.ms`) could not.
    all: bool,
}

impl Processed {
    const NOTHING: Self = Self {
        records: 0,
        all: true,
    };
}

/// Runs its share of a topology's tasks.
pub struct Worker {
    pub(crate) settings: Settings,
    pub(crate) topology: Arc<Topology>,
    pub(crate) client: Box<dyn Client>,
    client_id: String,
    number: usize,
    pub(crate) group: Arc<str>,
    pub(crate) member: Arc<str>,
    pub(crate) epoch: MemberEpoch,
    pub(crate) tasks: BTreeMap<TaskId, TaskSlot>,
    pub(crate) slots: FxHashMap<Slot, SlotUse>,
    pub(crate) cache: RecordCache,
    pub(crate) output: OutputMap,
    pub(crate) budget: Arc<Budget>,
    pub(crate) state_dir: Arc<StateDir>,
    pub(crate) views: Views,
    pub(crate) positions: Positions,
    pub(crate) written: Positions,
    hosts: Hosts,
    counts: Counts,
    pub(crate) globals: Arc<SharedGlobals>,
    /// Of a worker that is a process of its own.
    own_globals: Option<GlobalTask>,
    pub(crate) repartition_topics: BTreeSet<String>,
    pub(crate) commit: Commit,
    /// Something was processed that no commit covers yet.
    pub(crate) uncommitted: bool,
    pub(crate) committed_at: Duration,
    /// At least once: since when something may have been appended that is not on its way.
    pub(crate) lingers_since: Option<Duration>,
    pub(crate) purged_at: Duration,
    checkpoint_turns: CheckpointTurns,
    pub(crate) commits: u64,
    pub(crate) stopping: bool,
    /// The group has members of another kind.
    pub(crate) mixed: bool,
    paused: bool,
    pub(crate) append_bytes_soft: usize,
    /// Wakes whoever turns the crank.
    pub(crate) waker: Waker,
    /// Since when a commit waits for calls to the outside.
    pub(crate) draining_since: Option<Duration>,
    /// Records that failed and are quarantined, by partition and offset; at most one is added for each abort.
    pub(crate) poisoned: BTreeSet<(TopicPartition, i64)>,
    /// The task that the next step begins with, when the last one ended before its turn.
    next_task: Option<TaskId>,
    /// What was said of internal topics; as many lines as there are topics.
    pub(crate) told_topics: BTreeSet<String>,
    /// Standbys do not read on, since a task is being restored.
    pub(crate) standbys_paused: bool,
    /// Damaged stores: wiped when their task opens again.
    pub(crate) doomed: BTreeSet<(TaskId, usize)>,
    /// What its closed tasks leave behind, while it stops.
    pub(crate) parting: Vec<Parting>,
    /// It is done and does not leave yet.
    stays: bool,
    /// It stops and its process goes on without it.
    retires: bool,
    left: bool,
}

/// A closed task's directory and stores.
pub(crate) type Parting = (TaskId, Option<TaskDir>, Vec<(usize, Store)>);

fn dialect(topology: &Topology) -> &'static str {
    match topology.tells_times() {
        true => TELLS_TIMES,
        false => "",
    }
}

fn names_of_repartition_topics(subtopologies: &[Subtopology]) -> BTreeSet<String> {
    let topics = subtopologies
        .iter()
        .flat_map(|part| &part.repartition_sources);
    topics.map(|topic| topic.name.clone()).collect()
}

impl Worker {
    /// A worker of its own process, for tests and simulation: whoever calls this also calls [`Worker::step`].
    pub fn join(
        topology: &Arc<Topology>,
        log: &dyn Log,
        settings: Settings,
        number: usize,
    ) -> Result<(Self, Views)> {
        let process = Process::new(topology, &settings)?;
        let client = log.client(process.client_options(topology, &settings, number, None))?;
        let views = process.views.clone();
        let own_globals = process.global_task(topology, log, &settings, None)?;
        let mut worker = Self::new(topology, settings, client, &process, number)?;
        worker.own_globals = own_globals;
        Ok((worker, views))
    }

    /// A worker that has asked to join its group. `number` tells the workers of a process apart.
    pub(crate) fn new(
        topology: &Arc<Topology>,
        settings: Settings,
        mut client: Box<dyn Client>,
        process: &Process,
        number: usize,
    ) -> Result<Self> {
        let group: Arc<str> = topology.application().into();
        let member: Arc<str> = format!("{}-{number}", process.id).into();
        let repartition_topics = names_of_repartition_topics(&topology.membership());
        client.join(Membership {
            group: group.clone(),
            member: member.clone(),
            process: process.id.clone(),
            worker: number,
            subtopologies: topology.membership(),
            dialect: dialect(topology).into(),
            standby_replicas: settings.standby_replicas,
            session_timeout_ms: settings.session_timeout_ms,
            rebalance_timeout_ms: settings.rebalance_timeout_ms,
            endpoint: settings.application_server.clone(),
        })?;
        let now = settings.world.clock.elapsed();
        Ok(Self {
            cache: RecordCache::new(settings.cache_bytes_max / settings.workers.max(1)),
            output: OutputMap::new(topology, settings.world.clock.clone()),
            topology: topology.clone(),
            number,
            client_id: format!("{}-{}-{number}", topology.application(), process.id),
            client,
            group,
            member,
            epoch: MemberEpoch::default(),
            tasks: BTreeMap::new(),
            slots: FxHashMap::default(),
            budget: process.budget.clone(),
            state_dir: process.state_dir.clone(),
            views: process.views.clone(),
            positions: process.positions.clone(),
            written: process.written.clone(),
            hosts: process.hosts.clone(),
            counts: process.counts.clone(),
            globals: process.globals.clone(),
            own_globals: None,
            repartition_topics,
            commit: Commit::Idle,
            uncommitted: false,
            committed_at: now,
            lingers_since: None,
            purged_at: now,
            checkpoint_turns: CheckpointTurns::new(now),
            commits: 0,
            stopping: false,
            mixed: false,
            paused: false,
            append_bytes_soft: APPEND_BYTES_SOFT,
            waker: Waker::noop().clone(),
            draining_since: None,
            poisoned: BTreeSet::new(),
            next_task: None,
            told_topics: BTreeSet::new(),
            standbys_paused: false,
            doomed: BTreeSet::new(),
            parting: Vec::new(),
            stays: false,
            retires: false,
            left: false,
            settings,
        })
    }

    /// One turn of the crank: assignment, restore, fetch, process, punctuate, commit.
    pub fn step(&mut self) -> Result<Step> {
        match self.turn() {
            Ok(step) => Ok(step),
            Err(error) => {
                self.act_on(error)?;
                Ok(Step {
                    busy: true,
                    ..Step::default()
                })
            }
        }
    }

    fn turn(&mut self) -> Result<Step> {
        if self.left {
            return Ok(Step {
                stopped: true,
                ..Step::default()
            });
        }
        let mut step = Step::default();
        if let Some(globals) = &mut self.own_globals {
            step.busy |= globals.step()?;
        }
        step.busy |= self.take_completions()?;
        step.busy |= self.take_assignment()?;
        self.take_placement();
        step.busy |= self.open_waiting();
        let taken = self.take_chunks()?;
        step.busy |= taken.any;
        step.busy |= self.poll_calls()?;
        let processed = self.process()?;
        step.records = processed.records;
        step.busy |= step.records > 0;
        step.busy |= self.commit_if_due(taken.all && processed.all)?;
        self.send_lingering();
        self.checkpoint_due()?;
        if self.stopping {
            self.close_revoked()?;
            step.stopped = self.leave_if_done()?;
        }
        Ok(step)
    }

    /// What is told of the other instances, and of partition counts.
    fn take_placement(&mut self) {
        if let Some(hosts) = self.client.hosts() {
            self.hosts.heard(self.number, hosts, self.views.watches());
        }
        if self.counts.learn(&self.topology, &mut *self.client) {
            self.views.watches().placed();
        }
    }

    /// Whatever was half done when the error came is taken back with the whole commit; what is no error of the log stops.
    fn act_on(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Log(error) => self.commit_failed(&error),
            Error::Streams(headwater_streams::Error::Poisoned {
                partition,
                offset,
                reason,
            }) => {
                self.settings.listener.notice(&format!(
                    "{partition} offset {offset} is quarantined with all later records of its key: {reason}"
                ));
                self.poisoned.insert((partition, offset));
                self.commit_failed(&LogError::Aborted(reason))
            }
            Error::Store(headwater_store::Error::Corrupt { path, message }) if self.doom(&path) => {
                let message = format!("{} is damaged: {message}", path.display());
                self.settings.listener.notice(&format!(
                    "{message}; the store is restored from its changelog"
                ));
                self.commit_failed(&LogError::Aborted(message))
            }
            error => Err(error),
        }
    }

    /// Marks the store that keeps `path` to be wiped when its task opens again; false when it has no changelog to come back from.
    fn doom(&mut self, path: &std::path::Path) -> bool {
        for slot in self.tasks.values_mut() {
            for (number, _) in &slot.changelogs {
                let name = self.topology.store(*number).map(|info| info.name);
                let dir = slot
                    .dir
                    .as_ref()
                    .zip(name)
                    .and_then(|(dir, name)| dir.store(&name));
                if dir.is_some_and(|dir| path.starts_with(dir)) {
                    self.doomed.insert((slot.id, *number));
                    if !matches!(slot.stage, Stage::Running(_)) {
                        slot.stage = Stage::Waiting;
                    }
                    let id = slot.id;
                    self.stop_inputs(id);
                    return true;
                }
            }
        }
        false
    }

    /// Tries again what tasks have set aside ([`headwater_streams::OnError::Quarantine`]).
    pub fn replay_quarantine(&mut self) {
        self.poisoned.clear();
        for slot in self.tasks.values_mut() {
            if let Stage::Running(task) = &mut slot.stage {
                task.replay_quarantined();
            }
        }
    }

    /// Records that running tasks have set aside.
    pub fn quarantined(&self) -> Result<Vec<QuarantinedRecord>> {
        let mut records = Vec::new();
        for slot in self.tasks.values() {
            if let Stage::Running(task) = &slot.stage {
                records.extend(task.quarantined()?);
            }
        }
        Ok(records)
    }

    /// Has `waker` woken when a call to the outside ends, beside the client's own wake-ups.
    pub fn wake_by(&mut self, waker: Waker) {
        self.waker = waker;
    }

    /// Processes nothing, and punctuates nothing, until told otherwise; what was processed is committed.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Takes its share of the record caches' bytes as one of so many workers.
    pub(crate) fn share_cache(&mut self, workers: usize) {
        self.cache
            .resize(self.settings.cache_bytes_max / workers.max(1));
    }

    /// Asks for a clean end: commit, close, checkpoint, leave. `step` until it says `stopped`.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The same, for a worker that does not come back with its process: its group is not to wait for it.
    pub(crate) fn retire(&mut self) {
        self.stopping = true;
        self.retires = true;
    }

    /// Keeps it in the group after everything is given up, until told otherwise.
    pub(crate) fn stay(&mut self, stays: bool) {
        self.stays = stays;
    }

    /// True after a requested stop once everything is committed and given up.
    pub(crate) fn has_closed(&self) -> bool {
        self.stopping && self.tasks.is_empty() && matches!(self.commit, Commit::Idle)
    }

    /// The time at which `step` has something to do again without being woken.
    pub fn idle_for(&self) -> Duration {
        let interval = Duration::from_millis(self.settings.commit_interval_ms);
        let now = self.settings.world.clock.elapsed();
        match &self.commit {
            Commit::Idle => {}
            Commit::Waiting { until, .. } => return until.saturating_sub(now),
            // The answer wakes it, however late that comes: nothing falls due before.
            _ => return interval.min(self.linger_left()),
        }
        if !self.uncommitted {
            return interval;
        }
        if let Some(since) = self.draining_since {
            // So do calls that end.
            let waits = Duration::from_millis(self.settings.async_wait_ms_max);
            return waits
                .saturating_sub(now.saturating_sub(since))
                .min(interval);
        }
        let idle = match self.commits_when_idle() {
            true => IDLE_COMMIT_GAP.saturating_sub(self.since_commit()),
            false => Duration::MAX,
        };
        let until_interval = interval.saturating_sub(self.since_commit());
        until_interval.min(self.linger_left()).min(idle)
    }

    /// Its number in its process, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// How its client names itself to the log.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Where each of its tasks stands, and its commit, in words: for people who look for what is stuck.
    pub fn describe(&self) -> String {
        let commit = match &self.commit {
            Commit::Idle => "no commit",
            Commit::Pending { .. } => "commit pending",
            Commit::Settling { .. } => "settling",
            Commit::Waiting { .. } => "waiting to settle",
            Commit::Lost { .. } => "commit lost",
        };
        let tasks = self.tasks.values().map(|slot| {
            let revoked = if slot.revoked { " (revoked)" } else { "" };
            format!(
                "{} {} {}{revoked}",
                slot.id,
                slot.role.name(),
                slot.stage.name()
            )
        });
        let tasks: Vec<String> = tasks.collect();
        format!(
            "epoch {}, {commit}, tasks [{}]",
            self.epoch.0,
            tasks.join(", ")
        )
    }

    /// Commits that took effect.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Where each of its tasks stands.
    pub fn status(&mut self) -> Vec<TaskStatus> {
        let client = &*self.client;
        self.tasks
            .values_mut()
            .map(|slot| slot.status(client))
            .collect()
    }

    /// The committed rows of its stores as they are, by number in the topology: of tasks that run, and of standbys, whose rows
    /// may be behind.
    pub fn readers(&mut self) -> Vec<(TaskId, Role, usize, StoreReader)> {
        let mut readers = Vec::new();
        for slot in self.tasks.values_mut() {
            let (id, role) = (slot.id, slot.role);
            let stores = slot.numbered_stores().into_iter();
            readers.extend(stores.map(|(number, store)| (id, role, number, store.reader())));
        }
        readers
    }

    /// The tasks that process records.
    pub fn running(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks
            .values()
            .filter(|slot| matches!(slot.stage, Stage::Running(_)))
            .map(|slot| slot.id)
    }

    fn process(&mut self) -> Result<Processed> {
        let mut processed = Processed::NOTHING;
        let settled = matches!(self.commit, Commit::Idle | Commit::Pending { .. });
        let rests = self.draining_since.is_some() || self.output.rests();
        if self.stopping || self.paused || !settled || rests {
            return Ok(processed);
        }
        let now = self.settings.world.clock.now_ms();
        // A step ends in time for a commit however many tasks there are; the next one goes on with the task behind.
        let step_ms = self.settings.commit_interval_ms.min(STEP_MS_MAX);
        let until = self.settings.world.clock.elapsed() + Duration::from_millis(step_ms);
        let first = self.next_task.take().unwrap_or_default();
        let (before, from): (Vec<TaskId>, Vec<TaskId>) =
            self.tasks.keys().partition(|id| **id < first);
        for id in from.into_iter().chain(before) {
            if processed.records > 0 && self.settings.world.clock.elapsed() >= until {
                self.next_task = Some(id);
                processed.all = false;
                break;
            }
            let of_task = self.process_task(id, now, until)?;
            processed.records += of_task.records;
            processed.all &= of_task.all;
        }
        Ok(processed)
    }

    /// Processes some records of one task, in slices: between them the bytes that wait for the commit are looked at.
    fn process_task(&mut self, id: TaskId, now_ms: i64, until: Duration) -> Result<Processed> {
        let input_bytes_max = self.input_bytes_max();
        let mut processed = Processed::NOTHING;
        let Some(slot) = self.tasks.get_mut(&id) else {
            return Ok(processed);
        };
        let Stage::Running(task) = &mut slot.stage else {
            return Ok(processed);
        };
        if slot.revoked {
            return Ok(processed); // Its last commit covers what is done; more would never be committed.
        }
        (slot.rests, slot.is_clean) = (false, false);
        if task.needs_ends() {
            for (index, client_slot) in slot.input_slots.iter().enumerate() {
                task.set_end(index, self.client.end_offset(*client_slot));
            }
        }
        processed.all = false;
        while processed.records < self.settings.step_records_max
            && self.client.appended_bytes() < 2 * self.append_bytes_soft
        {
            let mut output = ClientOutput {
                client: &mut *self.client,
                map: &mut self.output,
            };
            let slice = SLICE_RECORDS_MAX.min(self.settings.step_records_max - processed.records);
            let progress = task.process(&mut self.cache, &mut output, now_ms, slice)?;
            self.uncommitted |= progress.records > 0 || progress.passed;
            processed.records += progress.records;
            processed.all = progress.records < slice;
            if processed.all || self.settings.world.clock.elapsed() >= until {
                break;
            }
        }
        let mut output = ClientOutput {
            client: &mut *self.client,
            map: &mut self.output,
        };
        self.uncommitted |= task.punctuate(&mut self.cache, &mut output, now_ms)? > 0;
        let client = &mut self.client;
        task.take_spent(|chunk| client.recycle(chunk));
        resume_inputs(slot, &mut **client, input_bytes_max);
        Ok(processed)
    }

    /// Writes committed state to disk: of one store over its budget, or of those that changed and whose turn has come.
    fn checkpoint_due(&mut self) -> Result<()> {
        let now = self.settings.world.clock.elapsed();
        let interval = Duration::from_millis(self.settings.checkpoint_interval_ms);
        let listener = &self.settings.listener;
        let tasks = self.tasks.values_mut();
        let stores = tasks.flat_map(|slot| {
            let id = slot.id;
            slot.stores().into_iter().map(move |store| (id, store))
        });
        let mut stores: Vec<_> = stores.collect();
        if let Some((id, store)) = stores.iter_mut().find(|(_, it)| it.needs_checkpoint()) {
            store.checkpoint()?;
            listener.checkpointed(*id, store.name());
            return Ok(());
        }
        let (first, count) = self.checkpoint_turns.take(now, interval, stores.len());
        let all = stores.len();
        for turn in first..first + count {
            let (id, store) = &mut stores[turn % all];
            if store.position().is_some() && store.position() != store.checkpoint_position() {
                store.checkpoint()?;
                listener.checkpointed(*id, store.name());
            }
        }
        Ok(())
    }

    fn leave_if_done(&mut self) -> Result<bool> {
        if !self.has_closed() || self.stays {
            return Ok(false);
        }
        match self.retires {
            true => self.client.leave(),
            false => self.client.end_membership(),
        }
        self.left = true;
        self.checkpoint_parting()?;
        if let Some(mut globals) = self.own_globals.take() {
            globals.close()?;
        }
        Ok(true)
    }
}
