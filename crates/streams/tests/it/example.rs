//! Programs as users write them: they compile without types in closures and do what they say.
//! Not a tour of the operators: those are the scenarios. Invariant: `word_count` is the README's.

use headwater_streams::{
    App, Data, FormatOf, Result, TestDriver, TimeWindows, Topology, Windowed, json,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_lowercase).collect()
}

fn word_count() -> Result<Topology> {
    let app = App::new("word-count");
    app.stream::<String, String>("lines")
        .flat_map_values(|line| words(&line))
        .group_by(|_, word| word.clone())
        .count("word-counts")
        .to_stream()
        .to("counts");
    app.build()
}

#[test]
fn the_word_count_of_the_readme_counts_words() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let source = include_str!("example.rs");
    let lines = |text: &str, from: &str| -> Vec<String> {
        let text = text.split_once(from).map_or("", |(_, rest)| rest);
        let body = text.split_once("\n}").map_or("", |(body, _)| body);
        body.lines().map(|line| line.trim().to_owned()).collect()
    };
    let function = "fn word_count() -> Result<Topology> {";
    assert_eq!(lines(source, function), lines(&readme, function));

    let mut driver = TestDriver::new(word_count().unwrap()).unwrap();
    driver
        .pipe("lines", "1".to_owned(), "The cat the".to_owned(), 5)
        .unwrap();
    let counts = driver.read::<String, u64>("counts").unwrap();
    let expected = [("the", 1, 5), ("cat", 1, 5), ("the", 2, 5)];
    assert_eq!(
        counts,
        expected.map(|(word, count, time)| (word.to_owned(), Some(count), time))
    );
    assert_eq!(
        driver
            .get::<String, u64>("word-counts", &"the".to_owned())
            .unwrap(),
        Some(2)
    );
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: String,
    cents: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Totals {
    orders: u64,
    cents: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Statement {
    customer: String,
    city: Option<String>,
    totals: Totals,
}

macro_rules! as_json {
    ($($type:ty)*) => {$(
        impl Data for $type {
            fn format() -> FormatOf<Self> {
                json()
            }
        }
    )*};
}

as_json!(Order Totals Statement);

fn statements() -> Result<Topology> {
    let app = App::new("statements");
    let cities = app.table::<String, String>("cities");
    let orders = app
        .stream::<u64, Order>("orders")
        .filter(|_, order| order.cents > 0)
        .group_by(|_, order| order.customer.clone());
    orders
        .aggregate(
            Totals::default,
            |_, order, totals| Totals {
                orders: totals.orders + 1,
                cents: totals.cents + order.cents,
            },
            "totals",
        )
        .to_stream()
        .map_values_with_key(|customer, totals| (customer.clone(), totals))
        .left_join(cities, |(customer, totals), city| Statement {
            customer: customer.clone(),
            city: city.cloned(),
            totals: totals.clone(),
        })
        .to("statements");
    orders
        .windowed_by(TimeWindows::of(Duration::from_secs(60)).grace(Duration::from_secs(10)))
        .count("orders-per-minute")
        .to_stream()
        .filter(|_, count| *count > 1)
        .map(|window, count| (window.key, format!("{count} since {}", window.start)))
        .to("busy");
    app.build()
}

#[test]
fn rows_of_the_applications_types_are_aggregated_windowed_and_joined() {
    let mut driver = TestDriver::new(statements().unwrap()).unwrap();
    let order = |cents| Order {
        customer: "ada".into(),
        cents,
    };
    driver.pipe("orders", 1_u64, order(250), 1_000).unwrap();
    driver
        .pipe("cities", "ada".to_owned(), "London".to_owned(), 1_500)
        .unwrap();
    driver.pipe("orders", 2_u64, order(0), 2_000).unwrap();
    driver.pipe("orders", 3_u64, order(50), 3_000).unwrap();

    let statement = |city: Option<&str>, orders, cents| Statement {
        customer: "ada".into(),
        city: city.map(str::to_owned),
        totals: Totals { orders, cents },
    };
    let written = driver.read::<String, Statement>("statements").unwrap();
    let expected = [
        (statement(None, 1, 250), 1_000),
        (statement(Some("London"), 2, 300), 3_000),
    ];
    assert_eq!(
        written,
        expected.map(|(statement, time)| ("ada".to_owned(), Some(statement), time))
    );
    let busy = driver.read::<String, String>("busy").unwrap();
    assert_eq!(
        busy,
        [("ada".to_owned(), Some("2 since 0".to_owned()), 3_000)]
    );
    let window = Windowed {
        key: "ada".to_owned(),
        start: 0,
        end: 60_000,
    };
    assert_eq!(
        driver.get::<_, u64>("orders-per-minute", &window).unwrap(),
        Some(2)
    );
}

/// What `build` reports names the operator and the way out.
#[track_caller]
fn problem(build: impl Fn(&App)) -> String {
    let app = App::new("app");
    build(&app);
    app.build()
        .expect_err("the topology is not sound")
        .to_string()
}

#[test]
fn a_topology_that_cannot_work_says_why() {
    let two_stores = problem(|app| {
        let stream = app.stream::<String, String>("in");
        stream.group_by_key().count("n");
        stream.group_by_key().count("n");
    });
    assert_eq!(
        two_stores,
        "application 'app': two stores are named 'n'; give each its own name"
    );
    let read_twice = problem(|app| {
        app.stream::<String, String>("in").to("out");
        app.table::<String, String>("in").to_stream().to("out2");
    });
    assert_eq!(
        read_twice,
        "application 'app' reads topic 'in' twice; read it once and use the stream twice"
    );
    let lost_format = problem(|app| {
        let stream = app
            .stream::<String, String>("in")
            .select_key(|_, value| value.clone());
        stream.map_values(|value| value).group_by_key().count("n");
    });
    assert_eq!(
        lost_format,
        "application 'app': n-repartition-filter: the stream must go through repartition topic 'n-repartition', and the format of \
         its values (alloc::string::String) is not known; use KStream::repartition or group_by, or implement Data for the type"
    );
    let nothing = problem(|_| {});
    assert_eq!(
        nothing,
        "application 'app' reads no topic; begin with App::stream or App::table"
    );
    let late = problem(|app| {
        let windows =
            TimeWindows::of(Duration::from_millis(10)).advance_by(Duration::from_millis(20));
        app.stream::<String, String>("in")
            .group_by_key()
            .windowed_by(windows)
            .count("n");
    });
    assert_eq!(
        late,
        "application 'app': KSTREAM-AGGREGATE-0000000001: windows of 10 ms cannot advance by 20 ms: use 1 to the size"
    );
}
