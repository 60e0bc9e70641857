//! One broker and controller as a process: started, frozen, ended, started again on the same data.
//! Not its settings. Invariant: a process that was started is either waited for or written to the pid file.

use crate::{
    process::{last_lines, signal},
    watch::Watch,
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The broker's last line before it serves clients.
const READY: &str = "Kafka Server started";

/// A cold start takes 3 to 8 s on two cores; the rest is room for a machine that is busy compiling.
const READY_DEADLINE: Duration = Duration::from_secs(120);

/// A clean shutdown hands over leaderships and writes recovery points; then it is no longer asked but told.
const DOWN_DEADLINE: Duration = Duration::from_secs(30);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A node by its place, running or not.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) folder: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    _watch: Watch,
    /// Bytes of earlier output in the log file.
    log_start: usize,
}

/// How the process is started.
pub(crate) struct Launch<'a> {
    pub(crate) class_path: &'a str,
    pub(crate) heap_mb: u32,
    /// Whether the folder goes with us.
    pub(crate) is_temporary: bool,
    /// Where the output is kept when the folder goes.
    pub(crate) keep: &'a Path,
}

impl Node {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            running: None,
        }
    }

    pub(crate) fn settings_path(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    pub(crate) fn data_path(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        let name = self.folder.file_name().unwrap_or_default();
        self.folder.join(format!("{}.log", name.to_string_lossy()))
    }

    fn pid_path(&self) -> PathBuf {
        self.folder.join("broker.pid")
    }

    /// Starts the process; [`Node::wait_until_ready`] comes next.
    pub(crate) fn start(&mut self, launch: &Launch<'_>) -> Result<()> {
        if let Some(pid) = self.recorded() {
            bail!(
                "a broker runs in {} already (pid {pid})",
                self.folder.display()
            );
        }
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let log_start = usize::try_from(log.metadata()?.len())?;
        let mut java = Command::new("java");
        java.arg(format!("-Xmx{}m", launch.heap_mb));
        // One collector thread and no large young generation: several brokers share two cores.
        java.args(["-XX:+UseSerialGC", "-cp", launch.class_path, "kafka.Kafka"]);
        java.arg(self.settings_path());
        java.stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // Its own process group: Ctrl-C in the terminal is for us, not for the broker.
        let child = java.process_group(0).spawn().context("cannot start java")?;
        // Before the wait for readiness: a broker that hangs is ended, too.
        fs::write(self.pid_path(), child.id().to_string())?;
        let remove = launch.is_temporary.then_some(self.folder.as_path());
        let watch = Watch::over(child.id(), remove, launch.keep);
        self.running = Some(Running {
            child,
            _watch: watch?,
            log_start,
        });
        Ok(())
    }

    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let log = self.log_path();
        let begin = Instant::now();
        let Some(running) = &mut self.running else {
            bail!("no broker was started in {}", self.folder.display());
        };
        loop {
            let output = fs::read(&log)?;
            let output = String::from_utf8_lossy(&output[running.log_start.min(output.len())..]);
            if output.contains(READY) {
                return Ok(());
            }
            let failure = match running.child.try_wait()? {
                Some(status) => format!("ended with {status}"),
                None if begin.elapsed() > READY_DEADLINE => {
                    format!("was not ready after {} s", READY_DEADLINE.as_secs())
                }
                None => {
                    thread::sleep(POLL_INTERVAL);
                    continue;
                }
            };
            bail!(
                "the broker {failure}; the end of {}:\n{}",
                log.display(),
                last_lines(&output)
            );
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        running.child.kill()?;
        running.child.wait()?;
        fs::remove_file(self.pid_path()).context("the pid file of a broker that ran")
    }

    /// Asks it to shut down and, after a while, kills it.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        signal("TERM", running.child.id())?;
        let begin = Instant::now();
        while running.child.try_wait()?.is_none() && begin.elapsed() < DOWN_DEADLINE {
            thread::sleep(POLL_INTERVAL);
        }
        self.kill()
    }

    /// Sends a signal by name to the running process.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        match &self.running {
            Some(running) => signal(name, running.child.id()),
            None => bail!("no broker runs in {}", self.folder.display()),
        }
    }

    /// Lets it live on; only the pid file knows it then.
    pub(crate) fn detach(&mut self) {
        self.running = None;
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Ends a process that an earlier one of ours detached; its pid, where there was one.
    pub(crate) fn end_recorded(&self) -> Result<Option<u32>> {
        let Some(pid) = self.recorded() else {
            return Ok(None);
        };
        signal("TERM", pid)?;
        let begin = Instant::now();
        while self.recorded().is_some() {
            if begin.elapsed() > DOWN_DEADLINE {
                signal("KILL", pid)?;
                break;
            }
            thread::sleep(POLL_INTERVAL);
        }
        fs::remove_file(self.pid_path())?;
        Ok(Some(pid))
    }

    /// The pid of the pid file if that process is this broker: a pid may have been given to another since.
    fn recorded(&self) -> Option<u32> {
        let text = fs::read_to_string(self.pid_path()).ok()?;
        let pid: u32 = text.trim().parse().ok()?;
        let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let ours = command_line.contains(self.settings_path().to_str()?);
        ours.then_some(pid)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("broker: {error:#}");
        }
    }
}
