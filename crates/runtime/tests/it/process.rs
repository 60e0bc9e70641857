//! A process at work: workers that come and go, pauses, internal topics that are not what the topology needs.
//! Not the group's hand-over, which the log's own tests have. Invariant: whatever comes and goes, results are the undisturbed ones.

use crate::application::{differences, expected, load, load_until, results, topology};
use headwater_log::{ClientOptions, Log, MemoryLog, NewTopic, Request, call};
use headwater_runtime::{Error, Role, Running, Settings, start};
use headwater_world::World;
use std::sync::Arc;
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(30);

fn settings(world: &World) -> Settings {
    Settings {
        world: world.clone(),
        commit_interval_ms: 5,
        ..Settings::default()
    }
}

fn begin(log: &Arc<dyn Log>, settings: &Settings) -> Running {
    start(Arc::into_inner(topology()).unwrap(), log, settings.clone()).unwrap()
}

fn check(log: &Arc<dyn Log>, world: &World) {
    let differences = differences(&results(&**log, world), &expected());
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn workers_come_and_go_while_records_are_processed() {
    let world = World::real();
    let log: Arc<dyn Log> = MemoryLog::new(&world);
    let settings = settings(&world);
    load_until(&*log, &settings, 12).unwrap();
    let running = begin(&log, &settings);
    assert_eq!(running.add_worker().unwrap(), 2);
    running.caught_up(WAIT).unwrap();
    assert_eq!(running.workers(), 2);
    load_until(&*log, &settings, 24).unwrap();
    assert_eq!(running.remove_worker(WAIT).unwrap(), Some(2));
    load_until(&*log, &settings, 36).unwrap();
    running.caught_up(WAIT).unwrap();
    let active = running
        .tasks()
        .into_iter()
        .filter(|it| it.role == Role::Active);
    assert_eq!(active.count(), 4);
    // The number of one that is gone comes again.
    assert_eq!(running.add_worker().unwrap(), 2);
    assert_eq!(running.remove_worker(WAIT).unwrap(), Some(2));
    assert_eq!(running.remove_worker(WAIT).unwrap(), Some(1));
    assert_eq!(running.remove_worker(WAIT).unwrap(), None);
    load(&*log, &settings).unwrap();
    assert_eq!(running.add_worker().unwrap(), 1);
    running.caught_up(WAIT).unwrap();
    running.stop(WAIT).unwrap();
    check(&log, &world);
}

#[test]
fn a_paused_process_processes_nothing_and_keeps_its_tasks() {
    let world = World::real();
    let log: Arc<dyn Log> = MemoryLog::new(&world);
    let settings = Settings {
        session_timeout_ms: 200,
        ..settings(&world)
    };
    load_until(&*log, &settings, 12).unwrap();
    let running = begin(&log, &settings);
    running.caught_up(WAIT).unwrap();
    running.pause();
    assert!(running.is_paused());
    // A step that had begun may still end.
    running.caught_up(WAIT).unwrap();
    let before = running.records();
    load(&*log, &settings).unwrap();
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(running.records(), before);
    assert_eq!(running.running_tasks(), 4);
    running.resume();
    running.caught_up(WAIT).unwrap();
    running.stop(WAIT).unwrap();
    check(&log, &world);
}

/// What a start says when `topic` was there before, with these partitions and this policy.
fn refusal(topic: &str, partitions: u32, policy: &str) -> String {
    let world = World::real();
    let log: Arc<dyn Log> = MemoryLog::new(&world);
    let settings = settings(&world);
    let mut client = log.client(ClientOptions::default()).unwrap();
    let config = [("cleanup.policy".to_owned(), policy.to_owned())].into();
    let topic = NewTopic {
        name: topic.into(),
        partitions,
        config,
    };
    call(
        &mut *client,
        &*world.clock,
        Request::CreateTopics(vec![topic]),
        1_000,
    )
    .unwrap();
    load(&*log, &settings).unwrap();
    let running = begin(&log, &settings);
    let waited = running.caught_up(Duration::from_secs(5));
    assert!(waited.is_err(), "it ran");
    match running.stop(WAIT) {
        Err(Error::Config(message)) => message,
        other => panic!("{other:?} after {waited:?}"),
    }
}

#[test]
fn a_changelog_that_forgets_rows_is_refused() {
    let message = refusal("app-sums-changelog", 2, "delete");
    assert!(
        message.contains("app-sums-changelog") && message.contains("compact"),
        "{message}"
    );
}

#[test]
fn a_repartition_topic_that_forgets_records_is_refused() {
    let message = refusal("app-regions-repartition", 2, "compact");
    assert!(message.contains("app-regions-repartition"), "{message}");
}
