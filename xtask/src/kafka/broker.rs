//! One combined broker and controller with its folder: settings, data, output, pid file.
//! Not a supervisor: after `up` returns nobody watches the process.
//! Invariant: the pid file is written before the wait for readiness, so that `down` also ends a broker that hangs.

use super::tool;
use crate::process;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// 22 characters of URL-safe base64, as Kafka wants it; every local cluster has the same.
const CLUSTER_ID: &str = "headwater-local-testsA";

/// The broker's last line before it serves clients.
const READY: &str = "Kafka Server started";

/// A cold start takes 3 to 8 s on two cores; the rest is room for a machine that is busy compiling.
const READY_DEADLINE: Duration = Duration::from_secs(90);

/// A clean shutdown hands over leaderships and writes recovery points; then it is no longer asked but told.
const DOWN_DEADLINE: Duration = Duration::from_secs(30);

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A broker by its place; running or not.
pub(super) struct Broker {
    port: u16,
    controller_port: u16,
    folder: PathBuf,
}

impl Broker {
    /// The controller listens one port above.
    pub(super) fn new(port: u16, folder: PathBuf) -> Result<Self> {
        let controller_port = port
            .checked_add(1)
            .context("the controller needs a port above the broker's")?;
        Ok(Self {
            port,
            controller_port,
            folder,
        })
    }

    /// Starts it and waits until it answers.
    pub(super) fn up(&self, class_path: &str) -> Result<()> {
        if let Some(pid) = self.running_pid() {
            bail!(
                "a broker runs in {} already (pid {pid})",
                self.folder.display()
            );
        }
        fs::create_dir_all(&self.folder)?;
        fs::write(self.settings_path(), self.settings())?;
        self.format(class_path)?;
        let mut child = self.start(class_path)?;
        fs::write(self.pid_path(), child.id().to_string())?;
        self.wait_until_ready(&mut child)?;
        println!(
            "kafka: ready at 127.0.0.1:{} (pid {}, {})",
            self.port,
            child.id(),
            self.folder.display()
        );
        Ok(())
    }

    /// Ends the process of the pid file, and no other.
    pub(super) fn down(&self) -> Result<()> {
        let Some(pid) = self.running_pid() else {
            println!("kafka: no broker runs in {}", self.folder.display());
            return Ok(());
        };
        signal("-TERM", pid)?;
        let begin = Instant::now();
        while self.running_pid().is_some() {
            if begin.elapsed() > DOWN_DEADLINE {
                eprintln!(
                    "kafka: pid {pid} still there after {} s: killing it",
                    DOWN_DEADLINE.as_secs()
                );
                signal("-KILL", pid)?;
                break;
            }
            thread::sleep(POLL_INTERVAL);
        }
        fs::remove_file(self.pid_path())?;
        println!("kafka: pid {pid} ended");
        Ok(())
    }

    fn format(&self, class_path: &str) -> Result<()> {
        let mut format = tool::java(class_path);
        format.args([
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            "-t",
            CLUSTER_ID,
            "-c",
        ]);
        format.arg(self.settings_path()).stdout(Stdio::null());
        process::run(&mut format)
            .context("Java 17 or newer is needed (apt-get install openjdk-17-jre-headless)")
    }

    fn start(&self, class_path: &str) -> Result<Child> {
        let log = fs::File::create(self.log_path())?;
        let mut java = Command::new("java");
        java.args(["-Xmx1g", "-cp", class_path, "kafka.Kafka"])
            .arg(self.settings_path());
        java.stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // Its own process group: Ctrl-C in the terminal is for us, not for the broker.
        java.process_group(0).spawn().context("cannot start java")
    }

    fn wait_until_ready(&self, child: &mut Child) -> Result<()> {
        let log = self.log_path();
        let begin = Instant::now();
        while !fs::read_to_string(&log)?.contains(READY) {
            if let Some(status) = child.try_wait()? {
                bail!("the broker ended with {status}: see {}", log.display());
            }
            if begin.elapsed() > READY_DEADLINE {
                bail!(
                    "not ready after {} s: see {}",
                    READY_DEADLINE.as_secs(),
                    log.display()
                );
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// The pid of the pid file if that process is this broker: a pid may have been given to another since.
    fn running_pid(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(self.pid_path())
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let command_line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        let ours = command_line.contains(self.settings_path().to_str()?);
        ours.then_some(pid)
    }

    fn settings(&self) -> String {
        let Self {
            port,
            controller_port,
            folder,
        } = self;
        let data = folder.join("data");
        format!(
            "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={}
# One node cannot hold three replicas.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
# Tests wait for nothing but their own members.
group.initial.rebalance.delay.ms=0
group.streams.initial.rebalance.delay.ms=0
# Retention goes by record time: records with old timestamps would vanish while a test reads them.
log.retention.ms=-1
",
            data.display()
        )
    }

    fn settings_path(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn pid_path(&self) -> PathBuf {
        self.folder.join("broker.pid")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("broker.log")
    }
}

fn signal(name: &str, pid: u32) -> Result<()> {
    process::run(Command::new("kill").arg(name).arg(pid.to_string()))
}
