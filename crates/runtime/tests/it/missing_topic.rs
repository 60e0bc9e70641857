//! An internal topic that the group knew when it assigned the task and that is gone when the task looks: it is made anew, or missed.
//! Not topics of the user's: see `awaited_topic`. Invariant: a worker whose task does not run yet survives that for some seconds.

use crate::forgetful::ForgetfulLog;
use headwater_log::{Error as LogError, MemoryLog};
use headwater_runtime::{Error, Settings, SourceWriter, Worker};
use headwater_streams::App;
use headwater_world::{Simulation, World};
use std::sync::Arc;
use std::time::Duration;

const CHANGELOG: &str = "app-counts-changelog";
/// Steps of 10 ms for which it is gone.
const AWAY_STEPS: usize = 100;
/// More than it is missed.
const STEPS_MAX: usize = 2_000;

fn start(simulation: &Simulation, missing: &str) -> (ForgetfulLog, Worker) {
    let log = ForgetfulLog::new(MemoryLog::new(&simulation.world), missing);
    let settings = Settings {
        world: crate::application::impatient(simulation),
        commit_interval_ms: 5,
        ..Settings::default()
    };
    let mut writer = SourceWriter::open(&*log.log, "app", "test", &settings).unwrap();
    writer.ensure_topic("in", 1).unwrap();
    let app = App::new("app");
    let records = app.stream::<i64, String>("in").group_by_key();
    records.count("counts");
    let topology = Arc::new(app.build().unwrap());
    let worker = Worker::join(&topology, &log, settings, 1).unwrap().0;
    (log, worker)
}

fn step(simulation: &Simulation, worker: &mut Worker) -> Result<(), Error> {
    simulation.clock.advance(Duration::from_millis(10));
    worker.step().map(drop)
}

#[test]
fn a_task_waits_for_an_internal_topic_that_is_made_anew() {
    let simulation = World::simulated(1);
    let (log, mut worker) = start(&simulation, CHANGELOG);
    for _ in 0..AWAY_STEPS {
        step(&simulation, &mut worker).unwrap();
    }
    assert_eq!(worker.running().count(), 0, "{}", worker.describe());
    log.remember();
    for _ in 0..AWAY_STEPS {
        step(&simulation, &mut worker).unwrap();
    }
    assert_eq!(worker.running().count(), 1, "{}", worker.describe());
}

#[test]
fn a_topic_that_stays_away_ends_the_worker_with_its_name() {
    for (missing, waited_ms_min) in [(CHANGELOG, 10_000), ("in", 0)] {
        let simulation = World::simulated(1);
        let (_log, mut worker) = start(&simulation, missing);
        let begin = simulation.world.clock.elapsed();
        let failure = (0..STEPS_MAX).find_map(|_| step(&simulation, &mut worker).err());
        match failure {
            Some(Error::Log(LogError::UnknownTopic(topic))) => assert_eq!(topic, missing),
            other => panic!("{other:?}: {}", worker.describe()),
        }
        let waited_ms = (simulation.world.clock.elapsed() - begin).as_millis();
        let range = waited_ms_min..waited_ms_min + 1_000;
        assert!(range.contains(&waited_ms), "{missing}: {waited_ms} ms");
    }
}
