//! A process that is frozen for longer than its session and wakes up with a transaction that it had begun. Not one that dies: see `fire`.
//! Invariant: what the broker's log holds of the woken owner lies in transactions that were aborted, and no reader of committed records
//! sees any of it.

use crate::fire::process::Process;
use crate::fire::script::Script;
use crate::fire::{CASE, check_balances, check_counts, drained, options_of};
use crate::old_broker::{share, until_shared};
use headwater_broker::{Cluster, VERSIONS, class_path, has_streams_groups, is_usable, tool};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

const PARTITIONS: usize = 4;
const TASKS: usize = 2 * PARTITIONS;
const WAIT: Duration = Duration::from_secs(180);
/// What a worker that was fenced tells.
const FENCED: &str = "was fenced and drops its tasks";
/// A partition's first, and here its only one.
const SEGMENT: &str = "00000000000000000000.log";
/// Where an owner writes: results and what its stores keep.
const TOPICS: [&str; 4] = [
    "counts",
    "balances",
    "fire-counts-changelog",
    "fire-balances-changelog",
];

#[test]
fn nothing_that_a_fenced_owner_writes_after_waking_is_ever_committed() {
    let what = "a fenced owner that wakes";
    if !has_streams_groups(what) || !is_usable(what) {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = Cluster::start(&options_of(1)).expect("a broker starts");
    let topics = ["events", "counts", "balances"];
    crate::topics::create(&cluster, &topics, PARTITIONS as u32);
    let folder = tempfile::tempdir().expect("a folder for state");
    let servers = cluster.bootstrap();
    let start = |number| Process::start(folder.path(), &servers, CASE, number);
    let mut sleeper = start(0);
    let mut script = Script::start(&servers, "events", 1);
    let begun = Instant::now();
    while share(&sleeper.output()) < TASKS {
        assert!(begun.elapsed() < WAIT, "{}", sleeper.output());
        script.write_for(Duration::from_millis(500));
    }
    script.write_for(Duration::from_secs(1));
    // Before there is another: all of them are the sleeper's.
    let before = producers(&cluster);
    assert!(!before.is_empty(), "{}", sleeper.output());
    let mut other = start(1);
    until_shared(&[&sleeper, &other]);
    script.write_for(Duration::from_secs(1));
    sleeper.signal("STOP");
    let woken = Woken(&sleeper);
    let begun = Instant::now();
    while share(&other.output()) < TASKS {
        assert!(begun.elapsed() < WAIT, "{}", other.output());
        script.write_for(Duration::from_millis(500));
    }
    let ends = ends(&cluster);
    drop(woken);
    let begun = Instant::now();
    while !sleeper.output().contains(FENCED) {
        assert!(begun.elapsed() < WAIT, "{}", sleeper.output());
        script.write_for(Duration::from_millis(500));
    }
    script.write_for(Duration::from_secs(2));
    let expected = script.end();
    let counts = drained(&cluster, "counts", expected.events);
    let balances = drained(&cluster, "balances", 2 * expected.events);
    sleeper.must_live();
    other.must_live();
    let told = judge(&batches(&cluster), &before, &ends);
    sleeper.stop();
    other.stop();
    check_counts(&counts, &expected.counts);
    check_balances(&balances, &expected.balances);
    println!("{} events: exact; {told}", expected.events);
}

/// Wakes the process also where the test fails before.
struct Woken<'a>(&'a Process);

impl Drop for Woken<'_> {
    fn drop(&mut self) {
        self.0.signal("CONT");
    }
}

/// Every batch of these producers from these offsets on lies in a transaction that ended, and not in a commit.
fn judge(batches: &[Batch], producers: &BTreeSet<i64>, ends: &BTreeMap<String, i64>) -> String {
    let of_them = batches.iter().filter(|it| producers.contains(&it.producer));
    let (mut committed_before, mut after) = (0, 0);
    // Open transactions by partition and producer: the batches that were written after the waking.
    let mut open: BTreeMap<(&str, i64), usize> = BTreeMap::new();
    for batch in of_them {
        let is_late = batch.offset >= ends.get(&batch.partition).copied().unwrap_or(0);
        let late = open.entry((&batch.partition, batch.producer)).or_default();
        match batch.marker.as_deref() {
            None if is_late => {
                *late += 1;
                after += 1;
            }
            None => {}
            Some("COMMIT") => {
                assert_eq!(*late, 0, "a late batch was committed: {batch:?}");
                committed_before += usize::from(!is_late);
            }
            Some(_) => *late = 0,
        }
    }
    // It was the owner, and the log says so.
    assert!(committed_before > 0, "{producers:?}: {batches:?}");
    let left: usize = open.values().sum();
    assert_eq!(
        left, 0,
        "late batches in transactions without an end: {open:?}"
    );
    format!(
        "{committed_before} commits of the sleeper before, {after} batches after, none of them committed"
    )
}

