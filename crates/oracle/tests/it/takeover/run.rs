//! One take-over: topics, half of the input, one side, the other half, the other side, and what the topics hold then. Not the judgement.
//! Invariant: each side finds nothing of the other but the topics and the group; folders are never shared.

use super::input::{Order, lines};
use super::java::{Java, alone, classes};
use super::rows::Rows;
use super::{Kind, Side};
use headwater_broker::Cluster;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Seconds for one half; Java takes a few to start.
const RUN_S_MAX: &str = "120";
/// Records of a whole input.
const RECORDS: u64 = 600;
const PARTITIONS: &str = "2";
/// What is killed reads while it is being written: so many records at a time, with a pause between.
const BURST: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// How long a first commit may take.
const COMMIT_DEADLINE: Duration = Duration::from_secs(60);

/// On what terms both sides work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) guarantee: &'static str,
    pub(super) group_protocol: &'static str,
    /// Whether the first side is killed: then the group waits for its session, which is kept short.
    pub(super) is_killed: bool,
}

/// What all take-overs share.
pub(super) struct Bench<'a> {
    cluster: &'a Cluster,
    classes: PathBuf,
    java: Java,
    folder: tempfile::TempDir,
    count: AtomicUsize,
}

impl<'a> Bench<'a> {
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        let classes = classes();
        let folder = tempfile::tempdir().expect("a folder for state");
        let java = Java::start(cluster, &classes, &folder.path().join("java.log"));
        Self {
            cluster,
            classes,
            java,
            folder,
            count: AtomicUsize::new(0),
        }
    }

    /// Both halves, each to its end; what the topics hold then.
    pub(super) fn halves(
        &self,
        kind: Kind,
        first: Side,
        second: Side,
        terms: Terms,
    ) -> Result<Rows, String> {
        let run = self.application(kind, terms, PARTITIONS)?;
        let lines = lines(kind, RECORDS, Order::SomeLate, kind as u64);
        let (first_half, second_half) = lines.split_at(lines.len() / 2);
        run.produce(first_half)?;
        run.to_end(first)?;
        run.produce(second_half)?;
        run.to_end(second)?;
        run.rows()
    }

    /// Kafka Streams alone, from begin to end.
    pub(super) fn whole(&self, kind: Kind, terms: Terms) -> Result<Rows, String> {
        let run = self.application(kind, terms, PARTITIONS)?;
        run.produce(&lines(kind, RECORDS, Order::ByTime, kind as u64))?;
        run.to_end(Side::Java)?;
        run.rows()
    }

    /// The first side is killed while it works on the first half; the second goes on to the end.
    pub(super) fn killed(
        &self,
        kind: Kind,
        first: Side,
        second: Side,
        terms: Terms,
    ) -> Result<Rows, String> {
        let run = self.application(kind, terms, PARTITIONS)?;
        let lines = lines(kind, RECORDS, Order::ByTime, kind as u64);
        let (first_half, second_half) = lines.split_at(lines.len() / 2);
        let (seen, unseen) = first_half.split_at(first_half.len() / 2);
        run.produce(seen)?;
        let mut victim = Victim(run.start(first)?);
        run.wait_until_committed()?;
        for burst in unseen.chunks(BURST) {
            run.produce(burst)?;
            std::thread::sleep(PAUSE);
        }
        victim.kill()?;
        run.produce(second_half)?;
        if terms.group_protocol == "classic" {
            run.ask("vacant", &[])?;
        }
        run.to_end(second)?;
        run.rows()
    }

    pub(super) fn application(
        &self,
        kind: Kind,
        terms: Terms,
        partitions: &str,
    ) -> Result<Application<'_>, String> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number:03}", kind.name().replace('_', "-"));
        let folder = self.folder.path().join(&id);
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let run = Application {
            bench: self,
            kind,
            terms,
            id,
            folder,
            count: AtomicUsize::new(0),
        };
        run.ask(
            "topics",
            &["--topology", kind.name(), "--partitions", partitions],
        )?;
        Ok(run)
    }
}

/// A process that does not outlive the test, whether or not it came to be killed.
struct Victim(Child);

impl Victim {
    fn kill(&mut self) -> Result<(), String> {
        let lived = self.0.try_wait().map_err(|error| error.to_string())?;
        if let Some(status) = lived {
            return Err(format!("it ended before it was killed: {status}"));
        }
        self.0.kill().map_err(|error| error.to_string())?;
        self.0.wait().map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It has been killed already where the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One application with its topics.
pub(super) struct Application<'a> {
    bench: &'a Bench<'a>,
    pub(super) kind: Kind,
    terms: Terms,
    pub(super) id: String,
    pub(super) folder: PathBuf,
    count: AtomicUsize,
}

impl Application<'_> {
    fn ask(&self, command: &str, more: &[&str]) -> Result<String, String> {
        let servers = self.bench.cluster.bootstrap();
        let own = [command, "--kafka", &servers, "--application-id", &self.id];
        self.bench.java.ask(&[&own[..], more].concat())
    }

