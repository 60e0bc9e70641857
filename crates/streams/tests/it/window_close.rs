//! Where windows are right and Kafka Streams' are not: results of windows that close, and late records after a restart.
//! Not the corpus: it holds both to Kafka Streams' own. Invariant: each test shows both results;
//! `docs/better-than-kafka-streams.md` tells them.

use crate::task::Bench;
use headwater_streams::{
    App, EmitStrategy, KGroupedStream, Semantics, SessionWindows, Store, TestDriver, TimeWindows,
    TopologySettings, Windowed,
};
use std::time::Duration;

const WINDOWS: i64 = 200;
const SECOND: Duration = Duration::from_secs(1);

type Grouped<'a> = KGroupedStream<'a, String, String>;

fn app(semantics: Semantics) -> App {
    let app = App::new("app");
    app.configure(TopologySettings {
        semantics,
        ..TopologySettings::default()
    });
    app
}

/// How many of 200 windows of a key, 5 s apart, have a result once a later record has closed them all.
fn emitted(semantics: Semantics, first: i64, count: fn(Grouped<'_>)) -> usize {
    let app = app(semantics);
    count(app.stream("in").group_by_key());
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    for window in 0..=WINDOWS {
        let (key, value) = ("a".to_owned(), "x".to_owned());
        let timestamp = first + window * 5_000;
        driver.pipe("in", key, value, timestamp).unwrap();
    }
    driver.read_raw("out").len()
}

#[track_caller]
fn check(first: i64, count: fn(Grouped<'_>), java: usize) {
    assert_eq!(emitted(Semantics::Java, first, count), java);
    let all = WINDOWS as usize;
    assert_eq!(emitted(Semantics::Headwater, first, count), all);
}

fn tumbling(grouped: Grouped<'_>) {
    let windows = grouped.windowed_by(TimeWindows::of(SECOND));
    let counts = windows
        .emit_strategy(EmitStrategy::OnWindowClose)
        .count(Store::from("counts").without_cache());
    counts.to_stream().to("out");
}

fn sessions(grouped: Grouped<'_>, store: Store<String, u64>) {
    let sessions = grouped.windowed_by(SessionWindows::of(SECOND));
    let sessions = sessions.emit_strategy(EmitStrategy::OnWindowClose);
    sessions.count(store).to_stream().to("out");
}

#[test]
fn no_window_is_lost_when_results_come_on_close() {
    check(0, tumbling, 0);
}

#[test]
fn no_session_in_memory_is_lost_when_results_come_on_close() {
    check(
        0,
        |grouped| sessions(grouped, Store::from("counts").in_memory()),
        0,
    );
}

#[test]
fn no_session_that_ends_before_a_boundary_of_segments_is_lost() {
    check(
        4_999,
        |grouped| sessions(grouped, Store::from("counts")),
        184,
    );
}

/// What is written for a late record after a restart.
fn written_late(semantics: Semantics) -> usize {
    let build = move |app: &App| {
        app.configure(TopologySettings {
            semantics,
            ..TopologySettings::default()
        });
        let windows = app
            .stream::<String, String>("in")
            .group_by_key()
            .windowed_by(TimeWindows::of(SECOND));
        let counts = windows.count(Store::from("counts").without_cache());
        let text = |window: Windowed<String>, count: Option<u64>| {
            (window.key, count.map(|count| count.to_string()))
        };
        counts.to_stream().with_nulls().map(text).to("out");
    };
    let mut bench = Bench::new(build, &[]);
    bench.feed(0, &[("a", "x", 0), ("b", "x", 5_000)]);
    bench.process(10);
    let mut bench = bench.restart();
    bench.written();
    bench.feed(0, &[("a", "late", 1)]);
    bench.process(10);
    bench.written().len()
}

#[test]
fn a_late_record_is_late_after_a_restart_too() {
    assert_eq!(written_late(Semantics::Java), 2);
    assert_eq!(written_late(Semantics::Headwater), 0);
}
