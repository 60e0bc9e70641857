//! Commit when idle on a real broker: results are seen by a reader of committed records although the interval is longer than the test,
//! and are not without the option. Not its cost, which is a job of `cargo xtask bench`. Invariant: the interval is not what commits.

use crate::instance::{WAIT, until};
use headwater::{App, Kafka, Running, Settings, start_with};
use headwater_broker::{Cluster, is_usable};
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};

/// Sixty times the usual 30 s and beyond all deadlines here: whatever is committed meanwhile, the interval has no part in it.
const INTERVAL: Duration = Duration::from_secs(1_800);
/// Written one after the other: each when the result of the one before is there.
const RECORDS: usize = 20;
/// Of the runtime: between the beginnings of two commits of a worker.
const GAP: Duration = Duration::from_millis(5);
/// Two records a ms, or so: far more than there may be commits, also on a machine that is busy.
const STEADY: Duration = Duration::from_secs(5);
const BURST: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);
/// For so long nothing is seen without the option.
const UNSEEN: Duration = Duration::from_secs(5);

#[test]
fn on_a_broker_results_are_committed_long_before_the_interval() {
    let Some(bench) = Bench::start("commit when idle") else {
        return;
    };
    for guarantee in ["exactly_once_v2", "at_least_once"] {
        let application = bench.application(&format!("idle-{guarantee}"), guarantee, true);
        let begun = Instant::now();
        for number in 1..=RECORDS {
            application.write(number);
            application.until_counted(number);
        }
        // At least once a result is seen before its commit, which may cover the next one too.
        let least = match guarantee {
            "exactly_once_v2" => RECORDS as u64,
            _ => 1,
        };
        let commits = || application.running.commits();
        until("commits", || commits() >= least, || commits().to_string());
        println!(
            "{guarantee}: {RECORDS} results in turn took {:?}, {} commits",
            begun.elapsed(),
            commits()
        );
        application.running.stop(WAIT).expect("it stops");
    }
}

#[test]
fn on_a_broker_without_the_option_no_result_is_seen_before_the_interval() {
    let Some(bench) = Bench::start("no commit when idle") else {
        return;
    };
    let application = bench.application("busy", "exactly_once_v2", false);
    application.write(1);
    let records = || application.running.records();
    until(
        "the record's processing",
        || records() >= 1,
        || records().to_string(),
    );
    thread::sleep(UNSEEN);
    assert!(
        application.counts().is_empty(),
        "{:?}",
        application.counts()
    );
    // A stop commits: it was there all along.
    let Application {
        running, output, ..
    } = application;
    running.stop(WAIT).expect("it stops");
    let counts = || counts(bench.cluster, &output);
    until(
        "the result",
        || counts() == [1],
        || format!("{:?}", counts()),
    );
}

#[test]
fn on_a_broker_a_steady_stream_is_committed_in_groups() {
    let Some(bench) = Bench::start("commits of a steady stream") else {
        return;
    };
    let application = bench.application("steady", "exactly_once_v2", true);
    application.write(0);
    application.until_counted(1);
    let (before, begun) = (application.running.commits(), Instant::now());
    let mut writer = application.writer();
    let mut written = 1;
    while begun.elapsed() < STEADY {
        for _ in 0..BURST {
            written += 1;
            writer.write(written);
        }
        thread::sleep(PAUSE);
    }
    writer.end();
    application.until_counted(written);
    // Those under way when the last result is seen may end later; they have begun.
    let elapsed = begun.elapsed();
    let commits = application.running.commits() - before;
    // One worker; the first and the last need no gap of their own.
    let most = elapsed.as_millis() / GAP.as_millis() + 2;
    println!("{written} records in {elapsed:?}: {commits} commits, {most} at most");
    assert!(u128::from(commits) <= most, "{commits} of {most}");
    assert!(commits < written as u64, "{commits} for {written} records");
    application.running.stop(WAIT).expect("it stops");
}

struct Bench {
    cluster: &'static Cluster,
    folder: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Bench {
    fn start(what: &str) -> Option<Self> {
        if !is_usable(what) {
            return None;
        }
        assert!(INTERVAL > 2 * WAIT);
        let one = crate::one_cluster_at_a_time();
        Some(Self {
            cluster: crate::shared_broker(),
            folder: tempfile::tempdir().expect("a folder for state"),
            _one: one,
        })
    }

    /// Counts the records of one topic into another, in one worker.
    fn application(&self, id: &str, guarantee: &str, when_idle: bool) -> Application<'_> {
        let (input, output) = (format!("{id}-in"), format!("{id}-out"));
        crate::topics::create(self.cluster, &[&input, &output], 2);
        let interval_ms = INTERVAL.as_millis().to_string();
        let properties = [
            ("processing.guarantee", guarantee),
            ("commit.interval.ms", &interval_ms),
            ("headwater.commit.when.idle", &when_idle.to_string()),
            ("statestore.cache.max.bytes", "0"),
            ("num.stream.threads", "1"),
        ];
        let settings = Settings::in_dir(self.folder.path().join(id));
        let settings = settings.with_properties(properties).expect("settings");
        let app = App::new(id);
        app.stream::<String, String>(input.as_str())
            .group_by_key()
            .count("counts")
            .to_stream()
            .map_values(|count| count.to_string())
            .to(output.as_str());
        let kafka = Kafka::at(&self.cluster.bootstrap()).expect("an address");
        let topology = app.build().expect("a topology");
        let running = start_with(topology, kafka, settings).expect("it starts");
        Application {
            cluster: self.cluster,
            input,
            output,
            running,
        }
    }
}

struct Application<'a> {
    cluster: &'a Cluster,
    input: String,
    output: String,
    running: Running,
}

impl Application<'_> {
    fn writer(&self) -> Writer {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.cluster.bootstrap(), "-P", "-t", &self.input]);
        kcat.args(["-K", "\t", "-X", "linger.ms=0"]);
        let mut kcat = kcat.stdin(Stdio::piped()).spawn().expect("kcat");
        let input = kcat.stdin.take().expect("it was asked for");
        Writer { kcat, input }
    }

    fn write(&self, number: usize) {
        let mut writer = self.writer();
        writer.write(number);
        writer.end();
    }

    /// Waits until so many have been counted, each once and in turn.
    #[track_caller]
    fn until_counted(&self, number: usize) {
        let expected: Vec<usize> = (1..=number).collect();
        let is_counted = || self.counts() == expected;
        until("a result", is_counted, || format!("{:?}", self.counts()));
    }

    /// What is committed, in order: there is one key.
    fn counts(&self) -> Vec<usize> {
        counts(self.cluster, &self.output)
    }
}

fn counts(cluster: &Cluster, topic: &str) -> Vec<usize> {
    let mut kcat = Command::new("kcat");
    kcat.args(["-b", &cluster.bootstrap(), "-C", "-t", topic]);
    kcat.args(["-e", "-q", "-o", "beginning"]);
    kcat.args(["-X", "isolation.level=read_committed"]);
    let output = kcat.output().expect("kcat");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("numbers are text");
    let numbers = text.lines().map(|it| it.parse().expect("a number"));
    numbers.collect()
}

/// One producer that goes on.
struct Writer {
    kcat: Child,
    input: ChildStdin,
}

impl Writer {
    fn write(&mut self, number: usize) {
        writeln!(self.input, "k\t{number}").expect("kcat reads");
    }

    fn end(self) {
        let mut kcat = self.kcat;
        drop(self.input);
        assert!(kcat.wait().expect("a process of ours").success());
    }
}
