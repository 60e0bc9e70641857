//! The job "latency": an application at a fixed rate of records, and a program beside it that writes them and sees the results.
//! Not throughput. Invariant: both systems are driven and seen by the same program.

use super::contender::{Entry, number, used};
use super::{measured, scene::parse};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Child, Stdio};

/// Records a second.
const RATE: u64 = 10_000;
/// Seconds at that rate before figures are taken: a Java machine compiles meanwhile.
const WARM_UP_SECONDS: u64 = 8;
/// Seconds of figures.
const SECONDS: u64 = 12;
/// The longest a run may take.
const RUN_SECONDS_MAX: u64 = 120;

/// Figures of one run.
pub(super) fn run(entry: &Entry<'_>) -> Result<Value> {
    let input = format!("{}-in", entry.name);
    entry.scene.create_topic(&input)?;
    let mut driver = drive(entry, &input)?;
    // One that is written first and waited for, then those at the rate.
    let records = 1 + RATE * (WARM_UP_SECONDS + SECONDS);
    let outcome = measured::run(&mut entry.topology(records, &input), RUN_SECONDS_MAX);
    if outcome.is_err() {
        let _ = driver.kill();
    }
    let output = driver.wait_with_output()?;
    let measured = outcome?;
    ensure!(
        output.status.success(),
        "the driver ended with {}",
        output.status
    );
    let said = parse(&output.stdout)?;
    let mut figures = used(&measured, records);
    figures["rate_per_second"] = json!(RATE);
    for name in ["p50_ms", "p99_ms", "p999_ms", "max_ms"] {
        figures[name] = json!(number(&said, name)?);
    }
    figures["output"] = json!({"records": said["records"]});
    Ok(figures)
}

fn drive(entry: &Entry<'_>, input: &str) -> Result<Child> {
    let mut driver = entry.scene.headwater("drive");
    driver.args(["--input", input]);
    driver.args(["--output", &format!("{}-out", entry.name)]);
    driver.args(["--rate", &RATE.to_string()]);
    driver.args(["--warm-up-seconds", &WARM_UP_SECONDS.to_string()]);
    driver.args(["--seconds", &SECONDS.to_string()]);
    driver.stdin(Stdio::null()).stdout(Stdio::piped());
    driver.spawn().context("cannot start the driver")
}
