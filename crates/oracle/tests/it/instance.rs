//! Whole instances of one application, ours in this process and Kafka Streams' in its own, with an input that some cannot stomach.
//! Not what they are compared with: kcat reads the result. Invariant: neither outlives the test.

use crate::takeover::java;
use headwater::log::Assignment;
use headwater::streams::Semantics;
use headwater::{
    App, Kafka, Listener, Running, Settings, Topology, TopologySettings, UncaughtResponse,
    start_with,
};
use headwater_broker::{Cluster, Listener as Door};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// On a machine that is busy.
pub(crate) const WAIT: Duration = Duration::from_secs(180);
pub(crate) const PARTITIONS: usize = 4;
/// Each has its part of these: those before the repartition topic, and those behind it.
pub(crate) const TASKS: usize = 2 * PARTITIONS;
/// Words that begin so are too much for an instance that is told so.
pub(crate) const POISON: &str = "poison";
const WORDS: usize = 23;

/// Waits for a condition.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool, shown: impl Fn() -> String) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT, "{what} did not come: {}", shown());
        thread::sleep(Duration::from_millis(20));
    }
}

/// What a person is told, and which share of the tasks each worker was told last.
#[derive(Default)]
pub(crate) struct Notices {
    all: Mutex<Vec<String>>,
    shares: Mutex<BTreeMap<usize, usize>>,
}

impl Notices {
    pub(crate) fn all(&self) -> Vec<String> {
        let notices = self.all.lock();
        notices.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Active tasks by worker.
    pub(crate) fn shares(&self) -> BTreeMap<usize, usize> {
        let shares = self.shares.lock();
        shares.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Listener for Notices {
    fn notice(&self, message: &str) {
        let mut notices = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        notices.push(message.to_owned());
    }

    fn assigned(&self, worker: usize, assignment: &Assignment) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.insert(worker, assignment.active.len());
    }
}

/// One application on a cluster, and what went into it.
pub(crate) struct Application<'a> {
    cluster: &'a Cluster,
    id: String,
    protocol: &'static str,
    /// Where ours find the cluster.
    servers: String,
    folder: PathBuf,
    expected: BTreeMap<String, usize>,
    started: usize,
}

impl<'a> Application<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        folder: &Path,
        id: &str,
        protocol: &'static str,
    ) -> Self {
        let topics = [format!("{id}.in"), format!("{id}.out")];
        crate::topics::create(cluster, &[&topics[0], &topics[1]], PARTITIONS as u32);
        Self {
            cluster,
            id: id.into(),
            protocol,
            servers: cluster.bootstrap(),
            folder: folder.into(),
            expected: BTreeMap::new(),
            started: 0,
        }
    }

    /// Those that are started from here on speak this protocol.
    pub(crate) fn speak(&mut self, protocol: &'static str) {
        self.protocol = protocol;
    }

    /// Ours that are started from here on find the cluster by another way in.
    pub(crate) fn enter_by(&mut self, listener: Door) {
        self.servers = self.cluster.bootstrap_of(listener);
    }

    /// An instance of ours; with `poison` it fails at it, and wants the whole application to end.
    pub(crate) fn ours(&mut self, poison: Option<&'static str>, notices: &Arc<Notices>) -> Running {
        self.ours_with(poison, notices, &[])
    }

    /// The same with more settings.
    pub(crate) fn ours_with(
        &mut self,
        poison: Option<&'static str>,
        notices: &Arc<Notices>,
        more: &[(&'static str, &'static str)],
    ) -> Running {
        let properties = [
            ("processing.guarantee", "exactly_once_v2"),
            ("statestore.cache.max.bytes", "0"),
        ];
        let properties = properties.iter().chain(more).copied();
        let settings = Settings {
            commit_interval_ms: 100,
            uncaught: UncaughtResponse::ShutdownApplication.into(),
            listener: Arc::clone(notices) as Arc<dyn Listener>,
            ..Settings::in_dir(self.state_folder())
        };
        let settings = settings.with_properties(properties).expect("settings");
        let kafka = Kafka::at(&self.servers).expect("an address");
        let kafka = kafka.with("group.protocol", self.protocol);
        start_with(
            counting(&self.id, poison),
            kafka.expect("a protocol"),
            settings,
        )
        .expect("it starts")
    }

    /// An instance of Kafka Streams with more options.
    pub(crate) fn java(&mut self, more: &[&str]) -> Java {
        let state = self.state_folder();
        let log = state.with_extension("log");
        let errors = std::fs::File::create(&log).expect("a file for errors");
        let mut command = java::alone(self.cluster, &java::classes());
        command.args(["run", "--topology", "count", "--state-dir"]);
        command.arg(state);
        command.args(["--kafka", &self.cluster.bootstrap()]);
        command.args(["--application-id", &self.id]);
        command.args(["--guarantee", "exactly_once_v2"]);
        command.args(["--group-protocol", self.protocol]);
        command.args(["--set", "statestore.cache.max.bytes=0"]);
        command
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.stderr(errors).spawn().expect("Java starts");
        Java { child, log }
    }

    fn state_folder(&mut self) -> PathBuf {
        self.started += 1;
        self.folder.join(format!("{}-{}", self.id, self.started))
    }

    /// Sentences, in every partition of the input.
    pub(crate) fn load(&mut self, sentences: usize) {
        let words = (0..sentences).map(|number| format!("w{}", number * number % WORDS));
        self.write(words.collect());
    }

    /// Poison that reaches every task, in front of the repartition topic and behind it.
    pub(crate) fn poison(&mut self) {
        let words = (0..16 * PARTITIONS).map(|number| format!("{POISON}{}", number / PARTITIONS));
        self.write(words.collect());
    }

    /// To one partition after the other.
    fn write(&mut self, words: Vec<String>) {
        for partition in 0..PARTITIONS {
            let mut kcat = Command::new("kcat");
            kcat.args(["-b", &self.cluster.bootstrap(), "-P", "-t"]);
            kcat.args([&format!("{}.in", self.id), "-K", "\t"]);
            kcat.args(["-p", &partition.to_string()]);
            kcat.args(["-X", "enable.idempotence=true"]);
            let mut kcat = kcat.stdin(Stdio::piped()).spawn().expect("kcat");
            let mut input = kcat.stdin.take().expect("it was asked for");
            for word in words.iter().skip(partition).step_by(PARTITIONS) {
                writeln!(input, "k\t{word} and more").expect("kcat reads");
                *self.expected.entry(word.clone()).or_default() += 1;
            }
            drop(input);
            assert!(kcat.wait().expect("a process of ours").success());
        }
    }

    /// Every word has been counted: 1, 2, 3 and so on, each once, as a reader of committed records sees it.
    #[track_caller]
    pub(crate) fn must_be_exact(&self) {
        let out = format!("{}.out", self.id);
        let total: usize = self.expected.values().sum();
        let begun = Instant::now();
        let mut found = crate::rolling::counts(self.cluster, &out);
        while found.len() < total && begun.elapsed() < WAIT {
            thread::sleep(Duration::from_millis(200));
            found = crate::rolling::counts(self.cluster, &out);
        }
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (word, count) in found {
            let last = seen.entry(word.clone()).or_default();
            *last += 1;
            assert_eq!(count, *last, "{word}: lost or doubled");
        }
        assert_eq!(seen, self.expected);
    }
}

