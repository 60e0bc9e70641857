//! One node, ended in every way. Not its settings. Invariant: what was written before is there after.

use headwater_broker::{Cluster, Options, is_usable, read_committed};
use std::{
    io::Write,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Writes lines through kcat's or Java's producer: whichever is there.
pub(crate) fn produce(cluster: &Cluster, topic: &str, lines: &[&str]) {
    let class_path = headwater_broker::class_path("4.3.1").unwrap();
    let mut producer = headwater_broker::tool(&class_path, "console-producer").unwrap();
    producer.args(["--bootstrap-server", &cluster.bootstrap(), "--topic", topic]);
    // Its own patience is 1.5 s, less than a broker's fall takes to be noticed.
    producer.args(["--request-timeout-ms", "60000"]);
    let mut child = producer
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

pub(crate) fn values(cluster: &Cluster, topic: &str) -> Vec<String> {
    let records = read_committed(cluster, topic).unwrap().into_iter();
    records.map(|record| record.value.unwrap()).collect()
}

fn lives(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|text| !text.contains("State:\tZ"))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_broker_comes_back_with_its_records_after_kill_9_and_freezing() {
    if !is_usable("a broker that is killed and frozen") {
        return;
    }
    let cluster = Cluster::start(&Options::default()).unwrap();
    cluster
        .tool("topics", &["--create", "--topic", "t"])
        .unwrap();
    produce(&cluster, "t", &["a", "b"]);
    assert_eq!(values(&cluster, "t"), ["a", "b"]);
    let pid = cluster.pid(0).unwrap();
    cluster.freeze(0).unwrap();
    // A signal is delivered, not obeyed, by the time it is sent.
    let status = || std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    wait_until("the broker goes on", || status().contains("State:\tT"));
    cluster.thaw(0).unwrap();
    cluster.kill(0).unwrap();
    assert!(!lives(pid));
    assert!(TcpStream::connect(cluster.bootstrap()).is_err());
    cluster.restart(0).unwrap();
    assert_eq!(values(&cluster, "t"), ["a", "b"]);
    let pid = cluster.pid(0).unwrap();
    drop(cluster);
    assert!(!lives(pid));
}

/// Starts a broker, says its pid and waits to be killed; not a test of its own.
#[test]
#[ignore = "the other half of a_broker_dies_with_the_process_that_started_it"]
fn a_process_that_will_be_killed() {
    // Whoever runs all ignored tests runs this one, too.
    let Ok(file) = std::env::var("HEADWATER_PID_FILE") else {
        return;
    };
    let cluster = Cluster::start(&Options::default()).unwrap();
    let draft = format!("{file}.draft");
    std::fs::write(&draft, cluster.pid(0).unwrap().to_string()).unwrap();
    std::fs::rename(draft, file).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

#[test]
fn a_broker_dies_with_the_process_that_started_it() {
    if !is_usable("a broker whose parent dies") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut parent = Command::new(std::env::current_exe().unwrap());
    parent.args([
        "--ignored",
        "--exact",
        "life::a_process_that_will_be_killed",
    ]);
    parent
        .env("HEADWATER_PID_FILE", &file)
        .stdout(Stdio::null());
    let mut parent = parent.spawn().unwrap();
    let begin = Instant::now();
    while !file.exists() {
        assert!(parent.try_wait().unwrap().is_none(), "it could not start");
        assert!(begin.elapsed() < Duration::from_secs(130));
        std::thread::sleep(Duration::from_millis(100));
    }
    let pid: u32 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let command_line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let settings = command_line
        .split('\0')
        .find(|word| word.ends_with(".properties"));
    let folder = Path::new(settings.unwrap()).parent().unwrap().to_path_buf();
    assert!(folder.exists());
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("the broker outlives its parent", || !lives(pid));
    wait_until("its folder stays", || !folder.exists());
}

#[test]
fn three_brokers_share_a_topic_and_one_may_fall() {
    if !is_usable("three brokers") {
        return;
    }
    let cluster = Cluster::start(
        &Options::nodes(3)
            .set("broker.session.timeout.ms", 3_000)
            .set("broker.heartbeat.interval.ms", 500),
    )
    .unwrap();
    cluster
        .tool("topics", &["--create", "--topic", "t"])
        .unwrap();
    produce(&cluster, "t", &["a"]);
    let described = cluster
        .tool("topics", &["--describe", "--topic", "t"])
        .unwrap();
    assert!(described.contains("ReplicationFactor: 3"), "{described}");
    cluster.kill(2).unwrap();
    produce(&cluster, "t", &["b"]);
    assert_eq!(values(&cluster, "t"), ["a", "b"]);
}
