//! Internal topics that somebody else made otherwise than the topology needs them. Not their creation, which is the coordinator's.
//! Invariant: what is wrong is told with the topic, what it has and what helps, and nothing is processed that would be lost.

use crate::application::{
    differences, expected, impatient, is_done, load, results, topology_in_memory,
};
use headwater_log::{ClientOptions, Log, MemoryLog, NewTopic, Request, call};
use headwater_runtime::{Listener, Settings, Worker};
use headwater_world::{Simulation, World};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CALL_MS_MAX: u64 = 30_000;
/// Of 10 ms: enough for all of the input, which takes a few hundred.
const STEPS: usize = 2_000;
/// Partitions of the input, hence of every internal topic.
const RIGHT: u32 = 2;

#[derive(Default)]
struct Ear(Mutex<Vec<String>>);

impl Listener for Ear {
    fn notice(&self, message: &str) {
        self.0.lock().unwrap().push(message.into());
    }
}

/// What became of the application.
struct Outcome {
    simulation: Simulation,
    log: Arc<MemoryLog>,
    notices: Vec<String>,
    /// What its worker ended with.
    error: Option<String>,
    running: usize,
}

impl Outcome {
    fn is_done(&self) -> bool {
        is_done(&*self.log, &impatient(&self.simulation)).unwrap()
    }
}

/// Runs the application where this topic is there already.
fn run(name: &str, partitions: u32, config: &[(&str, &str)]) -> Outcome {
    let simulation = World::simulated(5);
    let log = MemoryLog::new(&simulation.world);
    let ear = Arc::new(Ear::default());
    let settings = Settings {
        world: impatient(&simulation),
        commit_interval_ms: 5,
        listener: ear.clone(),
        ..Settings::default()
    };
    let config = config
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let topic = NewTopic {
        name: name.into(),
        partitions,
        config: config.collect(),
    };
    let mut client = log.client(ClientOptions::default()).unwrap();
    let create = Request::CreateTopics(vec![topic]);
    call(&mut *client, &*settings.world.clock, create, CALL_MS_MAX).unwrap();
    load(&*log, &settings).unwrap();
    let (mut worker, _) = Worker::join(&topology_in_memory(), &*log, settings, 1).unwrap();
    let error = (0..STEPS).find_map(|_| {
        simulation.clock.advance(Duration::from_millis(10));
        worker.step().err().map(|error| error.to_string())
    });
    let running = worker.running().count();
    drop(worker);
    let notices = ear.0.lock().unwrap().clone();
    Outcome {
        simulation,
        log,
        notices,
        error,
        running,
    }
}

#[track_caller]
fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no '{word}' in: {text}");
    }
}

/// The group waits, and says for what.
#[track_caller]
fn check_count(topic: &str) {
    for found in [RIGHT - 1, RIGHT + 1] {
        let outcome = run(topic, found, &[]);
        assert_eq!(outcome.running, 0, "{topic}");
        assert_eq!(outcome.error, None, "{topic}");
        let told = outcome.notices.join("\n");
        let has = format!("has {found} partitions where {RIGHT} are expected");
        holds(&told, &[topic, &has, "reset the application"]);
        assert_eq!(outcome.notices.len(), 1, "told once: {told}");
        assert!(!outcome.is_done(), "{topic}");
    }
}

#[test]
fn a_changelog_with_other_partitions_holds_the_group_up_by_name() {
    check_count("app-sums-changelog");
}

#[test]
fn a_repartition_topic_with_other_partitions_holds_the_group_up_by_name() {
    check_count("app-regions-repartition");
}

#[test]
fn a_windowed_changelog_that_forgets_too_early_is_told_and_the_application_runs() {
    let config = [
        ("cleanup.policy", "compact,delete"),
        ("retention.ms", "1234"),
    ];
    let outcome = run("app-windows-changelog", RIGHT, &config);
    assert_eq!(outcome.error, None);
    let notices = &outcome.notices;
    assert_eq!(notices.len(), 1, "told once for all its tasks: {notices:?}");
    // Ten ms of a window, a second of grace, and the day that Kafka Streams adds.
    let words = [
        "'app-windows-changelog'",
        "retention.ms=1234",
        "86401010",
        "set it to",
    ];
    holds(&notices[0], &words);
    assert!(outcome.is_done());
    let found = results(&*outcome.log, &impatient(&outcome.simulation));
    let differences = differences(&found, &expected());
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn a_retention_that_is_long_enough_or_endless_is_not_told() {
    for retention in ["86401010", "-1"] {
        let config = [
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", retention),
        ];
        let outcome = run("app-windows-changelog", RIGHT, &config);
        assert_eq!(outcome.notices, [""; 0], "{retention}");
        assert!(outcome.is_done(), "{retention}");
    }
}

#[test]
fn a_topic_that_would_lose_records_ends_the_worker_with_its_name_and_the_cure() {
    for (topic, policy, right) in [
        ("app-sums-changelog", "delete", "set it to 'compact'"),
        ("app-regions-repartition", "compact", "set it to 'delete'"),
    ] {
        let outcome = run(topic, RIGHT, &[("cleanup.policy", policy)]);
        let has = format!("cleanup.policy={policy}");
        holds(&outcome.error.clone().unwrap(), &[topic, &has, right]);
        assert!(!outcome.is_done(), "{topic}");
    }
}
