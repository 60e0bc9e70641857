//! `cargo xtask bench`: rounds of jobs, ours and the others' in turn, so that all meet the same machine.
//! Not a pass or fail by speed: figures on a shared machine are no verdict. Invariant: a run whose output is not right is told,
//! kept as an error and counted, and the next goes on.

use super::{
    chosen::Chosen,
    contender::{Entry, Tuning},
    input::Input,
    job::{Job, System, Work},
    librdkafka::Librdkafka,
    machine::Machine,
    measured,
    scene::Scene,
    table,
    verdict::Verdicts,
};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    time::Instant,
};

/// So many runs that fail one after the other end the rest: the broker or the machine is gone.
const FAILURES_MAX: usize = 6;
/// The longest that filling a changelog may take.
const FILL_SECONDS_MAX: u64 = 600;

/// `cargo xtask bench ..`.
pub(super) fn run(arguments: &[String]) -> Result<()> {
    let Some(chosen) = Chosen::of(arguments)? else {
        return Ok(());
    };
    if !headwater_broker::is_usable("bench") {
        return Ok(());
    }
    let machine = Machine::look();
    let mut inputs: Vec<&'static Input> = Vec::new();
    let of_jobs = chosen.jobs.iter();
    for input in of_jobs.flat_map(|job| job.inputs().chain(job.global)) {
        if !inputs.contains(&input) {
            inputs.push(input);
        }
    }
    let scene = Scene::prepare(chosen.size, &inputs, chosen.program.clone())?;
    let mut rounds = Rounds {
        librdkafka: Librdkafka::prepare(&chosen.jobs, &scene.folder),
        chosen,
        scene,
        machine,
        verdicts: Verdicts::default(),
        lines: Vec::new(),
        failures: Vec::new(),
        failures_in_turn: 0,
    };
    rounds.all()
}

struct Rounds {
    chosen: Chosen,
    librdkafka: Librdkafka,
    scene: Scene,
    machine: Machine,
    verdicts: Verdicts,
    lines: Vec<Value>,
    failures: Vec<String>,
    failures_in_turn: usize,
}

impl Rounds {
    fn all(&mut self) -> Result<()> {
        let jobs = self.chosen.jobs.clone();
        for job in jobs.iter().filter(|job| job.work == Work::Restore) {
            for system in self.chosen.systems(job, self.librdkafka) {
                fill_changelog(&self.scene, job, self.chosen.tuning, system)?;
            }
        }
        let begin = Instant::now();
        for run in 0..self.chosen.runs {
            for job in &jobs {
                let mut systems = self.chosen.systems(job, self.librdkafka);
                // Who goes first changes, so that a machine that slows down or warms up favours nobody.
                if run % 2 == 1 {
                    systems.reverse();
                }
                for system in systems {
                    self.one(job, system, run)?;
                }
            }
            let minutes = begin.elapsed().as_secs_f64() / 60.0;
            println!(
                "\nafter round {} of {}, {minutes:.1} minutes",
                run + 1,
                self.chosen.runs
            );
            table::print(&self.lines);
        }
        if self.failures.is_empty() {
            return Ok(());
        }
        bail!(
            "{} runs failed:\n{}",
            self.failures.len(),
            self.failures.join("\n")
        )
    }

    fn one(&mut self, job: &'static Job, system: System, run: usize) -> Result<()> {
        let name = match job.work {
            Work::Restore => restored(job, system),
            _ => format!("bench-{}-{}-{run}", job.name, system.name()),
        };
        let entry = Entry {
            scene: &self.scene,
            job,
            system,
            tuning: self.chosen.tuning,
            name,
        };
        let load = load();
        let outcome = entry.run(&mut self.verdicts);
        let line = match outcome {
            Ok(figures) => {
                self.failures_in_turn = 0;
                figures
            }
            Err(error) => {
                self.failures_in_turn += 1;
                eprintln!(
                    "bench: FAILED: {} of {}: {error:#}",
                    job.name,
                    system.name()
                );
                self.failures
                    .push(format!("{} of {}: {error:#}", job.name, system.name()));
                json!({"error": format!("{error:#}")})
            }
        };
        let mut common = json!({
            "system": system.name(),
            "run": run,
            "guarantee": job.guarantee(),
            "input": job.input.told(self.chosen.size),
            "threads": self.chosen.tuning.threads,
            "commit_interval_ms": self.chosen.tuning.commit_interval_ms,
            "cache_bytes": self.chosen.tuning.cache_bytes,
            "stores_bytes_max": job.stores_bytes_max.filter(|_| system == System::Headwater),
            "load_before": load,
            "load_after": self::load(),
        });
        self.machine.sign(&mut common);
        for mut line in by_case(job, line) {
            for (name, value) in common.as_object().into_iter().flatten() {
                line[name] = value.clone();
            }
            println!("{line}");
            append(&self.chosen.file, &line)?;
            self.lines.push(line);
        }
        if self.failures_in_turn >= FAILURES_MAX {
            bail!(
                "{FAILURES_MAX} runs failed one after the other, so the rest is not tried:\n{}",
                self.failures.join("\n")
            );
        }
        Ok(())
    }
}

/// A line for each case of a job that has some, else one, with its job's name.
fn by_case(job: &Job, mut figures: Value) -> Vec<Value> {
    let Some(cases) = figures.get_mut("cases").and_then(Value::as_object_mut) else {
        figures["job"] = json!(job.name);
        return vec![figures];
    };
    let cases = std::mem::take(cases).into_iter();
    let named = cases.map(|(case, mut figures)| {
        figures["job"] = json!(format!("{}-{case}", job.name));
        figures
    });
    named.collect()
}

/// The application whose changelog a system restores.
fn restored(job: &Job, system: System) -> String {
    format!("bench-{}-{}", job.name, system.name())
}

/// Counts once by ours under the application that `system` then restores: names and bytes are the same, and so is what there is
/// to restore.
fn fill_changelog(scene: &Scene, job: &'static Job, tuning: Tuning, system: System) -> Result<()> {
    let count = Job {
        work: Work::Topology("count"),
        ..*job
    };
    let entry = Entry {
        scene,
        // One for each invocation and system.
        job: Box::leak(Box::new(count)),
        system: System::Headwater,
        tuning,
        name: restored(job, system),
    };
    scene.create_topic(&format!("{}-out", entry.name))?;
    let mut command = entry.topology(job.input.seen(scene.size), job.input.topic);
    measured::run(&mut command, FILL_SECONDS_MAX)?;
    fs::remove_dir_all(scene.folder.join(&entry.name))?;
    Ok(())
}

fn append(file: &PathBuf, line: &Value) -> Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened
        .and_then(|mut file| writeln!(file, "{line}"))
        .with_context(|| file.display().to_string())
}

/// The load average of the last minute.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}
