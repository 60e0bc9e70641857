//! `headwater-oracle`: prints the results of case files, or compares them with those of Kafka Streams beside them.
//! Not the judge: `*.out.json` is written by Kafka Streams only. Invariant: the exit status is 0 only if every case had a result
//! and, with `--check`, the expected one.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a tool that reads case files; nothing here is ever simulated"
)]

use anyhow::{Context, Result, anyhow, bail};
use headwater_oracle::{Case, Options, Refusal, difference, live_run, run, show};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
headwater-oracle CASE.json...           one result per case, one line each, canonical JSON
headwater-oracle --check CASE.json...   compares with CASE.out.json
headwater-oracle --show CASE.json...    a readable trace
headwater-oracle ... --dir DIR          every case of a directory
headwater-oracle live run CASE.json --kafka HOST:PORT --application-id ID --state-dir DIR
    [--guarantee exactly_once_v2|at_least_once] [--group-protocol classic|streams] [--threads N]
    [--to-end | --seconds S] [--set KEY=VALUE ...]      the case as an application on a cluster";

enum Mode {
    Print,
    Check,
    Show,
}

#[derive(Default)]
struct Count {
    equal: usize,
    different: usize,
    unsupported: usize,
    broken: usize,
}

fn main() -> ExitCode {
    // Functions of cases panic on purpose; what they say is in the result.
    std::panic::set_hook(Box::new(|_| {}));
    match work(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("headwater-oracle: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn work(arguments: Vec<String>) -> Result<bool> {
    if let [live, rest @ ..] = &arguments[..]
        && live == "live"
    {
        return live_command(rest);
    }
    let mut mode = Mode::Print;
    let mut files = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => mode = Mode::Check,
            "--show" => mode = Mode::Show,
            "--dir" => {
                let dir = arguments.next().context("--dir needs a directory")?;
                files.extend(cases_in(Path::new(&dir))?);
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(true);
            }
            option if option.starts_with("--") => bail!("no option {option}\n\n{USAGE}"),
            file => files.push(file.into()),
        }
    }
    if files.is_empty() {
        bail!("which cases?\n\n{USAGE}");
    }
    let mut count = Count::default();
    for file in &files {
        one(&mode, file, &mut count)?;
    }
    if let Mode::Check = mode {
        println!(
            "{} equal, {} different, {} unsupported, {} broken of {}",
            count.equal,
            count.different,
            count.unsupported,
            count.broken,
            files.len()
        );
    }
    Ok(count.different + count.unsupported + count.broken == 0)
}

fn live_command(words: &[String]) -> Result<bool> {
    let [command, file, rest @ ..] = words else {
        bail!("live what?\n\n{USAGE}");
    };
    if command != "run" {
        bail!("live {command} is the judge's: see its README");
    }
    let options = Options::parse(rest).map_err(|message| anyhow!("{message}\n\n{USAGE}"))?;
    let case = Case::of(&read(Path::new(file))?)?;
    match live_run(&case, &options) {
        Ok(outcome) => {
            println!("{}", outcome.line);
            Ok(outcome.is_success)
        }
        Err(refusal) => {
            eprintln!("{file}: {refusal}");
            Ok(false)
        }
    }
}

fn one(mode: &Mode, file: &Path, count: &mut Count) -> Result<()> {
    let case = read(file)?;
    let result = match Case::of(&case).and_then(|case| run(&case)) {
        Ok(result) => result,
        Err(refusal) => {
            match refusal {
                Refusal::Unsupported(_) => count.unsupported += 1,
                Refusal::Case(_) | Refusal::Inexpressible(_) | Refusal::Broken(_) => {
                    count.broken += 1;
                }
            }
            eprintln!("{}: {refusal}", file.display());
            return Ok(());
        }
    };
    match mode {
        Mode::Print => println!("{result}"),
        Mode::Show => print!("{}", show(&case, &result)),
        Mode::Check => match difference(&read(&file.with_extension("out.json"))?, &result) {
            None => count.equal += 1,
            Some(difference) => {
                count.different += 1;
                println!("differs: {}\n{difference}", file.display());
            }
        },
    }
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

fn cases_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".json") && !name.ends_with(".out.json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
