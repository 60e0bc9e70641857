//! SIGKILL at seeded moments of a job that is started again until it ends: its result is that of an undisturbed run.
//! Not a loss of power: what the system was handed survives here; `headwater-log` and `headwater-store` test that.
//! Invariant: a moment is a phase, its n-th line and a delay, all drawn from the seed that a failure prints.
//!
//! `SEED=<number>` repeats a campaign; the moments are the same, what the job does in them depends on the machine.

use crate::expected;
use crate::program::{Job, run};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ARGUMENTS: [&str; 7] = [
    "--json",
    "--repeat",
    "2",
    "--commit-interval-ms",
    "5",
    // Several rounds of checkpoints in the second or so that a job takes.
    "--checkpoint-interval-ms",
    "40",
];
/// Kills of one job before it is left alone: each start gets it a little further, so it would end by itself soon.
const ROUND_KILLS_MAX: usize = 12;
/// Time between two looks into the file of phases.
const LOOK: Duration = Duration::from_micros(200);

/// A phase, up to which of its lines to wait, and how long in microseconds after that line.
const PHASES: [(&str, u64, u64); 5] = [
    ("append", 1, 60_000),
    ("process", 1, 20_000),
    ("commit", 12, 6_000),
    ("checkpoint", 12, 3_000),
    ("restore", 6, 2_000),
];

#[test]
fn killed_eight_times_the_job_ends_with_the_undisturbed_result() {
    let campaign = Campaign::run(8, 0);
    println!("{campaign}");
}

#[test]
#[ignore = "minutes long: 200 kills, at least 20 in each phase"]
fn killed_two_hundred_times_the_job_ends_with_the_undisturbed_result() {
    let campaign = Campaign::run(200, 20);
    println!("{campaign}");
}

/// What was killed and what the starts after it restored.
struct Campaign {
    seed: u64,
    random: u64,
    kills: BTreeMap<&'static str, usize>,
    rounds: usize,
    starts: usize,
    restores: Restores,
}

#[derive(Default)]
struct Restores {
    /// Stores restored.
    stores: usize,
    /// Changelog records read.
    replayed: u64,
    /// Records of those changelogs after the last checkpoint that was told of.
    since_checkpoint: u64,
    /// Records those changelogs have in all.
    changelogs: u64,
}

impl Campaign {
    /// Jobs, each over a directory of its own, until there were `kills` in all and `each` in every phase.
    fn run(kills: usize, each: usize) -> Self {
        let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
        let mut campaign = Self {
            seed,
            random: seed,
            kills: PHASES.iter().map(|(phase, ..)| (*phase, 0)).collect(),
            rounds: 0,
            starts: 0,
            restores: Restores::default(),
        };
        let undisturbed = run(TempDir::new().unwrap().path(), &ARGUMENTS[1..]).0;
        assert_eq!(undisturbed, expected::summary(2));
        while campaign.total() < kills || campaign.kills.values().any(|count| *count < each) {
            let left = kills.saturating_sub(campaign.total()).max(1);
            campaign.round(left.min(ROUND_KILLS_MAX), &undisturbed);
            assert!(
                campaign.rounds < 20 + kills,
                "phases are never met: {campaign}"
            );
        }
        campaign
    }

    fn total(&self) -> usize {
        self.kills.values().sum()
    }

    /// One job from its first start to its end.
    fn round(&mut self, kills: usize, undisturbed: &Value) {
        let dir = TempDir::new().unwrap();
        self.rounds += 1;
        let mut done = Vec::new();
        // Changelog positions of the last checkpoints, by task and store.
        let mut checkpoints = BTreeMap::new();
        loop {
            self.starts += 1;
            let phases = dir.path().join(format!("phases-{}", self.starts));
            let moment = (done.len() < kills).then(|| self.moment(&done));
            let mut job = Job::start(
                dir.path(),
                &[&ARGUMENTS[..], &["--phases", phases.to_str().unwrap()]].concat(),
            );
            let result = self.watch(&mut job, &phases, moment, &done);
            let killed = result.is_none() && job.kill();
            let told = fs::read_to_string(&phases).unwrap_or_default();
            self.follow(&told, &mut checkpoints, &done);
            if killed {
                let phase = last_phase(&told);
                if let Some(phase) = phase {
                    *self.kills.entry(phase).or_default() += 1;
                    done.push(phase);
                }
            } else if let Some(result) = result {
                assert_eq!(
                    &result, undisturbed,
                    "SEED={}, round {}, killed in {done:?}",
                    self.seed, self.rounds
                );
                return;
            }
        }
    }

