//! What was measured and where: commit, machine, versions. Not how busy it was.
//! Invariant: all runs of one invocation carry the same `measurement`, by which they belong together.

use crate::root;
use headwater_broker::Options;
use serde_json::{Value, json};
use std::{
    fs,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// What every line of an invocation is signed with.
pub(super) struct Machine {
    measurement: u64,
    commit: String,
    machine: Value,
    versions: Value,
}

impl Machine {
    pub(super) fn look() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            measurement: now.map_or(0, |now| now.as_secs()),
            commit: commit(),
            machine: json!({
                "cpu": field("/proc/cpuinfo", "model name"),
                "cores": std::thread::available_parallelism().map_or(0, usize::from),
                "memory": field("/proc/meminfo", "MemTotal"),
                "kernel": said(Command::new("uname").arg("-r")),
            }),
            versions: json!({
                "kafka": Options::default().version,
                "java": said(Command::new("java").arg("--version")),
                "rustc": said(Command::new("rustc").arg("--version")),
            }),
        }
    }

    /// Adds what was seen.
    pub(super) fn sign(&self, line: &mut Value) {
        line["measurement"] = json!(self.measurement);
        line["commit"] = json!(self.commit);
        line["machine"] = self.machine.clone();
        line["versions"] = self.versions.clone();
    }
}

/// The commit that is checked out, marked when files differ from it.
fn commit() -> String {
    let git = |words: &[&str]| said(Command::new("git").current_dir(root()).args(words));
    // Results are appended while we measure; they are no change of what is measured.
    let differs = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ".",
        ":!bench/results",
    ]);
    let mark = if differs.is_empty() { "" } else { "+changes" };
    format!("{}{mark}", git(&["rev-parse", "--short=10", "HEAD"]))
}

/// The first line that a command prints, or nothing.
fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout);
    let text = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// What a line `name : value` of a file says first.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}
