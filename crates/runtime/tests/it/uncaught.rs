//! What follows when a worker ends by a panic: it is replaced, its process stops, or the whole application. Not the errors themselves.
//! Invariant: whatever follows, no record is lost or processed twice.

use crate::application::read_all;
use headwater_log::{Log, MemoryLog};
use headwater_runtime::{Error, Running, Settings, SourceWriter, UncaughtResponse, start};
use headwater_streams::{App, Topology};
use headwater_world::World;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(60);
const RECORDS: i64 = 40;
/// The record that is too much for it.
const HEAVY: i64 = 21;

/// Copies `in` to `out`; the heavy record fails so many times.
fn copying(failures: usize) -> Topology {
    let left = AtomicUsize::new(failures);
    let app = App::new("app");
    let copied = app.stream::<i64, i64>("in").filter(move |_, value| {
        let fail = |left: usize| left.checked_sub(1);
        let fails = *value == HEAVY
            && left
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, fail)
                .is_ok();
        assert!(!fails, "record {value} is too heavy");
        true
    });
    copied.to("out");
    app.build().unwrap()
}

struct Place {
    log: Arc<dyn Log>,
    settings: Settings,
}

impl Place {
    fn new(uncaught: UncaughtResponse) -> Self {
        let world = World::real();
        let log = MemoryLog::new(&world);
        let settings = Settings {
            world,
            commit_interval_ms: 5,
            uncaught: uncaught.into(),
            ..Settings::default()
        };
        let place = Self { log, settings };
        let mut writer = place.writer();
        for topic in ["in", "out"] {
            writer.ensure_topic(topic, 4).unwrap();
        }
        place
    }

    fn writer(&self) -> SourceWriter {
        SourceWriter::open(&*self.log, "app", "test", &self.settings).unwrap()
    }

    fn start(&self, failures: usize) -> Running {
        start(copying(failures), &self.log, self.settings.clone()).unwrap()
    }

    fn load(&self) {
        let mut writer = self.writer();
        for number in 0..RECORDS {
            writer.append("in", &number, &number, number).unwrap();
        }
        writer.commit(1).unwrap();
    }

    #[track_caller]
    fn check_copied(&self) {
        let copied = read_all(&*self.log, &self.settings.world, "out");
        assert_eq!(copied.len(), RECORDS as usize);
    }
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_worker_that_fails_is_replaced_where_that_is_wanted() {
    let place = Place::new(UncaughtResponse::ReplaceThread);
    let running = place.start(2);
    place.load();
    running.caught_up(WAIT).unwrap();
    assert_eq!((running.workers(), running.running_tasks()), (1, 4));
    running.stop(WAIT).unwrap();
    place.check_copied();
}

#[test]
fn a_process_that_fails_leaves_the_others_alone() {
    let place = Place::new(UncaughtResponse::ShutdownClient);
    let (one, other) = (place.start(1), place.start(1));
    until("a share for each", || {
        one.running_tasks() == 2 && other.running_tasks() == 2
    });
    place.load();
    until("the failure of one", || one.failed() || other.failed());
    let (failed, left) = if one.failed() {
        (one, other)
    } else {
        (other, one)
    };
    let error = failed.stop(WAIT).unwrap_err();
    assert!(error.to_string().contains("too heavy"), "{error}");
    // It fails once as well, and so does nobody after it.
    until("the failure of the other", || left.failed());
    assert!(left.stop(WAIT).is_err());
    let running = place.start(0);
    running.caught_up(WAIT).unwrap();
    running.stop(WAIT).unwrap();
    place.check_copied();
}

#[test]
fn the_whole_application_stops_where_that_is_wanted() {
    let place = Place::new(UncaughtResponse::ShutdownApplication);
    let (one, other) = (place.start(1), place.start(1));
    until("a share for each", || {
        one.running_tasks() == 2 && other.running_tasks() == 2
    });
    place.load();
    until("the end of both", || one.failed() && other.failed());
    let errors = [one, other].map(|it| it.stop(WAIT).unwrap_err());
    let failed = errors
        .iter()
        .find(|it| it.to_string().contains("too heavy"));
    assert!(failed.is_some(), "{errors:?}");
    let stopped = errors.iter().find(|it| matches!(it, Error::Group(_)));
    let stopped = stopped.map(ToString::to_string).unwrap_or_default();
    assert!(stopped.contains("whole application"), "{errors:?}");
    // Whoever starts later is not concerned.
    let running = place.start(0);
    running.caught_up(WAIT).unwrap();
    running.stop(WAIT).unwrap();
    place.check_copied();
}
