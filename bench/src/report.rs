//! What a job measured: a JSON line a run, kept under `bench/results`, and a table of the medians for people.
//! Not the measuring. Invariant: a kept line says which commit it measured and how busy the machine was before.

use crate::reference::{HEADING, Reference};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One-minute load above which a figure is marked: something else takes part of a core.
const LOAD_QUIET_MAX: f64 = 0.5;

/// Figures of one run, by name.
pub(crate) type Figures = Map<String, Value>;

/// The runs of one job.
pub(crate) struct Report {
    job: &'static str,
    title: String,
    commit: String,
    load: f64,
    file: PathBuf,
    runs: Vec<Figures>,
}

impl Report {
    /// To be made before the job touches the machine: it reads the load.
    pub(crate) fn new(job: &'static str, title: String) -> Self {
        Self {
            job,
            title,
            commit: commit(),
            load: load(),
            file: folder().join("results").join(format!("{job}.jsonl")),
            runs: Vec::new(),
        }
    }

    /// Prints and keeps one run.
    pub(crate) fn add(&mut self, figures: Figures) -> Result<()> {
        let mut line = figures.clone();
        line.insert("job".into(), json!(self.job));
        line.insert("run".into(), json!(self.runs.len()));
        line.insert("commit".into(), json!(self.commit));
        line.insert("load_before".into(), json!(self.load));
        let line = Value::Object(line).to_string();
        println!("{line}");
        let parent = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent)
            .and_then(|()| {
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&self.file)
            })
            .and_then(|mut file| writeln!(file, "{line}"))
            .with_context(|| self.file.display().to_string())?;
        self.runs.push(figures);
        Ok(())
    }

    /// The table: one row a figure, then what was measured elsewhere.
    pub(crate) fn print(&self, references: &[Reference]) {
        println!("\n{}", self.title);
        println!(
            "commit {}, {} runs, load average before {:.2}{}\n",
            self.commit,
            self.runs.len(),
            self.load,
            if self.load > LOAD_QUIET_MAX {
                ": NOT A QUIET MACHINE, wall-clock figures are too low; CPU per record is nearer the truth"
            } else {
                ""
            }
        );
        println!(
            "{:<50} {:>12} {:>12} {:>12}",
            "headwater", "median", "lowest", "highest"
        );
        for name in self.runs.first().into_iter().flat_map(|run| run.keys()) {
            if let Some((low, median, high)) = self.spread(name) {
                let name = name.replace('_', " ");
                println!(
                    "{name:<50} {:>12} {:>12} {:>12}",
                    shown(median),
                    shown(low),
                    shown(high)
                );
            }
        }
        if references.is_empty() {
            return;
        }
        println!("\n{HEADING}\n");
        println!(
            "{:<50} {:>12} {:>12} {:>12}",
            "", "records/s", "CPU us/rec", "peak MB"
        );
        for row in references {
            println!(
                "{:<50} {:>12} {:>12} {:>12}",
                row.system, row.records_per_second, row.cpu_us_per_record, row.peak_mb
            );
        }
    }

    /// Lowest, median and highest of a figure.
    fn spread(&self, name: &str) -> Option<(f64, f64, f64)> {
        let mut values: Vec<f64> = self
            .runs
            .iter()
            .filter_map(|run| run.get(name)?.as_f64())
            .collect();
        values.sort_by(f64::total_cmp);
        Some((
            *values.first()?,
            *values.get(values.len() / 2)?,
            *values.last()?,
        ))
    }
}

/// Whole numbers in groups of three, small ones with their fraction.
fn shown(value: f64) -> String {
    if value.abs() < 100.0 && value.fract() != 0.0 {
        return format!("{value:.3}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if value < 0.0 {
        format!("-{grouped}")
    } else {
        grouped
    }
}

/// The folder of this package.
pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The commit that is checked out, marked when files differ from it.
fn commit() -> String {
    let git = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder())
            .args(arguments)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match git(&["rev-parse", "--short=10", "HEAD"]) {
        Some(hash) => {
            let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
            let mark = if changed.is_some_and(|files| !files.is_empty()) {
                "+changes"
            } else {
                ""
            };
            format!("{hash}{mark}")
        }
        None => "unknown".into(),
    }
}

/// The load average of the last minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or(f64::NAN)
}
