//! What a change must pass, step by step. Not a list for one CI system: `.ci/run` and a laptop run the same.
//! Invariant: the first failing step ends the run, and the last line names it.

use crate::{guard, process, tidy};
use anyhow::{Context, Result};
use std::time::Instant;

type Step = (&'static str, fn() -> Result<()>);

/// Cheap before dear, so that a slip in formatting costs a second and not the whole run.
const STEPS: &[Step] = &[
    ("fmt", fmt),
    ("tidy", tidy::check_all),
    ("clippy", clippy),
    ("test", test),
    ("guard", guard::check),
    ("docs", docs),
];

/// Runs every step.
pub(crate) fn run() -> Result<()> {
    let begin = Instant::now();
    for (name, step) in STEPS {
        eprintln!("==> {name}");
        let step_begin = Instant::now();
        let result = step();
        let seconds = step_begin.elapsed().as_secs_f64();
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        eprintln!("==> {name} {verdict} in {seconds:.1} s");
        result.with_context(|| format!("ci stopped at step `{name}`"))?;
    }
    eprintln!("==> ci ok in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

fn fmt() -> Result<()> {
    process::run(&mut process::cargo(&["fmt", "--all", "--", "--check"]))
}

fn clippy() -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    process::run(&mut process::cargo(&arguments))
}

fn test() -> Result<()> {
    // Every failure is told in one run.
    let arguments = ["test", "--workspace", "--no-fail-fast"];
    process::run(&mut process::cargo(&arguments))
}

fn docs() -> Result<()> {
    let mut command = process::cargo(&["doc", "--workspace", "--no-deps"]);
    process::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
