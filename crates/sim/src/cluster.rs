//! Several members on a log that delays, loses, repeats and forgets, with members killed, frozen and evicted, in seeded order on one thread.
//! Not the disk's losses: the crash tests of the runtime have those. Invariant: under exactly once the results are the undisturbed
//! ones; under at least once nothing is lost; under both, stores are what their changelogs say.

use crate::Planted;
use crate::application::{
    APPLICATION, RECORDS, Results, differences, expected, impatient, is_done, load_until, results,
    topology_in_memory,
};
use crate::faults::{Fault, FaultCounts, Stage, of_commit, of_task};
use crate::planted::PlantedLog;
use crate::properties::{Looked, look};
use headwater_log::{Faults, Guarantee, Log, MemoryLog, TaskId};
use headwater_runtime::{Listener, RestoreProgress, Settings, Worker};
use headwater_world::{Random, SeededRandom, Simulation, World};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MEMBERS: usize = 3;
/// The input comes in so many parts.
const PHASES: u64 = 10;
/// Steps with faults after each part; at the end as many as it takes without.
const FAULTY_STEPS: usize = 1_500;
const STEPS_MAX: usize = 200_000;
/// Steps without faults, all done, after which standbys have followed.
const REST_STEPS: usize = 600;
const SESSION_MS: i64 = 150;
/// Violations told of one run.
const VIOLATIONS_MAX: usize = 20;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything. By it: whether the log's transactions look like Kafka's (even), whether there are standbys (2 of
    /// each 3), whether state is kept on a disk (3 of each 4), whether members commit when they are idle, and not at intervals
    /// (1 of each 5).
    pub seed: u64,
    /// What the members promise.
    pub guarantee: Guarantee,
    /// A rule that they break.
    pub planted: Option<Planted>,
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What did not hold; empty when all did.
    pub violations: Vec<String>,
    /// Members killed.
    pub kills: usize,
    /// Members frozen.
    pub freezes: usize,
    /// Members taken out of the group while they were alive.
    pub evictions: usize,
    /// Commits whose outcome had to be settled.
    pub unsettled: usize,
    /// Members fenced.
    pub fenced: usize,
    /// Standbys that took over.
    pub promoted: usize,
    /// Stores compared with their changelogs, and those of standbys among them.
    pub stores: usize,
    /// See [`Report::stores`].
    pub standby_stores: usize,
    /// Stores that could not be compared when it was their turn.
    pub open_stores: usize,
    /// What fell where.
    pub faults: FaultCounts,
    /// A hash of every step: equal for equal plans.
    pub trace: u64,
}

/// Counts what the workers tell.
#[derive(Default)]
struct Ear {
    unsettled: AtomicUsize,
    fenced: AtomicUsize,
    promoted: AtomicUsize,
    wiped: AtomicUsize,
    checkpoints: AtomicUsize,
}

impl Listener for Ear {
    fn notice(&self, message: &str) {
        let unsettled = usize::from(message.contains("being settled"));
        self.unsettled.fetch_add(unsettled, Ordering::Relaxed);
        let fenced = usize::from(message.contains("was fenced"));
        self.fenced.fetch_add(fenced, Ordering::Relaxed);
        let wiped = usize::from(message.contains("from the beginning"));
        self.wiped.fetch_add(wiped, Ordering::Relaxed);
    }

    fn checkpointed(&self, _: TaskId, _: &str) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
    }

    fn standby_ended(&self, _: &RestoreProgress, promoted: bool) {
        self.promoted
            .fetch_add(usize::from(promoted), Ordering::Relaxed);
    }
}

struct Cluster {
    plan: Plan,
    simulation: Simulation,
    log: Arc<MemoryLog>,
    /// The log as members see it.
    seen: Arc<dyn Log>,
    settings: Settings,
    on_disk: bool,
    members: Vec<Option<(Worker, String)>>,
    /// Whose last step wrote a checkpoint.
    checkpointed: [bool; MEMBERS],
    /// The worker that each task ran at last.
    ran_at: BTreeMap<TaskId, usize>,
    started: usize,
    random: SeededRandom,
    report: Report,
    ear: Arc<Ear>,
    faults: Faults,
    trace: DefaultHasher,
}

/// Runs `plan` to its end. It panics only where the harness itself is at a loss.
pub fn run(plan: Plan) -> Report {
    let mut cluster = Cluster::new(plan);
    cluster.live();
    let Cluster {
        mut report,
        ear,
        trace,
        ..
    } = cluster;
    report.unsettled = ear.unsettled.load(Ordering::Relaxed);
    report.fenced = ear.fenced.load(Ordering::Relaxed);
    report.promoted = ear.promoted.load(Ordering::Relaxed);
    report.trace = trace.finish();
    let wiped = ear.wiped.load(Ordering::Relaxed);
    if wiped > 0 {
        // Nothing here damages a disk or deletes from a changelog.
        let what = format!("{wiped} times a store was wiped");
        report.violations.push(what);
    }
    report.violations.truncate(VIOLATIONS_MAX);
    report
}

