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

/// The windows that a record far ahead closes, in the order in which they leave a store that the application has made itself.
fn order_of_closed(semantics: Semantics) -> Vec<(String, i64)> {
    let app = app(semantics);
    let windows = TimeWindows::of(Duration::from_millis(10)).grace(Duration::from_millis(50));
    let text = |window: Windowed<String>, _: u64| (window.key, window.start.to_string());
    app.stream::<String, String>("in")
        .group_by_key()
        .windowed_by(windows)
        .emit_strategy(EmitStrategy::OnWindowClose)
        .count(Store::from("counts").plain().retention(100 * SECOND))
        .to_stream()
        .map(text)
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    for (key, timestamp) in [("c", 100), ("a", 129), ("c", 1_000)] {
        let (key, value) = (key.to_owned(), "x".to_owned());
        driver.pipe("in", key, value, timestamp).unwrap();
    }
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let out = driver.read_raw("out").into_iter();
    out.map(|record| (text(record.key), text(record.value).parse().unwrap()))
        .collect()
}

#[test]
fn closed_windows_leave_in_the_order_of_their_times_from_every_store() {
    let (c, a) = (("c".to_owned(), 100), ("a".to_owned(), 120));
    assert_eq!(
        order_of_closed(Semantics::Headwater),
        [c.clone(), a.clone()]
    );
    assert_eq!(order_of_closed(Semantics::Java), [a, c]);
}

/// Changelog records of one record in two windows, with a record cache that does not hold both.
fn logged_with_headers(semantics: Semantics) -> usize {
    let app = App::new("app");
    app.configure(TopologySettings {
        semantics,
        stores_with_headers: true,
        ..TopologySettings::default()
    });
    let windows = TimeWindows::of(Duration::from_millis(10));
    let windows = windows.advance_by(Duration::from_millis(3));
    app.stream::<String, String>("in")
        .group_by_key()
        .windowed_by(windows.grace(Duration::from_millis(50)))
        .emit_strategy(EmitStrategy::OnWindowClose)
        .count("counts");
    let mut driver = TestDriver::with_cache(app.build().unwrap(), 200).unwrap();
    let (key, value) = ("b".to_owned(), "1".to_owned());
    driver.pipe("in", key, value, 5).unwrap();
    driver.read_raw("app-counts-changelog").len()
}

#[test]
fn a_row_with_headers_goes_to_the_changelog_once() {
    assert_eq!(logged_with_headers(Semantics::Headwater), 2);
    assert_eq!(logged_with_headers(Semantics::Java), 3);
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
