//! Workers that come and go in a running process, and a process that is told to pause, on a real broker in both group protocols. Not the
//! memory log, on which `runtime` tests the same. Invariant: whatever happens in between, each word is counted once.

use crate::instance::{Application, Notices, TASKS, WAIT, until};
use headwater::Running;
use headwater_broker::{Cluster, Options, has_streams_groups, is_usable};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const SENTENCES: usize = 400;
const SESSION_MS: u32 = 6_000;
/// Longer than a session: who is silent for so long has lost its tasks.
const PAUSE: Duration = Duration::from_millis(SESSION_MS as u64 + 3_000);

#[test]
fn workers_come_and_go_and_a_pause_is_no_end() {
    if !is_usable("workers that come and go") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let options = Options::default()
        .set("group.streams.min.session.timeout.ms", SESSION_MS)
        .set("group.streams.session.timeout.ms", SESSION_MS)
        .set("group.streams.min.heartbeat.interval.ms", 200)
        .set("group.streams.heartbeat.interval.ms", 300);
    let cluster = Cluster::start(&options).expect("a broker starts");
    for protocol in ["streams", "classic"] {
        if protocol == "streams" && !has_streams_groups("workers that come and go") {
            continue;
        }
        println!("{protocol}");
        come_and_go(&cluster, protocol);
    }
}

fn come_and_go(cluster: &Cluster, protocol: &'static str) {
    let folder = tempfile::tempdir().expect("a folder for state");
    let mut application = Application::new(cluster, folder.path(), protocol, protocol);
    let notices = Arc::new(Notices::default());
    let more: &[_] = match protocol {
        "classic" => &[("session.timeout.ms", "6000")],
        _ => &[],
    };
    let running = application.ours_with(None, &notices, more);
    until_shared(&running, &notices, 1);
    application.load(SENTENCES);

    running.add_worker().expect("a second worker");
    until_shared(&running, &notices, 2);
    application.load(SENTENCES);
    application.must_be_exact();

    running.pause();
    let records = running.records();
    let assigned = notices.shares();
    application.load(SENTENCES);
    let begun = Instant::now();
    while begun.elapsed() < PAUSE {
        thread::sleep(Duration::from_millis(100));
    }
    // What was being processed when the pause began is allowed to end.
    assert!(running.records() <= records + 1, "it went on");
    assert_eq!(
        (running.running_tasks(), notices.shares()),
        (TASKS, assigned)
    );
    assert!(!running.failed(), "{:?}", notices.all());
    running.resume();
    application.must_be_exact();

    let gone = running.remove_worker(WAIT).expect("it ends well");
    assert!(gone.is_some(), "there were two");
    application.load(SENTENCES);
    until(
        "all tasks for one",
        || running.running_tasks() == TASKS,
        || format!("{:?}", notices.shares()),
    );
    application.must_be_exact();
    assert_eq!(running.workers(), 1);
    running.stop(WAIT).expect("it ends well");
}

/// All tasks run, and each of so many workers has some of them.
#[track_caller]
fn until_shared(running: &Running, notices: &Notices, workers: usize) {
    let is_shared = || {
        let shares = notices.shares();
        let tasks: usize = shares.values().sum();
        let busy = shares.values().filter(|tasks| **tasks > 0).count();
        (running.running_tasks(), tasks, busy) == (TASKS, TASKS, workers)
    };
    until("a share for each worker", is_shared, || {
        format!("{:?}", notices.shares())
    });
}
