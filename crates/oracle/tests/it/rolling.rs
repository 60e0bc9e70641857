//! Rolling replacement: Kafka Streams and we in one group at the same time, exactly once, each instance replaced by one of the other
//! side under load. Not what closes windows: see `docs/design/kafka.md`; windows that are counted are in `takeover/together.rs`.
//! Invariant: kcat writes and reads, and of each word it reads 1, 2, 3 and so on, each once.

use crate::fire::process::{must_end_well, signal};
use crate::takeover::java;
use headwater_broker::{Cluster, Options};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/takeover");
const ID: &str = "rolling";
const PARTITIONS: u32 = 8;
const WORDS: u64 = 97;
const DRAIN: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Java,
    Ours,
}

/// In each of two places an instance is replaced, ours by theirs and theirs by ours.
pub(crate) const REPLACEMENTS: [(usize, Side); 3] =
    [(0, Side::Ours), (1, Side::Ours), (0, Side::Java)];

#[test]
fn java_and_ours_replace_each_other_in_one_group_under_load() {
    let Some(_one) =
        crate::one_cluster_with_java("rolling replacement between Kafka Streams and us")
    else {
        return;
    };
    let cluster = start_cluster();
    crate::topics::create(&cluster, &["rolling.in", "rolling.out"], PARTITIONS);
    let folder = tempfile::tempdir().expect("a folder for state");
    let mut count = 0;
    let mut start = |side| {
        count += 1;
        Instance::start(&cluster, folder.path(), (ID, "count"), side, count)
    };
    let mut fleet = vec![start(Side::Java), start(Side::Java)];
    let mut load = Load::start(&cluster.bootstrap());
    load.write_for(Duration::from_secs(8));
    for (place, side) in REPLACEMENTS {
        println!("instance {place} becomes {side:?}");
        fleet[place].stop();
        fleet[place] = start(side);
        load.write_for(Duration::from_secs(10));
        for instance in &mut fleet {
            instance.must_live();
        }
    }
    let expected = load.end();
    let total: usize = expected.values().sum();
    let begin = Instant::now();
    let mut found = counts(&cluster, "rolling.out");
    while found.len() < total && begin.elapsed() < DRAIN {
        thread::sleep(Duration::from_secs(1));
        found = counts(&cluster, "rolling.out");
    }
    for mut instance in fleet {
        instance.stop();
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (word, count) in found {
        let last = seen.entry(word.clone()).or_default();
        *last += 1;
        assert_eq!(count, *last, "{word}: lost or doubled");
    }
    assert_eq!(seen, expected);
    println!("{total} records through three replacements: exact");
}

/// Members are soon told what they get.
pub(crate) fn start_cluster() -> Cluster {
    let options = Options::default()
        .set("group.streams.min.heartbeat.interval.ms", 200)
        .set("group.streams.heartbeat.interval.ms", 300);
    Cluster::start(&options).expect("a broker starts")
}

/// What a reader of committed records sees, in the order of each partition.
pub(crate) fn counts(cluster: &Cluster, topic: &str) -> Vec<(String, usize)> {
    let mut kcat = Command::new("kcat");
    kcat.args(["-b", &cluster.bootstrap(), "-C", "-t", topic, "-e"]);
    kcat.args(["-q", "-X", "isolation.level=read_committed"]);
    kcat.args(["-s", "value=q", "-f", "%p\\t%o\\t%k\\t%s\\n"]);
    let output = kcat.output().expect("kcat is installed");
    let text = String::from_utf8(output.stdout).expect("words are text");
    let mut rows: Vec<(u32, u64, String, usize)> = Vec::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [partition, offset, word, count] = fields[..] else {
            panic!("`{line}` is no row");
        };
        let number = "kcat writes numbers";
        rows.push((
            partition.parse().expect(number),
            offset.parse().expect(number),
            word.to_owned(),
            count.parse().expect(number),
        ));
    }
    rows.sort();
    let rows = rows.into_iter();
    rows.map(|(_, _, word, count)| (word, count)).collect()
}

/// A process of either side.
pub(crate) struct Instance {
    child: Child,
    log: std::path::PathBuf,
}

impl Instance {
    /// Of the application of this id, with the topology of this name.
    pub(crate) fn start(
        cluster: &Cluster,
        folder: &Path,
        (id, topology): (&str, &str),
        side: Side,
        number: usize,
    ) -> Self {
        let log = folder.join(format!("{side:?}-{number}.log"));
        let errors = std::fs::File::create(&log).expect("a file for errors");
        let mut command = match side {
            Side::Java => {
                let mut java = cluster.java(&java::classes().display().to_string());
                java.args(["headwater.Takeover", "run", "--topology", topology]);
                java
            }
            Side::Ours => {
                let case = std::fs::read_to_string(format!("{CASES}/{topology}.json"));
                let case = case.expect("a case");
                let file = folder.join("case.json");
                let case = case.replace('@', &format!("{id}."));
                std::fs::write(&file, case).expect("a folder of ours");
                let mut ours = Command::new(env!("CARGO_BIN_EXE_headwater-oracle"));
                ours.args(["live", "run"]).arg(file);
                ours
            }
        };
        command.args(["--kafka", &cluster.bootstrap(), "--application-id", id]);
        command.args(["--guarantee", "exactly_once_v2", "--group-protocol"]);
        command.args(["streams", "--threads", "2", "--state-dir"]);
        command.arg(folder.join(format!("state-{number}")));
        command.args(["--set", "statestore.cache.max.bytes=0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(errors).spawn().expect("it starts");
        Self { child, log }
    }

    fn output(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        format!("{}: {text}", self.log.display())
    }

    #[track_caller]
    pub(crate) fn must_live(&mut self) {
        let status = self.child.try_wait().expect("a process of ours");
        assert_eq!(status, None, "{}", self.output());
    }

    #[track_caller]
    pub(crate) fn stop(&mut self) {
        signal(&self.child, "TERM");
        let log = self.output();
        must_end_well(&mut self.child, &log);
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sentences by one idempotent producer, and how often each word comes first.
struct Load {
    kcat: Child,
    input: ChildStdin,
    written: u64,
    expected: BTreeMap<String, usize>,
}

impl Load {
    fn start(servers: &str) -> Self {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", servers, "-P", "-t", "rolling.in", "-K", "\t"]);
        kcat.args(["-X", "enable.idempotence=true", "-X", "linger.ms=5"]);
        kcat.args(["-X", "partitioner=murmur2_random"]);
        let mut kcat = kcat.stdin(Stdio::piped()).spawn().expect("kcat");
        let input = kcat.stdin.take().expect("it was asked for");
        Self {
            kcat,
            input,
            written: 0,
            expected: BTreeMap::new(),
        }
    }

    fn write_for(&mut self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            for _ in 0..10 {
                self.written += 1;
                let word = format!("w{}", self.written * self.written % WORDS);
                writeln!(self.input, "k{}\t{word} and more", self.written % 64)
                    .expect("kcat reads");
                *self.expected.entry(word).or_default() += 1;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(self) -> BTreeMap<String, usize> {
        let mut kcat = self.kcat;
        drop(self.input);
        assert!(kcat.wait().expect("a process of ours").success());
        self.expected
    }
}
