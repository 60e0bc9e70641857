//! Where runs take place: a real broker, the filled inputs, the programs to run, a folder for state.
//! Not the running. Invariant: what is built and filled here is no part of any figure.

use super::{
    PACKAGE,
    input::{Input, Size},
    judge::Judge,
};
use crate::{process, root};
use anyhow::{Context, Result, ensure};
use headwater_broker::{Cluster, Options, class_path};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Partitions of every topic.
pub(super) const PARTITIONS: u32 = 4;
/// MB of heap of the broker.
const BROKER_HEAP_MB: u32 = 1_024;
/// MB of heap of a measured Java program, and of the judge.
const JAVA_HEAP_MB: u32 = 2_048;

/// The scene of all runs of one invocation.
pub(super) struct Scene {
    // Before the cluster: it ends first.
    judge: Judge,
    cluster: Cluster,
    pub(super) size: Size,
    /// Distinct keys that each input holds.
    keys_held: BTreeMap<&'static str, u64>,
    program: PathBuf,
    class_path: String,
    pub(super) folder: PathBuf,
}

impl Scene {
    /// Builds, starts the broker, fills `inputs`.
    pub(super) fn prepare(
        size: Size,
        inputs: &[&'static Input],
        program: Option<PathBuf>,
    ) -> Result<Self> {
        let folder = root().join("target/bench/kafka");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let program = program.map_or_else(build, Ok)?;
        let class_path = compile(&folder.join("classes"))?;
        let options = Options {
            heap_mb: BROKER_HEAP_MB,
            folder: Some(folder.join("broker")),
            ..Options::default()
        };
        // The records carry old timestamps: with a limit they would be deleted while we measure.
        let options = options.set("log.retention.ms", -1);
        let cluster = Cluster::start(&options)?;
        let mut judge = java(&class_path, "Judge", &[&cluster.bootstrap()], &[]);
        // What it has to say comes as an answer.
        judge.stderr(Stdio::null());
        let mut scene = Self {
            judge: Judge::start(judge)?,
            cluster,
            size,
            keys_held: BTreeMap::new(),
            program,
            class_path,
            folder,
        };
        for input in inputs {
            let keys = scene.fill(input)?;
            scene.keys_held.insert(input.topic, keys);
        }
        Ok(scene)
    }

    fn fill(&self, input: &Input) -> Result<u64> {
        self.create_topic(input.topic)?;
        let records = input.records(self.size);
        if records == 0 {
            return Ok(0);
        }
        eprintln!("bench: {} gets {records} records", input.topic);
        let mut fill = self.headwater("fill");
        fill.args(["--topic", input.topic]);
        fill.args(input.shape(self.size));
        let said = parse(&process::output(&mut fill)?)?;
        let held = self.ask(&format!("held {}", input.topic))?;
        ensure!(
            held["records"] == records,
            "{} holds {held} instead of {records} records",
            input.topic
        );
        said["keys"].as_u64().context("how many keys?")
    }

    /// Distinct keys of an input.
    pub(super) fn keys_held(&self, input: &Input) -> u64 {
        self.keys_held.get(input.topic).copied().unwrap_or(0)
    }

    pub(super) fn bootstrap(&self) -> String {
        self.cluster.bootstrap()
    }

    /// A job of ours.
    pub(super) fn headwater(&self, job: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["kafka", job]);
        command.args(["--bootstrap", &self.bootstrap()]);
        command
    }

    /// A Java program, with the Java machine as it is by default but for its heap, and settings of its clients.
    pub(super) fn java(&self, class: &str, words: &[&str], settings: &[String]) -> Command {
        let bootstrap = self.bootstrap();
        let words: Vec<&str> = [bootstrap.as_str()].iter().chain(words).copied().collect();
        java(&self.class_path, class, &words, settings)
    }

    /// What the judge says.
    pub(super) fn ask(&self, request: &str) -> Result<Value> {
        self.judge.ask(request)
    }

    pub(super) fn create_topic(&self, name: &str) -> Result<()> {
        self.ask(&format!("create {name} {PARTITIONS}")).map(drop)
    }

    /// Deletes all topics whose names begin so.
    pub(super) fn delete_topics(&self, prefix: &str) -> Result<()> {
        self.ask(&format!("delete {prefix}")).map(drop)
    }
}

/// The last line as JSON.
pub(super) fn parse(output: &[u8]) -> Result<Value> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))
}

fn java(class_path: &str, class: &str, words: &[&str], settings: &[String]) -> Command {
    let mut command = Command::new("java");
    command.arg(format!("-Xmx{JAVA_HEAP_MB}m"));
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error");
    command.args(settings.iter().map(|setting| format!("-Dset.{setting}")));
    command.args(["-cp", class_path, class]).args(words);
    command
}

/// Builds the jobs optimised and answers where the program is.
pub(super) fn build() -> Result<PathBuf> {
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

/// Compiles all Java programs; the path of classes with which they run.
fn compile(classes: &Path) -> Result<String> {
    fs::create_dir_all(classes)?;
    let jars = class_path(&Options::default().version)?;
    let mut javac = Command::new("javac");
    javac.arg("-d").arg(classes).args(["-cp", &jars]);
    for entry in fs::read_dir(root().join("bench/java"))? {
        javac.arg(entry?.path());
    }
    process::run(&mut javac)?;
    Ok(format!("{}:{jars}", classes.display()))
}
