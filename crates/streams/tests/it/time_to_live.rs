//! Rows that leave tables when their time is over: to the operator at once, to everybody by the sweep, across restarts.
//! Not retention of windows. Invariant: each test drives a whole topology, its times in ms.

use crate::task::Bench;
use headwater_streams::{App, KTable, Store, TestDriver, TimeWindows};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn driver(build: impl FnOnce(&App)) -> TestDriver {
    let app = App::new("app");
    build(&app);
    TestDriver::new(app.build().unwrap()).unwrap()
}

fn pipe(driver: &mut TestDriver, topic: &str, key: &str, value: &str, time: i64) -> Vec<String> {
    driver
        .pipe(topic, key.to_owned(), value.to_owned(), time)
        .unwrap();
    let out = driver.read::<String, String>("out").unwrap().into_iter();
    out.map(|(key, value, time)| format!("{key} {} @{time}", value.unwrap_or("-".into())))
        .collect()
}

fn counts(app: &App, time_to_live: u64) {
    let store = Store::from("counts").without_cache();
    app.stream::<String, String>("in")
        .group_by_key()
        .count(store.time_to_live(ms(time_to_live)))
        .map_values(|count| count.to_string())
        .to_stream()
        .to("out");
}

#[test]
fn a_row_leaves_when_its_time_is_over_and_begins_anew() {
    let mut driver = driver(|app| counts(app, 10));
    assert_eq!(pipe(&mut driver, "in", "a", "", 0), ["a 1 @0"]);
    assert_eq!(pipe(&mut driver, "in", "a", "", 5), ["a 2 @5"]);
    assert_eq!(
        pipe(&mut driver, "in", "b", "", 15),
        ["b 1 @15"],
        "ends after 15"
    );
    assert_eq!(pipe(&mut driver, "in", "b", "", 17), ["b 2 @17", "a - @15"]);
    assert_eq!(pipe(&mut driver, "in", "a", "", 18), ["a 1 @18"]);
    assert_eq!(driver.entries_raw("counts").unwrap().len(), 2);
}

#[test]
fn to_its_aggregate_a_row_is_gone_before_the_sweep() {
    let mut driver = driver(|app| counts(app, 80));
    assert_eq!(pipe(&mut driver, "in", "a", "", 0), ["a 1 @0"]);
    assert_eq!(pipe(&mut driver, "in", "b", "", 85), ["b 1 @85"]);
    assert_eq!(pipe(&mut driver, "in", "a", "", 86), ["a - @80", "a 1 @86"]);
}

#[test]
fn a_table_of_a_topic_takes_back_what_it_gave() {
    let mut driver = driver(|app| {
        let store = Store::from("rows").time_to_live(ms(10));
        let rows: KTable<'_, String, String> = app.table_in("in", store);
        rows.group_by(|key, value| (value.clone(), key.clone()))
            .count("keys-of-value")
            .map_values(|count| count.to_string())
            .to_stream()
            .to("out");
    });
    assert_eq!(pipe(&mut driver, "in", "a", "x", 0), ["x 1 @0"]);
    assert_eq!(pipe(&mut driver, "in", "b", "x", 5), ["x 2 @5"]);
    assert_eq!(
        pipe(&mut driver, "in", "c", "y", 14),
        ["y 1 @14", "x 1 @10"]
    );
    assert_eq!(
        pipe(&mut driver, "in", "b", "y", 15),
        ["x 0 @15", "y 2 @15"]
    );
}

#[test]
fn a_join_finds_no_row_whose_time_is_over() {
    let mut driver = driver(|app| {
        let store = Store::from("rows").time_to_live(ms(80));
        let rows: KTable<'_, String, String> = app.table_in("rows", store);
        app.stream::<String, String>("in")
            .left_join(rows, |value, row| format!("{value} {row:?}"))
            .to("out");
    });
    pipe(&mut driver, "rows", "a", "row", 0);
    assert_eq!(
        pipe(&mut driver, "in", "a", "x", 80),
        ["a x Some(\"row\") @80"]
    );
    assert_eq!(pipe(&mut driver, "in", "a", "y", 81), ["a y None @81"]);
    assert_eq!(
        driver.entries_raw("rows").unwrap().len(),
        1,
        "until the sweep"
    );
    pipe(&mut driver, "in", "b", "z", 90);
    assert!(driver.entries_raw("rows").unwrap().is_empty());
}

#[test]
fn a_restart_goes_on_where_the_sweep_was() {
    let mut bench = Bench::new(|app| counts(app, 10), &[]);
    bench.feed(0, &[("a", "", 0), ("b", "", 3)]);
    bench.process(9);
    bench.flush();
    let mut bench = bench.restart();
    bench.written();
    bench.feed(0, &[("c", "", 12), ("b", "", 13)]);
    bench.process(9);
    bench.flush();
    let written = bench.written();
    let expected = ["to 2 changelog 0 a - @10", "#0 a - @10"];
    for line in expected {
        assert!(written.contains(&line.to_owned()), "{line} in {written:?}");
    }
    assert!(written.contains(&"#0 b 2 @13".to_owned()), "{written:?}");
}

#[test]
fn many_rows_leave_in_several_sweeps() {
    const ROWS: usize = 40_000;
    let mut bench = Bench::new(|app| counts(app, 10), &[]);
    let keys: Vec<String> = (0..ROWS).map(|number| format!("{number:06}")).collect();
    for keys in keys.chunks(1_000) {
        let records: Vec<(&str, &str, i64)> = keys.iter().map(|key| (&**key, "", 0)).collect();
        bench.feed(0, &records);
        bench.process(1_000);
    }
    bench.flush();
    bench.written();
    bench.feed(0, &[("end", "", 100)]);
    bench.process(1);
    let mut left = Vec::new();
    for _ in 0..4 {
        bench.flush();
        let written = bench.written().into_iter();
        left.push(written.filter(|line| line.ends_with(" - @10")).count());
    }
    // Of each row one line to the changelog and one to the topic.
    assert_eq!(left.iter().sum::<usize>(), 2 * ROWS, "{left:?}");
    assert!(left[0] > 0 && left[0] <= 2 * 16_384, "{left:?}");
}

#[test]
fn what_has_no_rows_of_that_kind_is_refused() {
    type Build = fn(&App);
    let refused: [(&str, Build); 4] = [
        ("windows", |app| {
            let windows = TimeWindows::of(ms(5));
            let input = app.stream::<String, String>("in").group_by_key();
            input
                .windowed_by(windows)
                .count(Store::from("s").time_to_live(ms(9)));
        }),
        ("versions", |app| {
            let store = Store::from("s").versioned(ms(10)).time_to_live(ms(9));
            app.table_in::<String, String>("in", store);
        }),
        ("processors", |app| {
            app.store::<String, String>(Store::from("s").time_to_live(ms(9)));
        }),
        ("derived rows", |app| {
            let rows = app.table::<String, String>("in");
            rows.filter_in(|_, _| true, Store::from("s").time_to_live(ms(9)));
        }),
    ];
    for (what, build) in refused {
        let app = App::new("app");
        build(&app);
        let error = app.build().unwrap_err().to_string();
        assert!(
            error.contains("store 's' cannot have Store::time_to_live"),
            "{what}: {error}"
        );
    }
}
