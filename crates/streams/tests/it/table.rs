//! Tables made of tables, where Kafka Streams' results do not decide: transformers, failures, what `build` refuses.
//! Not the corpus, which has the rest. Invariant: a failing closure of one operator leaves its siblings alone.

use headwater_streams::{
    App, Data, Error, OnError, Punctuation, PunctuationKind, Result, Store, StoreHandle,
    TestDriver, TopologySettings, TransformContext, ValueTransformer,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{sync::Arc, time::Duration};

fn text(text: &str) -> String {
    text.to_owned()
}

fn pipe(driver: &mut TestDriver, topic: &str, rows: &[(&str, Option<&str>, i64)]) {
    for (key, value, timestamp) in rows {
        let value = value.map(text);
        driver.pipe(topic, text(key), value, *timestamp).unwrap();
    }
}

#[track_caller]
fn check(driver: &mut TestDriver, topic: &str, expected: &[(&str, Option<&str>, i64)]) {
    let rows = driver.read::<String, String>(topic).unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|(key, value, timestamp)| (key.as_str(), value.as_deref(), *timestamp))
        .collect();
    assert_eq!(rows, expected, "{topic}");
}

/// Numbers the values of each key in a store, and counts its calls.
struct Numbered {
    numbers: StoreHandle<String, u64>,
    calls: Arc<AtomicU64>,
}

impl ValueTransformer for Numbered {
    type Key = String;
    type Value = String;
    type Out = String;

    fn open(&mut self, ctx: &mut TransformContext<'_, '_>) -> Result<()> {
        ctx.schedule(Duration::from_millis(100), PunctuationKind::StreamTime);
        self.calls.fetch_add(1000, Ordering::Relaxed);
        Ok(())
    }

    fn transform(
        &mut self,
        key: &String,
        value: Option<String>,
        ctx: &mut TransformContext<'_, '_>,
    ) -> Result<Option<String>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut numbers = ctx.store(self.numbers)?;
        let number = numbers.get(key)?.unwrap_or(0) + 1;
        numbers.put(key, &number)?;
        match value.as_deref() {
            Some("bad") => Err(Error::failed("a bad value")),
            value => Ok(value.map(|value| format!("{value}{number}"))),
        }
    }

    fn punctuate(&mut self, _: Punctuation, ctx: &mut TransformContext<'_, '_>) -> Result<()> {
        ctx.store(self.numbers)?.put(&text("punctuated"), &1)
    }
}

fn numbered(app: &App) -> (StoreHandle<String, u64>, Arc<AtomicU64>) {
    (app.store("numbers"), Arc::default())
}

#[test]
fn a_transformer_has_stores_and_schedules_but_forwards_nothing() {
    let app = App::new("app");
    let (numbers, calls) = numbered(&app);
    let seen = calls.clone();
    app.table::<String, String>("in")
        .transform_values(numbers, move || Numbered {
            numbers,
            calls: seen.clone(),
        })
        .to_stream()
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    let rows = [("a", Some("x"), 1), ("a", Some("y"), 2), ("a", None, 200)];
    pipe(&mut driver, "in", &rows);
    check(
        &mut driver,
        "out",
        &[("a", Some("x1"), 1), ("a", Some("y2"), 2), ("a", None, 200)],
    );
    assert_eq!(calls.load(Ordering::Relaxed), 1003);
    let punctuated = driver.get::<String, u64>("numbers", &text("punctuated"));
    assert_eq!(punctuated.unwrap(), Some(1));
}

#[test]
fn rows_of_a_transformer_without_a_store_are_made_again_for_each_reader() {
    let app = App::new("app");
    let (numbers, calls) = numbered(&app);
    let seen = calls.clone();
    let table = app
        .table::<String, String>("in")
        .transform_values(numbers, move || Numbered {
            numbers,
            calls: seen.clone(),
        });
    app.stream::<String, String>("words")
        .join(table, |word, row| format!("{word}{row}"))
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    pipe(&mut driver, "in", &[("a", Some("x"), 1)]);
    pipe(
        &mut driver,
        "words",
        &[("a", Some("w"), 2), ("b", Some("w"), 3)],
    );
    check(&mut driver, "out", &[("a", Some("wx2"), 2)]);
    // Two transformers: the operator's and the join's, which asks it for the row that is not there too.
    assert_eq!(calls.load(Ordering::Relaxed), 2003);
}

#[test]
fn a_stored_transformer_is_asked_once_for_each_update() {
    let app = App::new("app");
    let (numbers, calls) = numbered(&app);
    let seen = calls.clone();
    let table = app.table::<String, String>("in").transform_values_in(
        numbers,
        move || Numbered {
            numbers,
            calls: seen.clone(),
        },
        "kept",
    );
    app.stream::<String, String>("words")
        .join(table, |word, row| format!("{word}{row}"))
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    pipe(&mut driver, "in", &[("a", Some("x"), 1)]);
    pipe(
        &mut driver,
        "words",
        &[("a", Some("w"), 2), ("a", Some("v"), 3)],
    );
    check(
        &mut driver,
        "out",
        &[("a", Some("wx1"), 2), ("a", Some("vx1"), 3)],
    );
    assert_eq!(calls.load(Ordering::Relaxed), 1001);
}