impl Cluster {
    fn new(plan: Plan) -> Self {
        let Plan {
            seed,
            guarantee,
            planted,
        } = plan;
        let simulation = World::simulated(seed);
        let kafka_like = seed.is_multiple_of(2);
        let log = if kafka_like {
            MemoryLog::kafka_like(&simulation.world)
        } else {
            MemoryLog::new(&simulation.world)
        };
        let ear = Arc::new(Ear::default());
        let when_idle = seed % 5 == 3;
        let settings = Settings {
            world: simulation.world.clone(),
            guarantee,
            standby_replicas: Some(u32::from(seed % 3 != 1)),
            // Beyond the end of every run.
            commit_interval_ms: if when_idle { 3_600_000 } else { 5 },
            commit_when_idle: when_idle,
            checkpoint_interval_ms: 20,
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: 2 * SESSION_MS,
            listener: ear.clone(),
            ..Settings::default()
        };
        let faults = Faults {
            seed,
            kafka_like,
            delay_polls_max: 4,
            lose_request_per_mille: 30,
            lose_answer_per_mille: 30,
            // Some seeds only: the courses of the others are kept.
            repeat_answer_per_mille: if seed % 7 == 5 { 50 } else { 0 },
            unavailable_per_mille: 3,
            unavailable_ms: 50,
            request_timeout_ms: 60,
            transaction_timeout_ms: 10_000,
            // Longer than a session: a take-over may find the ends of its predecessor's last commit still to come.
            marker_delay_ms_max: if seed % 3 == 0 { 200 } else { 0 },
        };
        let seen: Arc<dyn Log> = match planted {
            Some(planted) => Arc::new(PlantedLog {
                log: log.clone(),
                planted,
                stale: Arc::default(),
            }),
            None => log.clone(),
        };
        Self {
            plan,
            simulation,
            log,
            seen,
            settings,
            on_disk: seed % 4 != 2,
            members: (0..MEMBERS).map(|_| None).collect(),
            checkpointed: [false; MEMBERS],
            ran_at: BTreeMap::new(),
            started: 0,
            random: SeededRandom::new(seed),
            report: Report::default(),
            ear,
            faults,
            trace: DefaultHasher::new(),
        }
    }

    fn start(&mut self, member: usize) {
        self.started += 1;
        // Each place has its own disk, which a member that is killed leaves to the next one there.
        let state_dir = self.on_disk.then(|| format!("/state-{member}").into());
        let settings = Settings {
            state_dir,
            ..self.settings.clone()
        };
        match Worker::join(&topology_in_memory(), &*self.seen, settings, self.started) {
            Ok((worker, _)) => {
                let client = worker.client_id().to_owned();
                self.members[member] = Some((worker, client));
            }
            Err(error) => self.report.violations.push(format!("no start: {error}")),
        }
    }

    fn step(&mut self, member: usize) {
        self.simulation.clock.advance(Duration::from_millis(1));
        let Some((worker, _)) = &mut self.members[member] else {
            return self.start(member);
        };
        let stepped = worker.step();
        self.checkpointed[member] = self.ear.checkpoints.swap(0, Ordering::Relaxed) > 0;
        match stepped {
            Ok(step) => {
                let tasks = worker.running().count();
                (member, step.records, step.busy, worker.commits(), tasks).hash(&mut self.trace);
                let number = worker.number();
                self.ran_at.extend(worker.running().map(|id| (id, number)));
                self.count_hits(member);
            }
            Err(error) => {
                self.report
                    .violations
                    .push(format!("a member ended: {error}"));
                self.members[member] = None;
            }
        }
    }

    /// What the log did to the member in its last step.
    fn count_hits(&mut self, member: usize) {
        for ((hit, moment), count) in self.log.take_hits() {
            let stages = match of_commit(moment) {
                Some(stage) => vec![stage],
                None => self.stages_of_tasks(member),
            };
            self.report.faults.add(hit.into(), &stages, count);
        }
    }

    /// Counts what is about to happen to the member as a whole.
    fn count_fault(&mut self, member: usize, fault: Fault) {
        let mut stages = self.stages_of_tasks(member);
        if let Some((_, client)) = &self.members[member] {
            stages.extend(self.log.standing(client).and_then(of_commit));
        }
        stages.extend(self.checkpointed[member].then_some(Stage::Checkpoint));
        self.report.faults.add(fault, &stages, 1);
    }