    /// Waits for the moment (`None`), or for the result of a job that ends before it.
    fn watch(
        &self,
        job: &mut Job,
        phases: &Path,
        moment: Option<(&str, u64, Duration)>,
        done: &[&str],
    ) -> Option<Value> {
        let mut met: Option<Instant> = None;
        loop {
            if let Some(end) = job.ended() {
                assert!(
                    end.status.success(),
                    "SEED={}, round {}, killed in {done:?}: {}: {}",
                    self.seed,
                    self.rounds,
                    end.status,
                    end.err
                );
                return Some(end.result().0);
            }
            if let (Some((phase, number, _)), None) = (moment, met) {
                let told = fs::read_to_string(phases).unwrap_or_default();
                let lines = told.lines().filter(|line| word(line) == phase).count() as u64;
                met = (lines >= number).then(Instant::now);
            }
            if let (Some((_, _, delay)), Some(met)) = (moment, met)
                && met.elapsed() >= delay
            {
                return None;
            }
            sleep(LOOK);
        }
    }

    /// The next moment: of the phases that can still come, the one with the fewest kills so far.
    fn moment(&mut self, done: &[&str]) -> (&'static str, u64, Duration) {
        // Once the job was killed while it processed, nothing is left to append and something to restore.
        let processed = done.iter().any(|phase| *phase != "append");
        let impossible = if processed { "append" } else { "restore" };
        let possible = PHASES.iter().filter(|(phase, ..)| *phase != impossible);
        let fewest = possible.min_by_key(|(phase, ..)| self.kills[phase]);
        let (phase, lines, delay) = *fewest.unwrap();
        let number = 1 + self.draw() % lines;
        (phase, number, Duration::from_micros(self.draw() % delay))
    }

    /// Follows the checkpoints and restores that one start told of.
    fn follow(&mut self, told: &str, checkpoints: &mut BTreeMap<String, u64>, done: &[&str]) {
        for line in told.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["checkpoint", task, store, position] => {
                    checkpoints.insert(format!("{task} {store}"), position.parse().unwrap());
                }
                ["restore", task, store, from, end] => {
                    let (from, end): (u64, u64) = (from.parse().unwrap(), end.parse().unwrap());
                    let known = checkpoints.get(&format!("{task} {store}"));
                    let known = known.copied().unwrap_or(0);
                    assert!(
                        from >= known,
                        "SEED={}, round {}, killed in {done:?}: {line}, but the last checkpoint was at {known}",
                        self.seed,
                        self.rounds
                    );
                    self.restores.stores += 1;
                    self.restores.replayed += end - from;
                    self.restores.since_checkpoint += end - known;
                    self.restores.changelogs += end;
                }
                _ => {}
            }
        }
    }

    /// splitmix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl std::fmt::Display for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = String::new();
        for (phase, ..) in PHASES {
            writeln!(table, "  {phase:12} {:5}", self.kills[phase])?;
        }
        let Restores {
            stores,
            replayed,
            since_checkpoint,
            changelogs,
        } = self.restores;
        write!(
            f,
            "SEED={}: {} kills of {} jobs in {} starts, by the last phase told of\n{table}\
             restored {stores} stores by {replayed} changelog records; {since_checkpoint} were written since the last \
             checkpoint told of, {changelogs} in all",
            self.seed,
            self.total(),
            self.rounds,
            self.starts
        )
    }
}

fn word(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// The phase of the last whole line.
fn last_phase(told: &str) -> Option<&'static str> {
    let last = word(told.lines().next_back()?);
    // "restored" belongs to "restore".
    let phase = PHASES.iter().find(|(phase, ..)| last.starts_with(phase));
    phase.map(|(phase, ..)| *phase)
}