/// As the Java program's `count`.
fn counting(id: &str, poison: Option<&'static str>) -> Topology {
    let swallow = move |word: &str| {
        let is_poison = poison.is_some_and(|poison| word.starts_with(poison));
        assert!(!is_poison, "{word} is poison");
    };
    let app = App::new(id);
    app.configure(TopologySettings {
        semantics: Semantics::Java,
        ..TopologySettings::default()
    });
    app.stream::<String, String>(format!("{id}.in"))
        .group_by(move |_, text| {
            let word = text.split(' ').next().unwrap_or_default();
            swallow(word);
            word.to_owned()
        })
        .count("counts")
        .to_stream()
        .peek(move |word, _| swallow(word))
        .to(format!("{id}.out"));
    app.build().expect("a topology")
}

/// An instance of Kafka Streams.
pub(crate) struct Java {
    child: Child,
    log: PathBuf,
}

impl Java {
    /// What it said.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn until_running(&self) {
        let is_running = || self.output().contains(" is RUNNING");
        until("RUNNING", is_running, || self.output());
    }

    /// Waits until it has ended, by itself or because it was asked to.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a process of ours") {
                return status;
            }
            assert!(begun.elapsed() < WAIT, "it lives: {}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as an operator would.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        crate::fire::process::signal(&self.child, "TERM");
        let status = self.ended();
        assert!(status.success(), "{}", self.output());
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
