//! `cargo xtask bench growth`: how cost grows along axes, on the embedded log; a process for each point, another that fills it.
//! Not the drawing. Invariant: a kept line is of a run whose counts were right, and says how busy the machine was.

use super::{
    axis::{AXES, Axis, Point},
    chosen::number,
    lines::{Lines, shown},
    machine::Machine,
    measured,
    rounds::load,
    scene,
};
use crate::root;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the results that the page shows are kept.
pub(super) const RESULTS: &str = "bench/results/growth.jsonl";
const TRIALS: &str = "target/bench/growth-trial.jsonl";
const RUNS: usize = 3;
/// The longest that filling or running a point may take.
const SECONDS_MAX: u64 = 900;

const USAGE: &str = "\
cargo xtask bench growth [AXIS ..] [OPTIONS]   how cost grows; counts checked at every point

  --runs N        rounds of all points (3)
  --quick         the ends of each axis once, a hundredth of the keys and records: does everything go?
  --program FILE  a headwater-bench that was built before, instead of building it optimised
  --json FILE     where a line for each run is appended (bench/results/growth.jsonl; of --quick target/bench/growth-trial.jsonl)

Axes:
";

struct Chosen {
    axes: Vec<&'static Axis>,
    runs: usize,
    is_quick: bool,
    program: Option<PathBuf>,
    file: Option<PathBuf>,
}

/// Measures.
pub(super) fn run(arguments: &[String]) -> Result<()> {
    let Some(chosen) = chosen(arguments)? else {
        return Ok(());
    };
    let default = if chosen.is_quick { TRIALS } else { RESULTS };
    let file = chosen.file.unwrap_or_else(|| root().join(default));
    let program = chosen.program.map_or_else(scene::build, Ok)?;
    let (machine, folder) = (Machine::look(), root().join("target/bench/growth"));
    let mut lines = Vec::new();
    for run in 0..chosen.runs {
        for axis in &chosen.axes {
            for (place, point) in axis.points(chosen.is_quick) {
                let told = || format!("{} at {place}", axis.name);
                let mut line = measure(&program, &folder, &point).with_context(told)?;
                line["job"] = json!(job(axis));
                line["place"] = json!(place);
                line["run"] = json!(run);
                machine.sign(&mut line);
                println!("{}", said(axis, &line));
                keep(&file, &line)?;
                lines.push(line);
            }
        }
    }
    let _ = fs::remove_dir_all(folder);
    for axis in chosen.axes {
        println!("\n{}: {}", axis.name, axis.what);
        for (place, of_place) in places(axis, &Lines::right(&lines)) {
            let figures = FIGURES.map(|(figure, words)| {
                let median = shown(of_place.median(figure));
                format!("{median:>10} {words}")
            });
            println!("{:>12}  {}", told(place), figures.join(" "));
        }
    }
    Ok(())
}

/// What is told of a point, and in which words.
pub(super) const FIGURES: [(&str, &str); 4] = [
    ("records_per_second", "records/s"),
    ("cpu_us_per_record", "CPU us a record"),
    ("peak_mb", "peak MB"),
    ("start_ms", "ms to start"),
];

/// A place for people.
pub(super) fn told(place: u64) -> String {
    match place {
        0..100 => place.to_string(),
        place => shown(Some(place as f64)),
    }
}

/// By which lines of an axis are known.
pub(super) fn job(axis: &Axis) -> String {
    format!("growth-{}", axis.name)
}

/// The lines of an axis, by place.
pub(super) fn places<'a>(axis: &Axis, lines: &Lines<'a>) -> Vec<(u64, Lines<'a>)> {
    let of_axis = lines.with("job", &job(axis));
    let places = axis.places.iter();
    let mut places: Vec<_> = places
        .map(|place| (*place, of_axis.at("place", *place)))
        .collect();
    places.retain(|(_, lines)| !lines.is_empty());
    places
}

fn chosen(arguments: &[String]) -> Result<Option<Chosen>> {
    let mut chosen = Chosen {
        axes: Vec::new(),
        runs: RUNS,
        is_quick: false,
        program: None,
        file: None,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} what?"));
        match word.as_str() {
            "--runs" => chosen.runs = number(word, value()?)?,
            "--quick" => (chosen.is_quick, chosen.runs) = (true, 1),
            "--program" => chosen.program = Some(std::path::absolute(value()?)?),
            "--json" => chosen.file = Some(std::path::absolute(value()?)?),
            "--help" | "-h" | "help" => {
                println!("{}", usage());
                return Ok(None);
            }
            name => match AXES.iter().find(|axis| axis.name == name) {
                Some(axis) => chosen.axes.push(axis),
                None => bail!("no axis or option `{name}`\n\n{}", usage()),
            },
        }
    }
    if chosen.axes.is_empty() {
        chosen.axes = AXES.iter().collect();
    }
    Ok(Some(chosen))
}

fn usage() -> String {
    let axes = AXES.iter();
    let axes = axes.map(|axis| format!("  {:<14} {}\n", axis.name, axis.what));
    format!("{USAGE}{}", axes.collect::<String>())
}

/// Fills the input and runs, each in a process of its own.
fn measure(program: &Path, folder: &Path, point: &Point) -> Result<Value> {
    let command = |last: &[&str]| {
        let mut command = Command::new(program);
        command.arg("growth").args(last).arg("--dir").arg(folder);
        for (name, number) in point.named() {
            command.arg(format!("--{name}")).arg(number.to_string());
        }
        command
    };
    measured::run(&mut command(&["--fill"]), SECONDS_MAX)?;
    let before = load();
    let done = measured::run(&mut command(&[]), SECONDS_MAX)?;
    let mut line: Value = serde_json::from_str(&done.stdout).context(done.stdout)?;
    for (name, number) in point.named() {
        line[name.replace('-', "_")] = json!(number);
    }
    line["load_before"] = json!(before);
    line["load_after"] = json!(load());
    Ok(line)
}

fn said(axis: &Axis, line: &Value) -> String {
    let figures =
        FIGURES.map(|(figure, words)| format!("{} {words}", shown(line[figure].as_f64())));
    format!("{} {}: {}", axis.name, line["place"], figures.join(", "))
}

fn keep(file: &Path, line: &Value) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let opened = OpenOptions::new().create(true).append(true).open(file);
    let written = opened.and_then(|mut file| writeln!(file, "{line}"));
    written.with_context(|| file.display().to_string())
}
