//! `cargo xtask bench kafka`: jobs on a real broker, ours and the others' in turn, so that all meet the same machine.
//! Not a pass or fail: figures on a shared machine are no verdict. Invariant: every run's output is checked before it counts.

use super::{
    contender::{Entry, Job, System},
    measured,
    scene::{Scene, Size},
    table,
};
use crate::root;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    process::Command,
};

const USAGE: &str = "\
cargo xtask bench kafka [JOB ..] [--runs N] [--records N] [--ours] [--json FILE]

  JOB      count, count-memory, consume, produce; all of them unless named
  --runs   runs of each system, in turn (3)
  --ours   Headwater alone
  --json   where a line for each run is appended (bench/results/kafka.jsonl)";

/// As `Generate.java` was used for the figures in the design: so many keys are drawn from, values of so many bytes.
const SIZE: Size = Size {
    records: 3_000_000,
    keys: 200_000,
    value_bytes: 100,
};
const RUNS: usize = 3;

struct Chosen {
    jobs: Vec<Job>,
    runs: usize,
    size: Size,
    ours: bool,
    file: PathBuf,
}

/// `cargo xtask bench kafka ..`.
pub(super) fn run(arguments: &[String]) -> Result<()> {
    let chosen = Chosen::of(arguments)?;
    if !headwater_broker::is_usable("bench kafka") {
        return Ok(());
    }
    let scene = Scene::prepare(chosen.size)?;
    let commit = commit();
    let mut lines = Vec::new();
    for job in &chosen.jobs {
        let mut systems = job.systems();
        systems.retain(|system| !chosen.ours || *system == System::Headwater);
        for run in 0..chosen.runs {
            for system in &systems {
                let line = one(&scene, *job, *system, run, &commit)?;
                println!("{line}");
                append(&chosen.file, &line)?;
                lines.push(line);
            }
        }
    }
    table::print(&lines);
    Ok(())
}

fn one(scene: &Scene, job: Job, system: System, run: usize, commit: &str) -> Result<Value> {
    let entry = Entry {
        job,
        system,
        name: format!("bench-{}-{}-{run}", job.name(), system.name(job)),
    };
    let mut command = entry.command(scene)?;
    let load = load();
    let measured = measured::run(&mut command)?;
    let mut line = entry.judge(scene, &measured)?;
    entry.clear(scene)?;
    line["run"] = json!(run);
    line["commit"] = json!(commit);
    line["load_before"] = json!(load);
    line["load_after"] = json!(self::load());
    Ok(line)
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
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// The commit that is checked out, marked when files differ from it.
fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").current_dir(root()).args(words).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let mark = match git(&["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        true => "",
        false => "+changes",
    };
    format!("{}{mark}", git(&["rev-parse", "--short=10", "HEAD"]))
}

impl Chosen {
    fn of(arguments: &[String]) -> Result<Self> {
        let mut chosen = Self {
            jobs: Vec::new(),
            runs: RUNS,
            size: SIZE,
            ours: false,
            file: root().join("bench/results/kafka.jsonl"),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} what?"));
            match word.as_str() {
                "--runs" => chosen.runs = value()?.parse().context("--runs is no number")?,
                "--records" => {
                    chosen.size.records = value()?.parse().context("--records is no number")?
                }
                "--ours" => chosen.ours = true,
                "--json" => chosen.file = std::path::absolute(value()?)?,
                name => match Job::ALL.iter().find(|job| job.name() == name) {
                    Some(job) => chosen.jobs.push(*job),
                    None => bail!("no job or option `{name}`\n\n{USAGE}"),
                },
            }
        }
        if chosen.jobs.is_empty() {
            chosen.jobs = Job::ALL.to_vec();
        }
        Ok(chosen)
    }
}
