//! One start of the binary: its files, its end, its result. Not what is expected of it.
//! Invariant: no start outlives its test, and none is waited for without a deadline.

use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long one start may take; far more than any needs.
const START_MAX: Duration = Duration::from_secs(240);

/// A running job.
pub(crate) struct Job {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    begin: Instant,
}

/// How a job ended.
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Job {
    /// Starts the binary over `dir/data`; what it prints goes to files in `dir`.
    pub(crate) fn start(dir: &Path, arguments: &[&str]) -> Self {
        let (out, err) = (dir.join("out"), dir.join("err"));
        let child = Command::new(env!("CARGO_BIN_EXE_purchases"))
            .arg("--data")
            .arg(dir.join("data"))
            .args(arguments)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            out,
            err,
            begin: Instant::now(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The end, if it has come.
    pub(crate) fn ended(&mut self) -> Option<End> {
        let status = self.child.try_wait().unwrap();
        if status.is_none() && self.begin.elapsed() > START_MAX {
            let _ = self.child.kill();
            panic!(
                "not done after {START_MAX:?}: {}",
                fs::read_to_string(&self.err).unwrap()
            );
        }
        status.map(|status| self.end(status))
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> End {
        loop {
            if let Some(end) = self.ended() {
                return end;
            }
            sleep(Duration::from_millis(2));
        }
    }

    /// SIGKILL; false when it had ended by itself.
    pub(crate) fn kill(mut self) -> bool {
        if self.child.try_wait().unwrap().is_some() {
            return false;
        }
        self.child.kill().unwrap();
        !self.child.wait().unwrap().success()
    }

    fn end(&self, status: ExitStatus) -> End {
        End {
            status,
            out: fs::read_to_string(&self.out).unwrap(),
            err: fs::read_to_string(&self.err).unwrap(),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // It has ended as a rule.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl End {
    /// The result and, apart from it, how the run went.
    #[track_caller]
    pub(crate) fn result(&self) -> (Value, Value) {
        assert!(self.status.success(), "{}: {}", self.status, self.err);
        let mut result: Value = serde_json::from_str(&self.out).unwrap();
        let run = result.as_object_mut().unwrap().remove("run").unwrap();
        (result, run)
    }
}

/// Starts the binary with `--json` and waits for its result.
#[track_caller]
pub(crate) fn run(dir: &Path, arguments: &[&str]) -> (Value, Value) {
    Job::start(dir, &[&["--json"], arguments].concat())
        .wait()
        .result()
}
