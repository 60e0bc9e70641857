//! Joins with grace beyond what the corpus shows: restarts, failing closures, what is refused, tables without a key's row.
//! Not the bytes: those are in the corpus. Invariant: a record that waits leaves once.

use super::task::Bench;
use headwater_streams::{App, OnError, Store, TestDriver, TopologySettings};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn prices(app: &App) {
    let prices =
        app.table_in::<String, String>("prices", Store::named("prices").versioned(ms(100)));
    app.stream::<String, String>("sales")
        .left_join(prices.grace(ms(10)), |sale, price| {
            assert_ne!(sale, "bad", "a sale that cannot be priced");
            format!("{sale} for {}", price.map_or("?", String::as_str))
        })
        .to("out");
}

/// A task that waits for no producer.
fn restarted(bench: Bench) -> Bench {
    let mut bench = bench.restart();
    bench.task.set_idle_ms_max(-1);
    bench
}

fn out(bench: &mut Bench) -> Vec<String> {
    let written = bench.written().into_iter();
    written.filter(|line| line.starts_with("#0")).collect()
}

#[test]
fn records_that_wait_survive_a_restart_also_those_of_one_key_and_time() {
    let mut bench = Bench::new(prices, &[]);
    bench.task.set_idle_ms_max(-1);
    bench.feed(1, &[("a", "1", 20), ("a", "2", 20)]);
    bench.feed(0, &[("a", "old", 5)]);
    bench.process(100);
    bench.flush();
    assert!(out(&mut bench).is_empty());
    let mut bench = restarted(bench);
    // Kafka Streams would number this one as the first, and lose that.
    bench.feed(1, &[("a", "3", 20)]);
    bench.process(100);
    bench.flush();
    let mut bench = restarted(bench);
    // Later than the grace behind what was seen before the restarts: joined at once.
    bench.feed(1, &[("a", "late", 9), ("b", "4", 30)]);
    bench.process(100);
    bench.flush();
    assert_eq!(
        out(&mut bench),
        [
            "#0 a late for old @9",
            "#0 a 1 for old @20",
            "#0 a 2 for old @20",
            "#0 a 3 for old @20",
        ]
    );
    let mut bench = restarted(bench);
    bench.feed(1, &[("b", "5", 50)]);
    bench.process(100);
    bench.flush();
    assert_eq!(
        out(&mut bench),
        ["#0 b 4 for ? @30"],
        "nothing leaves twice"
    );
}

#[test]
fn a_record_that_fails_when_its_time_has_come_is_passed_over_by_policy() {
    let app = App::new("app");
    prices(&app);
    app.configure(TopologySettings {
        on_error: OnError::Skip,
        ..TopologySettings::default()
    });
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    let mut pipe = |value: &str, time| {
        driver
            .pipe("sales", "a".to_owned(), value.to_owned(), time)
            .unwrap();
    };
    pipe("bad", 1);
    pipe("good", 2);
    pipe("next", 20);
    pipe("last", 40);
    let out = driver.read::<String, String>("out").unwrap();
    let values: Vec<_> = out.into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(
        values,
        ["good for ?", "next for ?"].map(|v| Some(v.to_owned()))
    );
}

#[test]
fn many_records_leave_in_the_order_of_their_times() {
    let app = App::new("app");
    prices(&app);
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    for step in 0..300_i64 {
        let time = 1000 + (step * 7) % 10;
        driver
            .pipe("sales", format!("k{step}"), step.to_string(), time)
            .unwrap();
    }
    assert!(driver.read_raw("out").is_empty());
    driver
        .pipe("sales", "end".to_owned(), "end".to_owned(), 2000)
        .unwrap();
    let times: Vec<_> = driver.read_raw("out").iter().map(|r| r.timestamp).collect();
    assert_eq!(times.len(), 300);
    assert!(times.is_sorted());
}

#[track_caller]
fn check_refused(build: impl Fn(&App), parts: &[&str]) {
    let app = App::new("app");
    build(&app);
    let error = app.build().unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

#[test]
fn a_table_that_cannot_look_back_far_enough_is_refused() {
    let join = |app: &App, table: headwater_streams::KTable<'_, String, String>| {
        let _joined = app
            .stream::<String, String>("sales")
            .join(table.grace(ms(10)), |sale, _| sale.clone());
    };
    check_refused(
        |app| join(app, app.table("prices")),
        &["KSTREAM-JOIN", "Store::versioned", "KTable::grace"],
    );
    check_refused(
        |app| {
            let store = Store::named("prices").versioned(ms(5));
            join(app, app.table_in("prices", store).map_values(|price| price));
        },
        &["versions for 5 ms", "grace of 10 ms"],
    );
}
