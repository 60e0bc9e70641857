//! Another process of a test: this binary again, with one ignored test of it, that obeys lines. Not what it does.
//! Invariant: it ends when the test that started it does, also by a failure.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Says that this process is the other one of a test.
const IS_OTHER: &str = "HEADWATER_OTHER_PROCESS";

/// Tests with such processes take turns: some measure.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Process {
    child: Child,
    tell: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
}

/// Held by a test that starts one.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True in a process that [`Process::start`] has started: the test is not run for itself.
pub(crate) fn is_other() -> bool {
    std::env::var_os(IS_OTHER).is_some()
}

/// Says a line to who started this process.
pub(crate) fn report(line: &str) {
    // The harness has begun a line of its own.
    println!("\n{line}");
}

impl Process {
    /// Runs the ignored test of this name.
    pub(crate) fn start(test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(IS_OTHER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = child.stdout.take().unwrap();
        Self {
            tell: child.stdin.take(),
            said: BufReader::new(said).lines(),
            child,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says a line to it, and hears what it answers behind `what`.
    pub(crate) fn ask(&mut self, line: &str, what: &str) -> String {
        let tell = self.tell.as_mut().unwrap();
        tell.write_all(format!("{line}\n").as_bytes()).unwrap();
        self.hear(what)
    }

    /// The rest of its next line that begins with `what`.
    pub(crate) fn hear(&mut self, what: &str) -> String {
        loop {
            let line = self.said.next().expect("the other process is there");
            if let Some(rest) = line.unwrap().strip_prefix(what) {
                return rest.to_owned();
            }
        }
    }

    /// Tells it to end, and waits for that.
    pub(crate) fn end(mut self) {
        self.tell = None;
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, but where a test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