/// What the producers of the cluster's transactional ids are.
fn producers(cluster: &Cluster) -> BTreeSet<i64> {
    let told = cluster.tool("transactions", &["list"]).expect("a list");
    let lines = told.lines().filter(|line| line.starts_with("fire"));
    // Transactional id, coordinator, producer id, state.
    let third = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    let numbers = lines.filter_map(third);
    numbers
        .map(|number| number.parse().unwrap_or_else(|_| panic!("{told}")))
        .collect()
}

/// The end of each partition, `TOPIC-NUMBER`, committed or not.
fn ends(cluster: &Cluster) -> BTreeMap<String, i64> {
    let mut ends = BTreeMap::new();
    let told = cluster
        .tool("get-offsets", &["--topic-partitions", &TOPICS.join(",")])
        .expect("offsets");
    for line in told.lines() {
        let fields: Vec<_> = line.split(':').collect();
        if let [topic, partition, offset] = fields[..] {
            let offset = offset.parse().unwrap_or_else(|_| panic!("{told}"));
            ends.insert(format!("{topic}-{partition}"), offset);
        }
    }
    assert_eq!(ends.len(), TOPICS.len() * PARTITIONS, "{told}");
    ends
}

/// A batch on the broker's disk.
#[derive(Debug)]
struct Batch {
    partition: String,
    offset: i64,
    producer: i64,
    /// `COMMIT` or `ABORT` where the batch is the end of a transaction.
    marker: Option<String>,
}

/// All that the broker has in these topics, in order, by Kafka's own tool.
fn batches(cluster: &Cluster) -> Vec<Batch> {
    let folder = data_folder(cluster);
    let partitions = TOPICS
        .iter()
        .flat_map(|topic| (0..PARTITIONS).map(move |number| format!("{topic}-{number}")));
    let segments = partitions.map(|partition| {
        let segment = Path::new(&folder).join(partition).join(SEGMENT);
        segment.display().to_string()
    });
    let segments: Vec<_> = segments.collect();
    let class_path = class_path(VERSIONS[0]).expect("jars");
    let mut dump = tool(&class_path, "dump-log").expect("a tool");
    dump.arg("--deep-iteration").arg("--files");
    let output = dump.arg(segments.join(",")).output();
    let text = String::from_utf8(output.expect("Java starts").stdout).expect("text");
    let mut batches: Vec<Batch> = Vec::new();
    let (mut partition, mut dumped) = (String::new(), 0);
    for line in text.lines() {
        if let Some(file) = line.strip_prefix("Dumping ") {
            let folder = Path::new(file).parent().and_then(Path::file_name);
            partition = folder.expect("its folder").to_string_lossy().into_owned();
            dumped += 1;
        } else if line.starts_with("baseOffset: ") {
            batches.push(Batch {
                partition: partition.clone(),
                offset: number(line, "baseOffset: "),
                producer: number(line, "producerId: "),
                marker: None,
            });
        } else if let (Some(kind), Some(batch)) = (word(line, "endTxnMarker: "), batches.last_mut())
        {
            batch.marker = Some(kind.to_owned());
        }
    }
    assert_eq!(dumped, segments.len(), "{text}");
    batches
}

fn word<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(name).nth(1)?.split_whitespace().next()
}

fn number(line: &str, name: &str) -> i64 {
    let number = word(line, name).and_then(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no {name}in {line}"))
}

/// Where a broker keeps its partitions, by its own word.
fn data_folder(cluster: &Cluster) -> String {
    let told = cluster.tool("org.apache.kafka.tools.LogDirsCommand", &["--describe"]);
    let told = told.expect("folders");
    let rest = told.split("\"logDir\":\"").nth(1).expect("a folder");
    rest.split('"').next().expect("its end").to_owned()
}
