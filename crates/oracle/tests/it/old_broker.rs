//! An old broker: two of our processes count and sum exactly once on 3.9.2, which knows neither streams groups nor transactions in which
//! partitions need not be announced, and one takes over when the other is killed. Not the client's own suite: `cargo xtask nightly
//! kafka-versions` runs that. Invariant: kcat, not we, reads the result, and it is the one computed here from the input alone.

use crate::fire::process::Process;
use crate::fire::script::Script;
use crate::fire::{CASE, check_balances, check_counts, drained};
use headwater_broker::{Cluster, Options, is_usable};
use std::time::{Duration, Instant};

const VERSION: &str = "3.9.2";
const PARTITIONS: u32 = 4;
/// The least that a broker allows.
const SESSION: &str = "session.timeout.ms=6000";
/// Two sub-topologies.
const TASKS: usize = 8;
const ASSIGNED_DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn on_a_3_9_broker_a_process_takes_over_from_a_killed_one_exactly_once() {
    if !is_usable("an application on a broker of 3.9") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = Cluster::start(&Options::default().version(VERSION)).expect("a broker starts");
    // It says itself that it is not a later one.
    let streams_groups = cluster.tool("streams-groups", &["--list"]);
    assert!(
        streams_groups.is_err(),
        "a broker of 3.9 has no streams groups"
    );
    crate::topics::create(&cluster, &["events", "counts", "balances"], PARTITIONS);
    let folder = tempfile::tempdir().expect("a folder for state");
    let start = |number| {
        Process::start_with(
            folder.path(),
            &cluster.bootstrap(),
            CASE,
            number,
            &[SESSION],
        )
    };
    let mut killed = start(0);
    let left = start(1);
    until_shared(&[&killed, &left]);
    let mut script = Script::start(&cluster.bootstrap(), "events", 1);
    script.write_for(Duration::from_millis(1_500));
    killed.must_live();
    // With a transaction open: events come all the time, and it commits ten times a second.
    killed.kill();
    let kill = Instant::now();
    script.write_for(Duration::from_millis(1_500));
    let expected = script.end();
    let counts = drained(&cluster, "counts", expected.events);
    let balances = drained(&cluster, "balances", 2 * expected.events);
    let seconds = kill.elapsed().as_secs_f64();
    let output = left.output();
    left.stop();
    assert_eq!(counts.len(), expected.events, "{output}");
    check_counts(&counts, &expected.counts);
    check_balances(&balances, &expected.balances);
    println!(
        "{} events, all of them counted {seconds:.1} s after the kill: exact",
        expected.events
    );
}

/// Waits until each process has been told to have a part of the tasks, and none all: only then does a kill take something away.
#[track_caller]
pub(crate) fn until_shared(fleet: &[&Process]) {
    let begin = Instant::now();
    let shares = || fleet.iter().map(|process| share(&process.output()));
    while !shares().all(|share| (1..TASKS).contains(&share)) {
        let told: Vec<_> = fleet.iter().map(|process| process.output()).collect();
        assert!(begin.elapsed() < ASSIGNED_DEADLINE, "{}", told.join("\n"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Active tasks by what each worker was told last: `assigned WORKER EPOCH active TASKS standby TASKS`.
pub(crate) fn share(output: &str) -> usize {
    let mut latest = std::collections::BTreeMap::new();
    for line in output.lines() {
        let Some((_, told)) = line.split_once("assigned ") else {
            continue;
        };
        let words: Vec<_> = told.split(' ').collect();
        if let [worker, _, "active", tasks, "standby", ..] = words[..] {
            let tasks = tasks.split(',').filter(|task| !task.is_empty()).count();
            latest.insert(worker.to_owned(), tasks);
        }
    }
    latest.values().sum()
}
