//! What of librdkafka is installed: kcat, which reads and writes alone, and what a loop of our own in C is compiled with. Not its runs.
//! Invariant: what is missing is said once, with the package that brings it, and is no failure.

use super::job::{Job, System};
use crate::root;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is there, of what the jobs need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Librdkafka {
    pub(super) has_kcat: bool,
    pub(super) has_loop: bool,
}

impl Librdkafka {
    /// Looks, and compiles the loop into `folder`.
    pub(super) fn prepare(jobs: &[&Job], folder: &Path) -> Self {
        let is_wanted = |system: System| jobs.iter().any(|job| job.systems().contains(&system));
        Self {
            has_kcat: is_wanted(System::Librdkafka) && has_kcat(),
            has_loop: is_wanted(System::LibrdkafkaLoop) && has_loop(folder),
        }
    }
}

/// The compiled loop.
pub(super) fn program(folder: &Path) -> PathBuf {
    folder.join("librdkafka_map")
}

fn has_kcat() -> bool {
    let mut kcat = Command::new("kcat");
    kcat.arg("-V").stdout(Stdio::null()).stderr(Stdio::null());
    let has = kcat.status().is_ok_and(|status| status.success());
    if !has {
        eprintln!("bench: SKIPPED: librdkafka: there is no kcat (apt-get install kcat)");
    }
    has
}

fn has_loop(folder: &Path) -> bool {
    let mut compile = Command::new("cc");
    compile.args(["-O2", "-Wall", "-o"]).arg(program(folder));
    compile.arg(root().join("bench/c/librdkafka_map.c"));
    compile.arg("-lrdkafka");
    let reason = match compile.output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let reason = reason.lines().next().unwrap_or_default();
    eprintln!(
        "bench: SKIPPED: librdkafka's loop cannot be compiled (apt-get install gcc librdkafka-dev): {reason}"
    );
    false
}