    pub(super) fn produce(&self, lines: &[String]) -> Result<(), String> {
        let file = self.fresh("input");
        std::fs::write(&file, lines.join("\n")).map_err(|error| error.to_string())?;
        self.ask("produce", &["--file", &shown(&file)]).map(drop)
    }

    fn rows(&self) -> Result<Rows, String> {
        let dump = self.dump()?;
        Ok(Rows::read(&dump, &self.id, self.kind, self.terms.is_killed))
    }

    /// All that its topics hold, which are deleted then.
    pub(super) fn dump(&self) -> Result<String, String> {
        let file = self.fresh("dump");
        self.ask("dump", &["--file", &shown(&file)])?;
        let dump = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        self.ask("drop", &[])?;
        Ok(dump)
    }

    fn to_end(&self, side: Side) -> Result<(), String> {
        let end = ["--to-end", "--seconds", RUN_S_MAX];
        let options = self.options(side);
        let mut options: Vec<_> = options.iter().map(String::as_str).collect();
        options.extend(end);
        if side == Side::Java {
            return self.ask("run", &options).map(drop);
        }
        let mut command = self.command(Side::Ours);
        let output = command.args(end).output().map_err(|e| e.to_string())?;
        let errors = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "{command:?}: {errors} {}",
                String::from_utf8_lossy(&output.stdout)
            )),
        }
    }

    fn start(&self, side: Side) -> Result<Child, String> {
        let output = std::fs::File::create(self.fresh("output")).map_err(|e| e.to_string())?;
        let mut command = self.command(side);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(output).spawn().map_err(|e| e.to_string())
    }

    /// Waits until the application has committed some of what it was given.
    fn wait_until_committed(&self) -> Result<(), String> {
        let begin = Instant::now();
        let all = self.lag()?;
        while self.lag()? >= all {
            if begin.elapsed() > COMMIT_DEADLINE {
                return Err("nothing was committed".into());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Records of its input that are not committed.
    pub(super) fn lag(&self) -> Result<u64, String> {
        let lag = self.ask("lag", &["--topology", self.kind.name()])?;
        lag.parse().map_err(|_| format!("no lag: {lag}"))
    }

    /// What a side is told, both alike, on a folder of its own.
    fn options(&self, side: Side) -> Vec<String> {
        let state = shown(&self.fresh("state"));
        let mut options = vec![
            ["--state-dir", &state],
            ["--guarantee", self.terms.guarantee],
            ["--group-protocol", self.terms.group_protocol],
        ];
        if side == Side::Java {
            options.push(["--topology", self.kind.name()]);
        }
        let goes_by_commits = matches!(
            self.kind,
            Kind::TableJoin | Kind::ForeignKeyJoin | Kind::Suppress
        );
        if goes_by_commits {
            // With a cache the moments of commits decide which rows of two tables meet, since when a foreign key has changed, and which
            // values a suppression's changelog tells as those before.
            options.push(["--set", "statestore.cache.max.bytes=0"]);
        }
        if self.terms.is_killed && self.terms.group_protocol == "classic" {
            options.push(["--set", "session.timeout.ms=6000"]);
        }
        options.concat().into_iter().map(str::to_owned).collect()
    }

    /// A process of its own.
    fn command(&self, side: Side) -> Command {
        let mut command = match side {
            Side::Java => {
                let mut java = alone(self.bench.cluster, &self.bench.classes);
                java.arg("run");
                java
            }
            Side::Ours => {
                let mut ours = Command::new(env!("CARGO_BIN_EXE_headwater-oracle"));
                ours.args(["live", "run"]).arg(self.case());
                ours
            }
        };
        command.args(["--kafka", &self.bench.cluster.bootstrap()]);
        command.args(["--application-id", &self.id]);
        command.args(self.options(side));
        command
    }

    fn case(&self) -> PathBuf {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/takeover");
        let case = own.join(format!("{}.json", self.kind.name()));
        let case = std::fs::read_to_string(case).expect("each kind has a case");
        let file = self.folder.join("case.json");
        let case = case.replace('@', &format!("{}.", self.id));
        std::fs::write(&file, case).expect("a folder of ours");
        file
    }

    fn fresh(&self, what: &str) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{what}-{number}"))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
