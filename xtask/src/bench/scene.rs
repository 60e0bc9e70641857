//! Where a run takes place: a real broker, the filled input, the programs to run, a folder for state.
//! Not the running. Invariant: what is built and filled here is no part of any figure.

use super::PACKAGE;
use crate::{process, root};
use anyhow::{Context, Result, ensure};
use headwater_broker::{Cluster, Options, class_path};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Partitions of every topic.
pub(super) const PARTITIONS: u32 = 4;
/// MB of heap of the broker.
const BROKER_HEAP_MB: u32 = 1_024;
/// MB of heap of a measured Java program.
const JAVA_HEAP_MB: u32 = 2_048;
const JAVA_CLASS: &str = "KafkaYardstick";

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) records: u64,
    pub(super) keys: u64,
    pub(super) value_bytes: u64,
}

/// The scene of all runs of one invocation.
pub(super) struct Scene {
    cluster: Cluster,
    pub(super) size: Size,
    /// Distinct keys that the input holds.
    pub(super) keys_held: u64,
    program: PathBuf,
    classes: PathBuf,
    pub(super) folder: PathBuf,
}

impl Scene {
    /// Builds, starts the broker, fills "events".
    pub(super) fn prepare(size: Size) -> Result<Self> {
        let folder = root().join("target/bench/kafka");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let program = build()?;
        let classes = compile(&folder.join("classes"))?;
        let options = Options {
            heap_mb: BROKER_HEAP_MB,
            folder: Some(folder.join("broker")),
            ..Options::default()
        };
        // The records carry old timestamps: with a limit they would be deleted while we measure.
        let options = options.set("log.retention.ms", -1);
        let mut scene = Self {
            cluster: Cluster::start(&options)?,
            size,
            keys_held: 0,
            program,
            classes,
            folder,
        };
        scene.create_topic("events")?;
        scene.keys_held = scene.fill()?;
        Ok(scene)
    }

    fn fill(&self) -> Result<u64> {
        let mut fill = self.headwater("fill");
        fill.args(["--records", &self.size.records.to_string()]);
        fill.args(["--keys", &self.size.keys.to_string()]);
        fill.args(["--value-bytes", &self.size.value_bytes.to_string()]);
        let said = parse(&process::output(&mut fill)?)?;
        let held = self.ask(&["held", "events"])?;
        ensure!(
            held["records"] == self.size.records,
            "the input holds {held}"
        );
        said["keys"].as_u64().context("how many keys?")
    }

    pub(super) fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }

    /// A job of ours.
    pub(super) fn headwater(&self, job: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["kafka", job, "--bootstrap", &self.bootstrap()]);
        command
    }

    /// A job of the Java program, with the Java machine as it is by default but for its heap.
    pub(super) fn java(&self, job: &[&str]) -> Result<Command> {
        let mut command = Command::new("java");
        command.arg(format!("-Xmx{JAVA_HEAP_MB}m"));
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error");
        command.args(["-cp", &java_path(&self.classes)?, JAVA_CLASS]);
        command.arg(self.bootstrap()).args(job);
        Ok(command)
    }

    /// What the judge says.
    pub(super) fn ask(&self, job: &[&str]) -> Result<Value> {
        parse(&process::output(&mut self.java(job)?)?)
    }

    pub(super) fn create_topic(&self, name: &str) -> Result<()> {
        let partitions = PARTITIONS.to_string();
        let words = ["--create", "--topic", name, "--partitions", &partitions];
        self.cluster.tool("topics", &words).map(drop)
    }

    /// Deletes all topics whose names begin so.
    pub(super) fn delete_topics(&self, prefix: &str) -> Result<()> {
        let pattern = format!("{prefix}.*");
        let words = ["--delete", "--topic", &pattern];
        self.cluster.tool("topics", &words).map(drop)
    }
}

/// The last line as JSON.
pub(super) fn parse(output: &[u8]) -> Result<Value> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))
}

/// Builds the jobs optimised and answers where the program is.
fn build() -> Result<PathBuf> {
    let words = ["build", "--release", "--package", PACKAGE];
    let mut cargo = process::cargo(&words);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    let text = String::from_utf8(process::output(&mut cargo)?)?;
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut ours = messages.filter(|message| message["target"]["name"] == PACKAGE);
    let executable = ours.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.with_context(|| format!("cargo named no executable for {PACKAGE}"))
}

fn compile(classes: &Path) -> Result<PathBuf> {
    fs::create_dir_all(classes)?;
    let mut javac = Command::new("javac");
    javac.arg("-d").arg(classes);
    javac.args(["-cp", &java_path(classes)?]);
    javac.arg(root().join(format!("bench/java/{JAVA_CLASS}.java")));
    process::run(&mut javac)?;
    Ok(classes.to_owned())
}

fn java_path(classes: &Path) -> Result<String> {
    let jars = class_path(&Options::default().version)?;
    Ok(format!("{}:{jars}", classes.display()))
}
