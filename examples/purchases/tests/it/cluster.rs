//! The job on Apache Kafka: the result of the embedded log, also after a kill. Not the client's own tests.
//! Invariant: what is expected is computed from the raw file, as for the embedded log.

use crate::expected;
use crate::program::{Job, run};
use headwater_broker::{Cluster, Options, is_usable};
use std::{fs, thread::sleep, time::Duration};
use tempfile::TempDir;

/// ms after which a killed member's tasks are given to the next.
const SESSION_TIMEOUT_MS: u64 = 6_000;

#[test]
fn on_kafka_the_result_is_that_of_the_embedded_log_also_after_a_kill() {
    if !is_usable("the purchases on a real broker") {
        return;
    }
    let options = Options::default()
        .set("group.streams.min.session.timeout.ms", SESSION_TIMEOUT_MS)
        .set("group.streams.session.timeout.ms", SESSION_TIMEOUT_MS)
        .set("group.streams.min.heartbeat.interval.ms", 200)
        .set("group.streams.heartbeat.interval.ms", 500);
    let cluster = Cluster::start(&options).unwrap();
    let dir = TempDir::new().unwrap();
    let servers = cluster.bootstrap();
    let kafka = ["--kafka", servers.as_str()];
    let phases = dir.path().join("phases");
    let told = ["--json", "--phases", phases.to_str().unwrap()];
    let mut job = Job::start(dir.path(), &[&kafka[..], &told].concat());
    // In the middle of it: some is committed, and more is under way.
    while !fs::read_to_string(&phases).is_ok_and(|text| text.contains("commit 3")) {
        assert!(job.ended().is_none(), "it ended before it could be killed");
        sleep(Duration::from_millis(1));
    }
    assert!(job.kill());
    let expected = expected::summary(1);
    let (result, after) = run(dir.path(), &kafka);
    assert_eq!(result, expected);
    assert_eq!(
        after["appended_records"], 0,
        "it was appended before the kill"
    );
    let (result, again) = run(dir.path(), &kafka);
    assert_eq!(result, expected);
    assert_eq!(again["processed_purchases"], 0);
    // The end of the last transaction in each changelog is read, and no record.
    assert!(again["restored_records"].as_u64() <= Some(24), "{again}");
    let (result, second) = run(
        dir.path(),
        &[&kafka[..], &["--repeat", "2", "--workers", "2"]].concat(),
    );
    assert_eq!(result, expected::summary(2));
    assert_eq!(second["processed_purchases"], 69_659);
}
