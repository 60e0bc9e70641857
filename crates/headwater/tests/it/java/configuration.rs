//! Settings, policies and running. Not the table of names, which is `configuration.md`. Invariant: what stands between `snippet` and
//! `end` is on the page.

use super::check;
use headwater::prelude::*;
use headwater::{SourceWriter, UncaughtResponse};
use std::sync::atomic::{AtomicBool, Ordering};

// Java: topology.optimization, dsl.store.suppliers.class, ensure.explicit.internal.resource.naming
#[test]
fn settings_of_the_topology() {
    check(
        |app| {
            // snippet
            app.set("topology.optimization", "all").unwrap();
            app.set("dsl.store.suppliers.class", "in_memory").unwrap();
            app.set("ensure.explicit.internal.resource.naming", "true")
                .unwrap();
            // end
            app.table_in::<String, String>("in", "rows")
                .to_stream()
                .to("out");
        },
        &[("a", "1")],
        &[("a", "1")],
    );
}

// Java: processing.exception.handler, deserialization.exception.handler, errors.dead.letter.queue.topic.name
#[test]
fn policies_for_errors() {
    check(
        |app| {
            // snippet
            app.set(
                "processing.exception.handler",
                "LogAndContinueProcessingExceptionHandler",
            )
            .unwrap();
            app.set("errors.dead.letter.queue.topic.name", "letters")
                .unwrap();
            // end
            app.stream::<String, String>("in")
                .map_values(|value| match value.as_str() {
                    "bad" => panic!("a value that is bad"),
                    _ => value,
                })
                .to("out");
        },
        &[("a", "bad"), ("b", "good")],
        &[("b", "good")],
    );
}

// Java: StreamsConfig, new KafkaStreams(topology, properties).start(), KafkaStreams.close(..)
#[test]
fn running() {
    fn application(directory: &std::path::Path) -> Result<()> {
        // snippet
        let app = App::new("shouting"); // application.id
        app.stream::<String, String>("in")
            .map_values(|line| line.to_uppercase())
            .to("out");
        let settings = Settings::default().with_properties([
            ("processing.guarantee", "exactly_once_v2"),
            ("num.stream.threads", "2"),
            ("commit.interval.ms", "50"),
        ])?;
        let log = EmbeddedLog::open(directory)?; // or Kafka::at("localhost:9092")?
        headwater::run_to_end_with(app.build()?, log, settings)?; // or headwater::start_with(..)
        // end
        Ok(())
    }
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    for topic in ["in", "out"] {
        crate::fixture::ensure_topic(&*log.shared(), topic, 1);
    }
    drop(log);
    application(directory.path()).unwrap();
}

// Java: KafkaStreams.setUncaughtExceptionHandler(StreamsUncaughtExceptionHandler)
#[test]
fn what_follows_a_failure() {
    // snippet
    let settings = Settings {
        // Or ShutdownClient, the default, or ShutdownApplication: instances of Kafka Streams in the same streams group end
        // with ours, and ours with theirs. By the error: UncaughtHandler::new(|error| ..).
        uncaught: UncaughtResponse::ReplaceThread.into(),
        ..Settings::default()
    };
    // end
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let shared = log.shared();
    for topic in ["in", "out"] {
        crate::fixture::ensure_topic(&*shared, topic, 1);
    }
    let mut writer = SourceWriter::open(&*shared, "app", "file", &settings).unwrap();
    writer
        .append("in", &1_u64, &"bad luck".to_owned(), 1)
        .unwrap();
    writer.commit(1).unwrap();
    let has_failed = AtomicBool::new(false);
    let app = App::new("app");
    app.stream::<u64, String>("in")
        .filter(move |_, _| {
            assert!(has_failed.swap(true, Ordering::AcqRel), "once");
            true
        })
        .to("out");
    headwater::run_to_end_with(app.build().unwrap(), log, settings).unwrap();
    assert_eq!(crate::fixture::read(&*shared, "out").len(), 1);
}

// Java: TopologyTestDriver, TestInputTopic, TestOutputTopic
#[test]
fn the_test_driver() {
    let app = App::new("app");
    app.stream::<String, String>("in").to("out");
    let topology = app.build().unwrap();
    // snippet
    let mut driver = TestDriver::new(topology).unwrap();
    driver
        .pipe("in", "key".to_owned(), "value".to_owned(), 7)
        .unwrap();
    let out = driver.read::<String, String>("out").unwrap();
    assert_eq!(out, [("key".to_owned(), Some("value".to_owned()), 7)]);
    // end
}
