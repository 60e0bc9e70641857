//! Suppression beyond what the corpus shows: rows on disk, restarts, old values, bounds that are passed.
//! Not the bytes: those are in the corpus. Invariant: how much memory rows have changes nothing in what leaves.

use super::task::Bench;
use headwater_streams::{
    App, OnError, Semantics, Store, Suppress, TestDriver, TimeWindows, TopologySettings,
};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What leaves a table suppressed for 50 ms, and what its changelog says in the end.
fn run(seed: u64, suppress: Suppress<headwater_streams::TimeLimit>) -> (Vec<String>, Vec<String>) {
    let app = App::new("app");
    let table = app.table_in::<String, String>("in", Store::from("rows").without_cache());
    table.suppress(suppress).to_stream().to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    let (mut state, mut time) = (seed, 0);
    for step in 0..3000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let key = format!("key-{:03}", (state >> 33) % 400);
        let value = (state >> 20) % 10;
        let value = (value > 1).then(|| format!("{step}"));
        time += (state >> 50) as i64 % 2;
        let at = time - (state >> 56) as i64 % 9;
        driver
            .pipe("in", key, value.unwrap_or_default(), at.max(0))
            .unwrap();
    }
    let out = driver.read_raw("out").into_iter();
    let out = out.map(|record| format!("{record:?}")).collect();
    let mut held = std::collections::BTreeMap::new();
    for record in driver.read_raw("app-KTABLE-SUPPRESS-STATE-STORE-0000000003-changelog") {
        held.insert(record.key.clone(), record.value.clone());
    }
    let store = driver
        .entries_raw("KTABLE-SUPPRESS-STATE-STORE-0000000003")
        .unwrap();
    held.retain(|_, value| value.is_some());
    let changelog: Vec<_> = held
        .into_iter()
        .map(|(key, value)| (key.unwrap(), value.unwrap()))
        .collect();
    assert_eq!(changelog, store, "the changelog holds what the store holds");
    let held = changelog.iter().map(|row| format!("{row:?}")).collect();
    (out, held)
}

#[test]
fn rows_beyond_the_bound_of_memory_leave_as_if_they_were_in_it() {
    for seed in 1..5 {
        let until = || Suppress::until_time_limit(ms(300));
        let all = run(seed, until());
        assert!(all.0.len() > 500, "enough rows leave to tell");
        for bytes in [1, 1000, 4000, 30_000] {
            assert_eq!(
                run(seed, until().memory_bytes_max(bytes)),
                all,
                "seed {seed}, {bytes} bytes"
            );
        }
        let early = || until().max_records(50).emit_early_when_full();
        assert_eq!(
            run(seed, early().memory_bytes_max(3000)),
            run(seed, early()),
            "seed {seed}"
        );
    }
}

fn final_counts(app: &App) {
    app.stream::<String, String>("in")
        .group_by_key()
        .windowed_by(TimeWindows::of(ms(10)))
        .count("counts")
        .suppress(Suppress::until_window_closes().memory_bytes_max(1000))
        .to_stream()
        .map(|window, count| (window.key, format!("{count} in {}", window.start)))
        .to("out");
}

#[test]
fn what_is_held_back_survives_a_restart() {
    let mut bench = Bench::new(final_counts, &[]);
    let keys: Vec<String> = (0..40).map(|key| format!("k{key:02}")).collect();
    let records: Vec<_> = keys.iter().map(|key| (key.as_str(), "", 5)).collect();
    bench.feed(0, &records);
    bench.process(100);
    bench = bench.restart();
    bench.written();
    bench.feed(0, &[("k07", "", 6), ("last", "", 20)]);
    bench.process(100);
    bench.flush();
    let written = bench.written();
    let out: Vec<_> = written
        .iter()
        .filter(|line| line.starts_with("#0"))
        .collect();
    let expected: Vec<_> = keys
        .iter()
        .map(|key| match key.as_str() {
            "k07" => "#0 k07 2 in 0 @6".to_owned(),
            key => format!("#0 {key} 1 in 0 @5"),
        })
        .collect();
    assert_eq!(out, expected.iter().collect::<Vec<_>>());
    let mut bench = bench.restart();
    bench.feed(0, &[("last", "", 40)]);
    bench.process(100);
    bench.flush();
    let written = bench.written();
    let out: Vec<_> = written
        .iter()
        .filter(|line| line.starts_with("#0"))
        .collect();
    assert_eq!(out, ["#0 last 1 in 20 @20"], "nothing leaves twice");
}

