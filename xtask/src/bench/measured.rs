//! A process and what it used: CPU of all its threads, peak of its resident memory, as the kernel counts them.
//! Not asking the process itself: every system is measured alike. Invariant: CPU is read after the last thread has ended.

use crate::process;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Ticks a second of the times in `/proc/PID/stat`: the kernel fixes USER_HZ.
const TICKS_PER_SECOND: f64 = 100.0;
/// Between two looks at the peak; what grows within the last of them is missed.
const LOOK_MS: u64 = 5;
/// Between an answer whether a process is done and the next question.
const ASK_INTERVAL: Duration = Duration::from_millis(25);
/// What it used, and what it said.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) cpu_seconds: f64,
    pub(super) peak_mb: f64,
    pub(super) wall_seconds: f64,
    /// ms since 1970 when it was started.
    pub(super) begin_unix_ms: u64,
    pub(super) stdout: String,
}

/// Runs to the end, which must come within `seconds_max`. What it writes to standard output must be short.
pub(super) fn run(command: &mut Command, seconds_max: u64) -> Result<Measured> {
    watched(command.stdin(Stdio::null()), seconds_max, &mut |_| Ok(()))
}

/// As `run`, of a process that ends when its standard input does, which is when `is_done` first says so.
pub(super) fn run_until(
    command: &mut Command,
    seconds_max: u64,
    is_done: impl Fn() -> Result<bool>,
) -> Result<Measured> {
    let mut asked = Instant::now();
    let mut tell = |child: &mut Child| {
        let is_due = child.stdin.is_some() && asked.elapsed() >= ASK_INTERVAL;
        if is_due {
            if is_done()? {
                drop(child.stdin.take());
            }
            // After the answer: however long it takes, the process has the cores for itself in between.
            asked = Instant::now();
        }
        Ok(())
    };
    watched(command.stdin(Stdio::piped()), seconds_max, &mut tell)
}

/// Runs to the end, and at each look at the peak lets `look` see to the process.
fn watched(
    command: &mut Command,
    seconds_max: u64,
    look: &mut dyn FnMut(&mut Child) -> Result<()>,
) -> Result<Measured> {
    let (begin, since) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH));
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", process::shown(command)))?;
    let pid = child.id();
    let mut peak_mb = 0.0;
    // A process that has ended keeps its times until it is waited for.
    let cpu_seconds = loop {
        let (state, cpu_seconds) = times(pid)?;
        if state == "Z" {
            break cpu_seconds;
        }
        peak_mb = peak(pid).unwrap_or(peak_mb).max(peak_mb);
        if let Err(error) = look(&mut child) {
            child.kill()?;
            child.wait()?;
            return Err(error);
        }
        if begin.elapsed().as_secs() > seconds_max {
            child.kill()?;
            child.wait()?;
            bail!(
                "`{}` did not end within {seconds_max} s",
                process::shown(command)
            );
        }
        thread::sleep(Duration::from_millis(LOOK_MS));
    };
    let wall_seconds = begin.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("`{}` ended with {}", process::shown(command), output.status);
    }
    Ok(Measured {
        cpu_seconds,
        peak_mb,
        wall_seconds,
        begin_unix_ms: since?.as_millis() as u64,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}

/// State, and user and system time.
fn times(pid: u32) -> Result<(String, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces: fields are counted after it.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> {
        let field = fields.get(index).context("a short /proc/PID/stat")?;
        Ok(field.parse()?)
    };
    let state = fields.first().context("an empty /proc/PID/stat")?;
    Ok((
        (*state).to_owned(),
        (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
    ))
}

/// `VmHWM`; none once the process has given its memory back.
fn peak(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024.0)
}
