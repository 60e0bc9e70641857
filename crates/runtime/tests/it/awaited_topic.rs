//! Records for a topic that is not there: it is awaited, since a client may have to ask a broker, and not for ever.
//! Not topics that the topology names, which are looked up before. Invariant: what waited is written once, in its order.

use crate::application::read_all;
use headwater_log::{ClientOptions, Error as LogError, Log, MemoryLog, NewTopic, Request, call};
use headwater_runtime::{Error, Settings, SourceWriter, Worker};
use headwater_streams::{App, Topic};
use headwater_world::{Simulation, World};
use std::{sync::Arc, time::Duration};

/// More than a topic is awaited, in steps of 10 ms.
const STEPS_MAX: usize = 8_000;

fn worker(log: &Arc<MemoryLog>, settings: &Settings) -> Worker {
    let mut writer = SourceWriter::open(&**log, "app", "test", settings).unwrap();
    writer.ensure_topic("in", 1).unwrap();
    for number in 0..3i64 {
        writer
            .append("in", &number, &format!("text {number}"), number)
            .unwrap();
    }
    writer.commit(1).unwrap();
    let app = App::new("app");
    let letters: Topic<i64, String> = Topic::chosen_by(|_, _| "letters".into());
    app.stream::<i64, String>("in").to(letters);
    let topology = Arc::new(app.build().unwrap());
    Worker::join(&topology, &**log, settings.clone(), 1)
        .unwrap()
        .0
}

fn start(simulation: &Simulation) -> (Arc<MemoryLog>, Settings, Worker) {
    let log = MemoryLog::new(&simulation.world);
    let settings = Settings {
        world: crate::application::impatient(simulation),
        commit_interval_ms: 5,
        ..Settings::default()
    };
    let worker = worker(&log, &settings);
    (log, settings, worker)
}

#[test]
fn records_wait_for_a_topic_that_is_made_later() {
    let simulation = World::simulated(1);
    let (log, settings, mut worker) = start(&simulation);
    for step in 0..400 {
        simulation.clock.advance(Duration::from_millis(10));
        worker.step().unwrap();
        if step == 200 {
            let topic = NewTopic {
                name: "letters".into(),
                partitions: 1,
                config: Default::default(),
            };
            let mut client = log.client(ClientOptions::default()).unwrap();
            let request = Request::CreateTopics(vec![topic]);
            call(&mut *client, &*settings.world.clock, request, 1_000).unwrap();
        }
    }
    drop(worker);
    let found = read_all(&*log, &settings.world, "letters");
    let texts: Vec<_> = found
        .into_iter()
        .map(|(_, text)| String::from_utf8(text).unwrap())
        .collect();
    assert_eq!(texts, ["text 0", "text 1", "text 2"]);
}

#[test]
fn a_topic_that_never_comes_ends_the_worker_with_its_name() {
    let simulation = World::simulated(1);
    let (_log, _, mut worker) = start(&simulation);
    let begin = simulation.world.clock.elapsed();
    let mut failure = None;
    for _ in 0..STEPS_MAX {
        simulation.clock.advance(Duration::from_millis(10));
        if let Err(error) = worker.step() {
            failure = Some(error);
            break;
        }
    }
    let waited = simulation.world.clock.elapsed() - begin;
    assert!(waited >= Duration::from_secs(60), "{waited:?}");
    match failure {
        Some(Error::Log(LogError::UnknownTopic(topic))) => assert_eq!(topic, "letters"),
        other => panic!("{other:?}"),
    }
}