#[test]
fn a_late_update_waits_no_longer_after_a_restart_than_before() {
    let build = |app: &App| {
        let table = app.table_in::<String, String>("in", Store::from("rows").without_cache());
        let suppress = Suppress::until_time_limit(ms(10));
        table.suppress(suppress).to_stream().to("out");
    };
    let mut bench = Bench::new(build, &[]);
    bench.feed(0, &[("a", "1", 5), ("b", "1", 14)]);
    bench.process(100);
    let mut bench = bench.restart();
    bench.written();
    bench.feed(0, &[("late", "1", 2)]);
    bench.process(100);
    bench.flush();
    let written = bench.written();
    let out = written.iter().filter(|line| line.starts_with("#0"));
    assert_eq!(out.collect::<Vec<_>>(), ["#0 late 1 @2"]);
}

#[test]
fn a_full_buffer_stops_the_application_and_says_how_to_go_on() {
    let app = App::new("app");
    let table = app.table_in::<String, String>("in", Store::from("rows").without_cache());
    let suppress = Suppress::until_time_limit(ms(100)).max_records(2);
    table.named("calm").suppress(suppress).to_stream().to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    let mut pipe = |key: &str| driver.pipe("in", key.to_owned(), "v".to_owned(), 1);
    pipe("a").unwrap();
    pipe("b").unwrap();
    let error = pipe("c").unwrap_err().to_string();
    for part in [
        "calm failed",
        "3 rows of max_records(2)",
        "emit_early_when_full",
    ] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

#[test]
fn a_table_without_windows_cannot_wait_for_their_close() {
    let app = App::new("app");
    app.stream::<String, String>("in")
        .group_by_key()
        .windowed_by(TimeWindows::of(ms(10)))
        .count("counts")
        .to_stream()
        .merge(app.stream("windowed"))
        .to_table("merged")
        .suppress(Suppress::until_window_closes());
    let error = app.build().unwrap_err().to_string();
    for part in ["KTABLE-SUPPRESS-", "Suppress::until_time_limit"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

#[test]
fn a_full_buffer_stops_the_application_also_where_failures_are_passed_over() {
    // How many of six rows are taken by a buffer of two.
    let taken = |semantics| {
        let app = App::new("app");
        app.configure(TopologySettings {
            semantics,
            on_error: OnError::Skip,
            ..TopologySettings::default()
        });
        let table = app.table_in::<String, String>("in", Store::from("rows").without_cache());
        let suppress = Suppress::until_time_limit(ms(100)).max_records(2);
        table.suppress(suppress).to_stream().to("out");
        let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
        let mut keys = ["a", "b", "c", "d", "e", "f"].into_iter();
        keys.position(|key| {
            let piped = driver.pipe("in", key.to_owned(), "v".to_owned(), 1);
            piped.is_err_and(|error| error.to_string().contains("3 rows of max_records(2)"))
        })
    };
    assert_eq!(taken(Semantics::Headwater), Some(2));
    assert_eq!(taken(Semantics::Java), None, "the bound is none");
}

/// The counts by value of a table of which each key is suppressed for 10 ms.
fn counts_by_value(semantics: Semantics) -> Vec<(String, Option<u64>)> {
    let app = App::new("app");
    app.configure(TopologySettings {
        semantics,
        ..TopologySettings::default()
    });
    app.table_in::<String, String>("in", Store::from("rows").without_cache())
        .suppress(Suppress::until_time_limit(ms(10)))
        .group_by(|_, value| (value, 1_i64))
        .count(Store::from("counts").without_cache())
        .to_stream()
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    for (key, value, at) in [
        ("b", "x", 0),
        ("a", "x", 20),
        ("a", "y", 21),
        ("c", "z", 50),
    ] {
        driver
            .pipe("in", key.to_owned(), value.to_owned(), at)
            .unwrap();
    }
    let out = driver.read::<String, u64>("out").unwrap();
    out.into_iter()
        .map(|(key, count, _)| (key, count))
        .collect()
}

#[test]
fn what_was_never_sent_on_is_not_taken_back() {
    let count = |key: &str, count| (key.to_owned(), Some(count));
    let ours = counts_by_value(Semantics::Headwater);
    assert_eq!(ours, [count("x", 1), count("y", 1)]);
    // `a` was `x` only while it was held back, and Kafka Streams takes it off the count all the same.
    let java = counts_by_value(Semantics::Java);
    assert!(java.contains(&count("x", 0)), "{java:?}");
}
