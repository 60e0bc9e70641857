//! Apache Kafka's own tool reads every segment and index. Not a broker test: no Kafka runs.
//! Invariant checked: `DumpLogSegments` finds every record, every CRC sound and every index entry where it says.

use super::kit::{Session, partition, topic};
use crate::embedded::EmbeddedOptions;
use headwater_world::World;
use std::path::{Path, PathBuf};

fn write_log(dir: &Path) -> Vec<PathBuf> {
    let options = EmbeddedOptions {
        maintenance_interval_ms: 20,
        journal_file_bytes_max: 100_000,
        batch_bytes: 2000,
        ..EmbeddedOptions::default()
    };
    let mut session = Session::open(dir, &World::real(), options).unwrap();
    let compact = [("cleanup.policy", "compact"), ("segment.bytes", "20000")];
    let plain = [("segment.bytes", "30000"), ("index.interval.bytes", "1000")];
    session
        .create(&[topic("plain", 2, &plain), topic("table", 1, &compact)])
        .unwrap();
    for round in 0..60 {
        for record in 0..20 {
            let key = format!("key {}", record % 5);
            let value =
                format!("a value of round {round}, record {record}, with some length to it");
            session.append(
                &partition("plain", record % 2),
                None,
                Some(&value),
                1_700_000_000_000,
            );
            session.append(
                &partition("table", 0),
                Some(&key),
                Some(&value),
                1_700_000_000_000,
            );
        }
        session.commit(&[]).unwrap();
        if round % 10 == 9 {
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
    }
    let mut files = Vec::new();
    let log = session.log.clone();
    drop(session);
    for name in ["plain", "table"] {
        for partition in log.partition_files(name).unwrap() {
            files.extend(partition.segments.into_iter().map(|segment| segment.path));
        }
    }
    let compacted = log.partition_files("table").unwrap()[0]
        .segments
        .iter()
        .any(|segment| segment.compacted);
    assert!(compacted, "upkeep had 600 ms to compact");
    drop(log);
    let settled = files
        .iter()
        .map(|path| PathBuf::from(path.to_string_lossy().trim_end_matches(".cleaned")));
    settled.collect()
}

#[track_caller]
fn no_complaints(text: &str, errors: &str) {
    for complaint in [
        "isvalid: false",
        "mismatch",
        "Mismatch",
        "not found",
        "Exception",
        "corrupt",
    ] {
        let line = text
            .lines()
            .chain(errors.lines())
            .find(|line| line.contains(complaint));
        assert_eq!(line, None, "{complaint}");
    }
    // The tool expects every file to begin with offset 0; inside a file only compaction leaves gaps.
    let mut file = "";
    for line in errors.lines() {
        match line.strip_prefix("Non-consecutive offsets in ") {
            Some(name) => file = name,
            None if line.contains("-1 is followed by") || file.contains("/table-") => {}
            None => assert!(!line.contains("is followed by"), "{file}: {line}"),
        }
    }
}

#[test]
fn kafkas_own_tool_reads_every_segment() {
    if !headwater_broker::is_usable("Kafka's tool on our segments") {
        return;
    }
    let class_path = headwater_broker::class_path("4.3.1").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let logs = write_log(dir.path());
    let indexes = logs.iter().map(|path| path.with_extension("index"));
    let all: Vec<String> = logs
        .iter()
        .cloned()
        .chain(indexes)
        .map(|path| path.display().to_string())
        .collect();
    let output = headwater_broker::tool(&class_path, "dump-log")
        .unwrap()
        .args(["--print-data-log", "--files"])
        .arg(all.join(","))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    no_complaints(&text, &errors);
    let plain = text.matches("a value of round").count();
    let mut session =
        Session::open(dir.path(), &World::real(), EmbeddedOptions::default()).unwrap();
    let names = [
        partition("plain", 0),
        partition("plain", 1),
        partition("table", 0),
    ];
    let ours: usize = names
        .iter()
        .map(|name| session.read(name, 0).unwrap().len())
        .sum();
    assert!(
        (1200..2400).contains(&ours),
        "{ours} records; the table is compacted"
    );
    assert_eq!(plain, ours);
    let indexed = text
        .lines()
        .filter(|line| {
            line.starts_with("offset: ")
                && line.contains("position: ")
                && !line.contains("CreateTime")
        })
        .count();
    assert!(indexed > 10, "{indexed} index entries");
    eprintln!(
        "DumpLogSegments read {} segments, {plain} records, {indexed} index entries",
        logs.len()
    );
}