    fn stages_of_tasks(&mut self, member: usize) -> Vec<Stage> {
        let Some((worker, _)) = &mut self.members[member] else {
            return Vec::new();
        };
        let number = worker.number();
        let mut stages = Vec::new();
        for status in worker.status() {
            let ran_at = self.ran_at.get(&status.task);
            for stage in of_task(&status, ran_at.is_some_and(|at| *at != number)) {
                if !stages.contains(&stage) {
                    stages.push(stage);
                }
            }
        }
        stages
    }

    fn disturb(&mut self, member: usize) {
        if self.members[member].is_none() {
            return;
        }
        let drawn = self.random.below(1_200);
        match drawn {
            0 => self.count_fault(member, Fault::Crash),
            1..=2 => self.count_fault(member, Fault::Stall),
            9 => self.count_fault(member, Fault::Eviction),
            _ => {}
        }
        let Some((_, client)) = &self.members[member] else {
            return;
        };
        match drawn {
            0 => {
                self.members[member] = None;
                self.report.kills += 1;
            }
            1..=2 => {
                self.log.freeze(client);
                self.report.freezes += 1;
            }
            3..=8 => self.log.thaw(client),
            9 => {
                let member = client.strip_prefix(&format!("{APPLICATION}-"));
                let member = member.expect("clients are named after their member");
                self.log.evict(APPLICATION, member);
                self.report.evictions += 1;
            }
            _ => {}
        }
    }

    fn without_faults(&self) {
        self.log.set_faults(Faults {
            kafka_like: self.faults.kafka_like,
            ..Faults::default()
        });
    }

    fn live(&mut self) {
        let waiting = impatient(&self.simulation);
        let loader = Settings {
            world: waiting.clone(),
            ..self.settings.clone()
        };
        for phase in 1..=PHASES {
            self.without_faults();
            // A look takes time. One seed in five goes its way without.
            if self.plan.seed % 5 != 4 {
                self.look();
            }
            load_until(&*self.log, &loader, RECORDS * phase / PHASES).unwrap();
            self.log.set_faults(self.faults.clone());
            for _ in 0..FAULTY_STEPS {
                let member = self.random.below(MEMBERS as u64) as usize;
                self.step(member);
                self.disturb(member);
            }
            // What is broken for good shows again at each step.
            if self.report.violations.len() >= VIOLATIONS_MAX {
                return;
            }
        }
        self.without_faults();
        for (_, client) in self.members.iter().flatten() {
            self.log.thaw(client);
        }
        for step in 0..STEPS_MAX {
            self.step(step % MEMBERS);
            if self.report.violations.len() >= VIOLATIONS_MAX {
                return;
            }
            if step % 50 == 49 && is_done(&*self.log, &waiting).unwrap() {
                return self.end();
            }
        }
        let members = self.members.iter().flatten();
        let members: Vec<_> = members.map(|(worker, _)| worker.describe()).collect();
        self.report.violations.push(format!(
            "no end after {STEPS_MAX} steps without faults: {members:#?}"
        ));
    }

    /// All is processed: standbys follow to the end, then everything is judged.
    fn end(&mut self) {
        for step in 0..REST_STEPS {
            self.step(step % MEMBERS);
        }
        self.look();
        let found = results(&*self.log, &impatient(&self.simulation));
        let wanted = expected();
        match self.plan.guarantee {
            Guarantee::ExactlyOnce => self.report.violations.extend(differences(&found, &wanted)),
            Guarantee::AtLeastOnce => self.lost(&found, &wanted),
        }
    }

    /// What at least once has lost: values grow with every record, so less is a loss.
    fn lost(&mut self, found: &Results, wanted: &Results) {
        let violations = &mut self.report.violations;
        if found.repartitioned < wanted.repartitioned {
            violations.push("records were lost on their way to a repartition topic".into());
        }
        for (topic, table) in &wanted.tables {
            for (key, value) in table {
                if found.tables[topic].get(key) < Some(value) {
                    violations.push(format!("{topic} {key:?} is behind"));
                }
            }
        }
    }

    /// Judges the stores as they are.
    fn look(&mut self) {
        // Under at least once a commit that failed leaves records in changelogs that no store has at that position.
        if self.plan.guarantee == Guarantee::AtLeastOnce {
            return;
        }
        let workers = self.members.iter_mut().flatten().map(|(worker, _)| worker);
        let looked = look(&self.log, &impatient(&self.simulation), workers);
        let Looked {
            equal,
            standbys,
            open,
            violations,
        } = looked;
        self.report.stores += equal;
        self.report.standby_stores += standbys;
        self.report.open_stores += open;
        self.report.violations.extend(violations);
    }
}
