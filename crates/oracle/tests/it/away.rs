//! Stopping while the broker does not answer, and starting again when it does. Not what a broker that dies costs: see `fire`.
//! Invariant: a stop ends by its deadline whatever the broker does, and what it could not commit is processed again, once.

use crate::instance::{Application, Notices, TASKS, until};
use headwater::Running;
use headwater_broker::{Cluster, Options, is_usable};
use std::sync::Arc;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(5);
/// A thread that wakes late on a machine that is busy; a stop that waited for the broker would take for ever.
const SLACK: Duration = Duration::from_secs(20);
/// Nothing is committed before the stop.
const NEVER_MS: (&str, &str) = ("commit.interval.ms", "50000");

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

#[test]
fn a_stop_while_the_broker_is_frozen_ends_by_its_deadline_and_a_restart_goes_on_exactly() {
    const SENTENCES: usize = 200;
    if !is_usable("a stop with the broker away") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = Cluster::start(&Options::default()).expect("a broker starts");
    let folder = tempfile::tempdir().expect("a folder for state");
    let mut application = Application::new(&cluster, folder.path(), "away", "streams");
    application.load(SENTENCES);
    let notices = Arc::new(Notices::default());
    let running = application.ours_with(None, &notices, &[NEVER_MS]);
    let is_processed = || {
        let done = processed(&running) >= SENTENCES as i64;
        done && running.running_tasks() == TASKS
    };
    until("all tasks with their input processed", is_processed, || {
        format!("{:?} {:?}", running.tasks(), notices.all())
    });
    cluster.freeze(0).expect("a broker that runs");
    let frozen = Frozen(&cluster);
    let begun = Instant::now();
    let stopped = running.stop(DEADLINE);
    let took = begun.elapsed();
    drop(frozen);
    println!("a stop with a deadline of {DEADLINE:?} took {took:?}: {stopped:?}");
    assert!(took >= DEADLINE && took < DEADLINE + SLACK, "{took:?}");
    match stopped {
        Err(error) => {
            let told = error.to_string();
            assert!(told.contains("stopping 'away' within 5s"), "{told}");
        }
        Ok(()) => panic!("what was not committed was not told"),
    }
    application.load(SENTENCES);
    let again = application.ours(None, &notices);
    application.must_be_exact();
    again
        .stop(crate::instance::WAIT)
        .expect("a stop with the broker there");
}
