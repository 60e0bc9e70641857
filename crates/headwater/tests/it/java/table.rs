//! Tables and joins. Not processors. Invariant: what stands between `snippet` and `end` is on the page.

use super::{check, check_topics};
use headwater::prelude::*;
use std::time::Duration;

// Java: StreamsBuilder.table(topic, Materialized.as("users"))
#[test]
fn table() {
    check(
        |app| {
            // snippet
            app.table_in::<String, String>("in", "users")
                .to_stream()
                .to("out");
            // end
        },
        &[("a", "1"), ("a", "")],
        &[("a", "1"), ("a", "")],
    );
}

// Java: KStream.toTable(Materialized.as("rows"))
#[test]
fn to_table() {
    check(
        |app| {
            // snippet
            let rows = app.stream::<String, String>("in").to_table("rows");
            rows.to_stream().to("out");
            // end
        },
        &[("a", "1")],
        &[("a", "1")],
    );
}

// Java: KTable.filter, KTable.mapValues
#[test]
fn filter_and_map_values() {
    check(
        |app| {
            let table = app.table::<String, String>("in");
            // snippet
            table
                .filter(|_, value| value.len() < 3)
                .map_values(|value| value.to_uppercase())
                .to_stream()
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "long")],
        &[("a", "X"), ("a", "")],
    );
}

// Java: KTable.groupBy(mapper).reduce(adder, subtractor)
#[test]
fn group_by() {
    check(
        |app| {
            let table = app.table::<String, String>("in");
            // snippet
            table
                .group_by(|key, value| (value.clone(), key.clone()))
                .count("rows-per-value")
                .to_stream()
                .map_values(|count| count.to_string())
                .to("out");
            // end
        },
        &[("a", "x"), ("b", "x"), ("a", "y")],
        &[("x", "1"), ("x", "2"), ("x", "1"), ("y", "1")],
    );
}

// Java: KStream.join(KTable, joiner), leftJoin
#[test]
fn stream_table_join() {
    check_topics(
        |app| {
            // snippet
            let orders = app.stream::<String, String>("in");
            let users = app.table::<String, String>("users");
            orders
                .left_join(users, |order, user| {
                    format!("{order} of {}", user.map_or("nobody", |name| name))
                })
                .to("out");
            // end
        },
        &[
            ("in", "a", "tea"),
            ("users", "a", "Ann"),
            ("in", "a", "cup"),
        ],
        &[("a", "tea of nobody"), ("a", "cup of Ann")],
    );
}

// Java: KTable.join, leftJoin, outerJoin(KTable, joiner)
#[test]
fn table_table_join() {
    check_topics(
        |app| {
            // snippet
            let left = app.table::<String, String>("in");
            let right = app.table::<String, String>("more");
            left.join(right, |left, right| format!("{left}+{right}"))
                .to_stream()
                .to("out");
            // end
        },
        &[("in", "a", "1"), ("more", "a", "2"), ("in", "a", "3")],
        &[("a", "1+2"), ("a", "3+2")],
    );
}

// Java: KStream.join(KStream, joiner, JoinWindows.ofTimeDifferenceAndGrace(..))
#[test]
fn stream_stream_join() {
    check_topics(
        |app| {
            // snippet
            let clicks = app.stream::<String, String>("in");
            let views = app.stream::<String, String>("more");
            let near = JoinWindows::of(Duration::from_secs(5)).grace(Duration::from_secs(1));
            clicks
                .join(views.within(near), |click, view| format!("{click}+{view}"))
                .to("out");
            // end
        },
        &[("in", "a", "1"), ("more", "a", "2")],
        &[("a", "1+2")],
    );
}

// Java: KTable.join(KTable, foreignKeyExtractor, joiner), leftJoin
#[test]
fn foreign_keys() {
    check_topics(
        |app| {
            // snippet
            let orders = app.table::<String, String>("in");
            let customers = app.table::<String, String>("customers");
            orders
                .left_join(
                    customers.by(|_, order: &String| order.split(':').next().map(str::to_owned)),
                    |order, customer| {
                        format!("{order} of {}", customer.map_or("nobody", |name| name))
                    },
                )
                .to_stream()
                .to("out");
            // end
        },
        &[("customers", "c", "Carla"), ("in", "1", "c:tea")],
        &[("1", "c:tea of Carla")],
    );
}

// Java: StreamsBuilder.globalTable(..), KStream.join(GlobalKTable, keySelector, joiner)
#[test]
fn global_tables() {
    check_topics(
        |app| {
            // snippet
            let countries = app.global_table::<String, String>("countries");
            app.stream::<String, String>("in")
                .join(
                    countries.by(|_, order: &String| order[..2].to_owned()),
                    |order, country| format!("{order} to {country}"),
                )
                .to("out");
            // end
        },
        &[("countries", "pt", "Portugal"), ("in", "1", "pt7")],
        &[("1", "pt7 to Portugal")],
    );
}

// Java: Joined.withGracePeriod(..), Stores.persistentVersionedKeyValueStore(..)
#[test]
fn versioned_tables_and_grace() {
    check_topics(
        |app| {
            // snippet
            let day = Duration::from_secs(86_400);
            let prices = Store::named("prices").versioned(day);
            let prices = app.table_in::<String, String>("prices", prices);
            app.stream::<String, String>("in")
                .join(prices.grace(Duration::from_secs(1)), |sale, price| {
                    format!("{sale} at {price}")
                })
                .to("out");
            // end
        },
        &[
            ("prices", "a", "5"),
            ("in", "a", "one"),
            ("prices", "a", "6"),
            ("in", "a", "two"),
            ("in", "b", "none"),
        ],
        &[("a", "one at 5"), ("a", "two at 6")],
    );
}

// Java: KTable.transformValues(ValueTransformerWithKeySupplier, Materialized.as("lengths"))
#[test]
fn transform_values() {
    // snippet
    struct Length;

    impl ValueTransformer for Length {
        type Key = String;
        type Value = String;
        type Out = String;

        fn transform(
            &mut self,
            _key: &String,
            value: Option<String>,
            _ctx: &mut TransformContext<'_, '_>,
        ) -> ProcessorResult<Option<String>> {
            Ok(value.map(|value| value.len().to_string()))
        }
    }

    fn lengths(app: &App) {
        app.table::<String, String>("in")
            .transform_values_in((), || Length, "lengths")
            .to_stream()
            .to("out");
    }
    // end
    check(lengths, &[("a", "xx")], &[("a", "2")]);
}
