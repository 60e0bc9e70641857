//! Stopping while the broker does not answer, or the network spoils what is said, and starting again. Not what a broker that dies costs:
//! see `fire`. Invariant: a stop ends by its deadline whatever happens, and what it could not commit is processed again, once.

use crate::instance::{Application, Notices, TASKS, WAIT, until};
use headwater::{Running, RuntimeError};
use headwater_broker::{Cluster, Listener, Proxy, Weather, is_usable};
use std::sync::Arc;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(5);
/// A thread that wakes late on a machine that is busy; a stop that waited for the broker would take for ever.
const SLACK: Duration = Duration::from_secs(20);
/// Nothing is committed before the stop.
const NEVER_MS: (&str, &str) = ("commit.interval.ms", "50000");
const SENTENCES: usize = 200;

/// Thaws the broker also where the test fails before.
struct Frozen<'a>(&'a Cluster);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // A second time does nothing, and nothing can be done where the broker is gone.
        let _ = self.0.thaw(0);
    }
}

fn processed(running: &Running) -> i64 {
    let tasks = running.tasks();
    let inputs = tasks.iter().flat_map(|task| &task.inputs);
    inputs.map(|(_, position, _)| position).sum()
}

/// An instance that has processed its input and committed nothing of it.
#[track_caller]
fn uncommitted(application: &mut Application<'_>, notices: &Arc<Notices>) -> Running {
    application.load(SENTENCES);
    let running = application.ours_with(None, notices, &[NEVER_MS]);
    let is_processed = || {
        let done = processed(&running) >= SENTENCES as i64;
        done && running.running_tasks() == TASKS
    };
    until("all tasks with their input processed", is_processed, || {
        format!("{:?} {:?}", running.tasks(), notices.all())
    });
    running
}

/// The next instance has the rest to do, and more.
#[track_caller]
fn goes_on(application: &mut Application<'_>, notices: &Arc<Notices>) {
    application.load(SENTENCES);
    let again = application.ours(None, notices);
    application.must_be_exact();
    again.stop(WAIT).expect("a stop with the broker there");
}

#[track_caller]
fn must_tell(stopped: Result<(), RuntimeError>, id: &str) {
    match stopped {
        Err(error) => {
            let told = error.to_string();
            let expected = format!("stopping '{id}' within 5s");
            assert!(told.contains(&expected), "{told}");
        }
        Ok(()) => panic!("what was not committed was not told"),
    }
}

#[test]
fn a_stop_while_the_broker_is_frozen_ends_by_its_deadline_and_a_restart_goes_on_exactly() {
    if !is_usable("a stop with the broker away") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = crate::shared_broker();
    let folder = tempfile::tempdir().expect("a folder for state");
    let mut application = Application::new(cluster, folder.path(), "away", "streams");
    let notices = Arc::new(Notices::default());
    let running = uncommitted(&mut application, &notices);
    cluster.freeze(0).expect("a broker that runs");
    let frozen = Frozen(cluster);
    let begun = Instant::now();
    let stopped = running.stop(DEADLINE);
    let took = begun.elapsed();
    drop(frozen);
    println!("a stop with a deadline of {DEADLINE:?} took {took:?}: {stopped:?}");
    assert!(took >= DEADLINE && took < DEADLINE + SLACK, "{took:?}");
    must_tell(stopped, "away");
    goes_on(&mut application, &notices);
}

/// Each request and each answer is late, in pieces.
const SLOW: Weather = Weather {
    delay_ms_max: 150,
    piece_bytes_max: 200,
    cuts_per_mille: 0,
};
/// One request in four cuts its connection.
const TORN: Weather = Weather {
    delay_ms_max: 20,
    piece_bytes_max: 0,
    cuts_per_mille: 250,
};
/// Each does.
const CUT: Weather = Weather {
    cuts_per_mille: 1_000,
    ..TORN
};

#[test]
fn a_stop_through_a_bad_network_ends_by_its_deadline_and_a_restart_goes_on_exactly() {
    if !is_usable("a stop through a bad network") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = crate::shared_broker();
    let proxies = cluster.proxies(1).expect("its proxy starts");
    let proxy = &proxies[0];
    stop_in(cluster, proxy, "slow", SLOW, WAIT).expect("late is no reason not to commit");
    stop_in(cluster, proxy, "torn", TORN, WAIT).expect("what is cut is said again");
    let stopped = stop_in(cluster, proxy, "cut", CUT, DEADLINE);
    must_tell(stopped, "cut");
}

/// Stops in such weather, and goes on when it is over; how the stop ended.
fn stop_in(
    cluster: &Cluster,
    proxy: &Proxy,
    id: &str,
    weather: Weather,
    deadline: Duration,
) -> Result<(), RuntimeError> {
    let folder = tempfile::tempdir().expect("a folder for state");
    let mut application = Application::new(cluster, folder.path(), id, "streams");
    application.enter_by(Listener::Proxied);
    let notices = Arc::new(Notices::default());
    let running = uncommitted(&mut application, &notices);
    let (passed, cuts) = proxy.figures();
    proxy.weather(weather);
    let begun = Instant::now();
    let stopped = running.stop(deadline);
    let took = begun.elapsed();
    proxy.weather(Weather::default());
    let (passed_then, cuts_then) = proxy.figures();
    let (requests, cuts) = (passed_then - passed, cuts_then - cuts);
    println!("{id}: {requests} requests, {cuts} cut, {took:?}: {stopped:?}");
    assert!(took < deadline + SLACK, "{took:?}");
    assert!(requests > 0, "the stop met no weather");
    assert_eq!(cuts > 0, weather.cuts_per_mille > 0, "{cuts}");
    goes_on(&mut application, &notices);
    stopped
}
