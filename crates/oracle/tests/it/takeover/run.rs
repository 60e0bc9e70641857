//! One take-over: topics, half of the input, one side, the other half, the other side, and what the topics hold then. Not the judgement.
//! Invariant: each side finds nothing of the other but the topics and the group; folders are never shared.

use super::input::lines;
use super::java::{Java, classes};
use super::rows::Rows;
use super::{Kind, Side};
use headwater_broker::Cluster;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seconds for one half; Java takes a few to start.
const RUN_S_MAX: &str = "120";
/// Records of a whole input.
const RECORDS: u64 = 600;
const PARTITIONS: &str = "2";

/// On what terms both sides work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) guarantee: &'static str,
    pub(super) group_protocol: &'static str,
}

/// What all take-overs share.
pub(super) struct Bench<'a> {
    cluster: &'a Cluster,
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
        let run = self.application(kind, terms)?;
        let lines = lines(kind, RECORDS, kind as u64);
        let (first_half, second_half) = lines.split_at(lines.len() / 2);
        run.produce(first_half)?;
        run.to_end(first)?;
        run.produce(second_half)?;
        run.to_end(second)?;
        run.rows()
    }

    fn application(&self, kind: Kind, terms: Terms) -> Result<Application<'_>, String> {
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
            &["--topology", kind.name(), "--partitions", PARTITIONS],
        )?;
        Ok(run)
    }
}

/// One application with its topics.
struct Application<'a> {
    bench: &'a Bench<'a>,
    kind: Kind,
    terms: Terms,
    id: String,
    folder: PathBuf,
    count: AtomicUsize,
}

impl Application<'_> {
    fn ask(&self, command: &str, more: &[&str]) -> Result<String, String> {
        let servers = self.bench.cluster.bootstrap();
        let own = [command, "--kafka", &servers, "--application-id", &self.id];
        self.bench.java.ask(&[&own[..], more].concat())
    }

    fn produce(&self, lines: &[String]) -> Result<(), String> {
        let file = self.fresh("input");
        std::fs::write(&file, lines.join("\n")).map_err(|error| error.to_string())?;
        self.ask("produce", &["--file", &shown(&file)]).map(drop)
    }

    fn rows(&self) -> Result<Rows, String> {
        let file = self.fresh("dump");
        self.ask("dump", &["--file", &shown(&file)])?;
        let dump = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        self.ask("drop", &[])?;
        Ok(Rows::read(&dump, &self.id, self.kind))
    }

    fn to_end(&self, side: Side) -> Result<(), String> {
        let state = shown(&self.fresh("state"));
        let options = self.options(&state);
        let mut options: Vec<_> = options.iter().map(String::as_str).collect();
        options.extend(["--to-end", "--seconds", RUN_S_MAX]);
        if side == Side::Java {
            options.extend(["--topology", self.kind.name()]);
            return self.ask("run", &options).map(drop);
        }
        let mut command = self.ours();
        let output = command.args(options).output().map_err(|e| e.to_string())?;
        let errors = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "{command:?}: {errors} {}",
                String::from_utf8_lossy(&output.stdout)
            )),
        }
    }

    /// What both sides are told alike.
    fn options(&self, state: &str) -> Vec<String> {
        let of = [
            ["--state-dir", state],
            ["--guarantee", self.terms.guarantee],
            ["--group-protocol", self.terms.group_protocol],
        ];
        let mut options: Vec<String> = of.concat().iter().map(|word| (*word).to_owned()).collect();
        if matches!(self.kind, Kind::TableJoin | Kind::ForeignKeyJoin) {
            // With a cache, which rows of two tables meet, and since when a foreign key has changed, goes by the moments of commits.
            options.extend(["--set", "statestore.cache.max.bytes=0"].map(str::to_owned));
        }
        options
    }

    fn ours(&self) -> Command {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/takeover");
        let case = own.join(format!("{}.json", self.kind.name()));
        let case = std::fs::read_to_string(case).expect("each kind has a case");
        let file = self.folder.join("case.json");
        let case = case.replace('@', &format!("{}.", self.id));
        // The note of the file explains the sign that is replaced; nobody reads it here.
        std::fs::write(&file, case).expect("a folder of ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater-oracle"));
        command.args(["live", "run"]).arg(file);
        command.args(["--kafka", &self.bench.cluster.bootstrap()]);
        command.args(["--application-id", &self.id]);
        command
    }

    fn fresh(&self, what: &str) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{what}-{number}"))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
