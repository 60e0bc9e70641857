//! `fuzz`: random cases before both judges, from the command line. `cargo xtask oracle fuzz` starts it.
//! Not the interpreter's own program, which runs case files. Invariant: the exit status is 0 only if no case differed.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use headwater_oracle::fuzz::{self, Judge, Plan, Report};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

const USAGE: &str = "\
fuzz run    [--seed N] [--seeds S] [--cases M] [--from I] [--only OP,OP..] [--shrink K] [--every] [--table]
            cases I.. of seeds N..N+S, judged; K kinds of difference are shrunk and kept (3),
            with --every also several of a kind
fuzz record [--seed N] [--cases M]   has the judge record cases for machines without it
fuzz show   [--seed N] [--from I]    prints one case";

/// Lines told about one kind of difference.
const TOLD_MAX: usize = 6;

/// The command line.
struct Options {
    seed: u64,
    seeds: u64,
    cases: u64,
    from: u64,
    only: Vec<String>,
    shrink: usize,
    every: bool,
    table: bool,
}

fn main() -> ExitCode {
    // Functions of cases panic on purpose; what they say is in the result.
    std::panic::set_hook(Box::new(|_| {}));
    match work() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn work() -> Result<bool> {
    let mut arguments = std::env::args().skip(1);
    let Some(command) = arguments.next() else {
        bail!("which command?\n\n{USAGE}");
    };
    let options = options(arguments)?;
    match command.as_str() {
        "show" => {
            print!("{}", fuzz::text(&fuzz::case(options.seed, options.from)));
            Ok(true)
        }
        "record" => record(&options),
        "run" => run(&options),
        other => bail!("no command `{other}`\n\n{USAGE}"),
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options {
        seed: 1,
        seeds: 1,
        cases: 200,
        from: 0,
        only: Vec::new(),
        shrink: 3,
        every: false,
        table: false,
    };
    while let Some(option) = arguments.next() {
        match option.as_str() {
            "--table" => options.table = true,
            "--every" => options.every = true,
            _ => {}
        }
        if option == "--table" || option == "--every" {
            continue;
        }
        let value = arguments
            .next()
            .with_context(|| format!("{option} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .with_context(|| format!("{option} {value}"))
        };
        match option.as_str() {
            "--seed" => options.seed = number()?,
            "--seeds" => options.seeds = number()?,
            "--cases" => options.cases = number()?,
            "--from" => options.from = number()?,
            "--shrink" => options.shrink = usize::try_from(number()?)?,
            "--only" => options.only = value.split(',').map(str::to_owned).collect(),
            _ => bail!("no option {option}\n\n{USAGE}"),
        }
    }
    Ok(options)
}

/// The judge, or none with a loud word; none is a failure where CI runs.
fn judge() -> Result<Option<Judge>> {
    let folder = std::env::temp_dir().join(format!("headwater-fuzz-{}", std::process::id()));
    let judge = Judge::find(&folder)?;
    if judge.is_none() {
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            bail!("Kafka Streams' judge is not at ../shared/oracle, and CI must not skip it");
        }
        eprintln!("SKIPPED: Kafka Streams' judge is not at ../shared/oracle; nothing was compared");
    }
    Ok(judge)
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn record(options: &Options) -> Result<bool> {
    let Some(judge) = judge()? else {
        return Ok(true);
    };
    let file: PathBuf = package().join(format!("recorded/seed-{}.jsonl.gz", options.seed));
    let count = fuzz::record(&judge, options.seed, options.cases, &file)?;
    println!("{count} cases recorded in {}", file.display());
    Ok(true)
}

fn run(options: &Options) -> Result<bool> {
    let Some(judge) = judge()? else {
        return Ok(true);
    };
    let plan = Plan {
        seeds: options.seed..options.seed + options.seeds,
        cases: options.from..options.from + options.cases,
        only: options.only.clone(),
        shrink_max: options.shrink,
        every: options.every,
        kept: package().join("kept"),
    };
    let report = fuzz::run(&judge, &plan)?;
    tell(options, &report);
    Ok(report.differences.is_empty())
}

fn tell(options: &Options, report: &Report) {
    if options.table {
        print!("{}", report.coverage);
    }
    for (what, count) in &report.unsupported {
        println!("unsupported in {count} cases: {what}");
    }
    for (fault, count) in &report.faults {
        println!("fault of Kafka Streams in {count} cases: {fault}");
    }
    for (signature, cases) in &report.differences {
        println!("{} cases differ in {signature}", cases.len());
        for (name, text) in cases.iter().take(TOLD_MAX) {
            println!("{name}\n{text}");
        }
    }
    let total = &report.coverage.total;
    println!(
        "seed {} ({} seeds): {} equal ({} with output), {} different, {} unsupported, {} unjudged",
        options.seed,
        options.seeds,
        total.equal,
        total.telling,
        total.different,
        total.unsupported,
        total.unjudged
    );
    for file in &report.kept {
        println!("kept: {}", file.display());
    }
}