/// One operator of each kind that fails on the value `bad`, beside one that does not.
fn failing(app: &App) {
    let (numbers, calls) = numbered(app);
    let table = app.table_in::<String, String>("in", "rows");
    let bad = |value: &str| assert_ne!(value, "bad", "a bad value");
    table
        .filter(move |_, value| {
            bad(value);
            true
        })
        .to_stream()
        .to("filtered");
    table
        .map_values_in(
            move |value| {
                bad(&value);
                value
            },
            "mapped-rows",
        )
        .to_stream()
        .to("mapped");
    table
        .transform_values(numbers, move || Numbered {
            numbers,
            calls: calls.clone(),
        })
        .to_stream()
        .to("transformed");
    table
        .outer_join(app.table::<String, String>("other"), move |left, right| {
            let both = format!("{left:?}{right:?}");
            assert!(!both.contains("bad"), "a bad value");
            text("joined")
        })
        .to_stream()
        .to("joined");
    table
        .group_by(move |_, value| {
            bad(&value);
            (value.clone(), value)
        })
        .count("groups")
        .map_values(|count| count.to_string())
        .to_stream()
        .to("grouped");
    table.to_stream().to("out");
}

#[test]
fn a_failing_closure_of_a_table_is_passed_over_and_its_siblings_go_on() {
    let app = App::new("app");
    app.configure(TopologySettings {
        on_error: OnError::Skip,
        ..TopologySettings::default()
    });
    failing(&app);
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    let rows = [
        ("a", Some("x"), 1),
        ("b", Some("bad"), 2),
        ("c", Some("y"), 3),
    ];
    pipe(&mut driver, "in", &rows);
    let good = [("a", Some("x"), 1), ("c", Some("y"), 3)];
    check(&mut driver, "out", &rows);
    check(&mut driver, "filtered", &good);
    check(&mut driver, "mapped", &good);
    check(
        &mut driver,
        "transformed",
        &[("a", Some("x1"), 1), ("c", Some("y1"), 3)],
    );
    check(
        &mut driver,
        "joined",
        &[("a", Some("joined"), 1), ("c", Some("joined"), 3)],
    );
    check(
        &mut driver,
        "grouped",
        &[("x", Some("1"), 1), ("y", Some("1"), 3)],
    );
}

#[test]
fn a_failing_closure_of_a_table_stops_the_task_with_its_operators_name() {
    let app = App::new("app");
    let table = app.table::<String, String>("in");
    let right = app.table::<String, String>("right");
    table
        .named("both")
        .join(right, |left, _| -> String { panic!("no {left}") })
        .to_stream()
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    pipe(&mut driver, "in", &[("a", Some("x"), 1)]);
    let error = driver.pipe("right", text("a"), text("y"), 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "both-join-other at right-0 offset 0 failed: no x"
    );
}

#[track_caller]
fn check_refused(build: impl Fn(&App), expected: &str) {
    let app = App::new("app");
    build(&app);
    let error = app.build().unwrap_err();
    assert_eq!(error.to_string(), format!("application 'app': {expected}"));
}

/// A type without a format.
#[derive(Clone)]
struct Opaque;

#[test]
fn a_store_without_a_format_is_refused_with_the_operator_and_the_cure() {
    check_refused(
        |app| {
            let store = Store::named("opaque").keys(String::format());
            app.table::<String, String>("in")
                .map_values_in(|_| Opaque, store);
        },
        "KTABLE-MAPVALUES-0000000003: store 'opaque' has no format for its values; give Store::named(\"opaque\").values(..)",
    );
    check_refused(
        |app| {
            let table = app.table::<String, String>("in");
            let store = Store::named("joined").keys(String::format());
            table
                .named("both")
                .join_in(table, |_, _| Opaque, store)
                .to_stream()
                .for_each(|_, _| {});
        },
        "both: store 'joined' has no format for its values; give Store::named(\"joined\").values(..)",
    );
}

#[test]
fn two_stores_of_one_name_are_refused() {
    check_refused(
        |app| {
            let table = app.table_in::<String, String>("in", "rows");
            table.filter_in(|_, _| true, "rows");
        },
        "two stores are named 'rows'; give each its own name",
    );
}

#[test]
fn a_row_that_moves_leaves_its_group_before_it_joins_the_next() {
    let app = App::new("app");
    app.table::<String, String>("in")
        .group_by(|key, value| (value, key.clone()))
        .reduce(
            |row, key| format!("{row}{key}"),
            |row, key| row.replacen(&key, "", 1),
            Store::from("groups").without_cache(),
        )
        .to_stream()
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    let rows = [
        ("a", Some("x"), 1),
        ("b", Some("x"), 2),
        ("a", Some("y"), 3),
        ("b", None, 4),
        ("b", None, 5),
    ];
    pipe(&mut driver, "in", &rows);
    let expected = [
        ("x", Some("a"), 1),
        ("x", Some("ab"), 2),
        ("x", Some("b"), 3),
        ("y", Some("a"), 3),
        ("x", Some(""), 4),
    ];
    check(&mut driver, "out", &expected);
}

#[test]
fn sides_of_two_applications_are_refused() {
    let other = App::new("other");
    let (table, stream) = (other.table::<String, String>("t"), other.stream("s"));
    let expected = |verb: &str| {
        format!(
            "{verb}: the other side belongs to application 'other'; make both sides from one App"
        )
    };
    check_refused(
        |app| {
            let own = app.table::<String, String>("own");
            own.join(table, |left, _| left.clone())
                .to_stream()
                .to("out");
        },
        &expected("join of tables"),
    );
    check_refused(
        |app| {
            let own = app.stream::<String, String>("own");
            own.join(table, |left, _| left.clone()).to("out");
        },
        &expected("join of a stream and a table"),
    );
    check_refused(
        |app| app.stream::<String, String>("own").merge(stream).to("out"),
        &expected("merge"),
    );
}
