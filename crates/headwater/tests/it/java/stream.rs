//! Verbs of `KStream`. Not tables. Invariant: what stands between `snippet` and `end` is on the page.

use super::{check, check_topics};
use headwater::prelude::*;

// Java: StreamsBuilder.stream(topic), KStream.to(topic)
#[test]
fn stream_and_to() {
    check(
        |app| {
            // snippet
            app.stream::<String, String>("in").to("out");
            // end
        },
        &[("a", "1")],
        &[("a", "1")],
    );
}

// Java: filter, filterNot
#[test]
fn filter() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .filter(|key, _| key != "b")
                .filter_not(|_, value| value.is_empty())
                .to("out");
            // end
        },
        &[("a", "1"), ("b", "2")],
        &[("a", "1")],
    );
}

// Java: mapValues, mapValues(ValueMapperWithKey)
#[test]
fn map_values() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .map_values(|value| value + "!")
                .map_values_with_key(|key, value| format!("{key}{value}"))
                .to("out");
            // end
        },
        &[("a", "1")],
        &[("a", "a1!")],
    );
}

// Java: map(KeyValueMapper) -> KeyValue.pair(..)
#[test]
fn map() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input.map(|key, value| (value, key)).to("out");
            // end
        },
        &[("a", "1")],
        &[("1", "a")],
    );
}

// Java: flatMap, flatMapValues
#[test]
fn flat_map() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .flat_map_values(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>())
                .flat_map(|key, word| [(word.clone(), key), (word, "again".into())])
                .to("out");
            // end
        },
        &[("a", "x y")],
        &[("x", "a"), ("x", "again"), ("y", "a"), ("y", "again")],
    );
}

// Java: selectKey
#[test]
fn select_key() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input.select_key(|_, value| value.clone()).to("out");
            // end
        },
        &[("a", "1")],
        &[("1", "1")],
    );
}

// Java: peek, foreach
#[test]
fn peek() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input.peek(|key, value| assert!(key != value)).to("out");
            input.for_each(|key, value| assert!(key != value));
            // end
        },
        &[("a", "1")],
        &[("a", "1")],
    );
}

// Java: merge
#[test]
fn merge() {
    check_topics(
        |app| {
            // snippet
            let left = app.stream::<String, String>("in");
            let right = app.stream::<String, String>("more");
            left.merge(right).to("out");
            // end
        },
        &[("in", "a", "1"), ("more", "b", "2")],
        &[("a", "1"), ("b", "2")],
    );
}

// Java: split().branch(..).defaultBranch(..)
#[test]
fn split() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            let (short, long) = input.split(|branches| {
                (
                    branches.branch(|_, value| value.len() < 3),
                    branches.default_branch(),
                )
            });
            // end
            short.map_values(|value| value + " is short").to("out");
            long.to("other");
        },
        &[("a", "x"), ("b", "xxxx")],
        &[("a", "x is short")],
    );
}

// Java: repartition(Repartitioned.as("by-value").withNumberOfPartitions(4))
#[test]
fn repartition() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .select_key(|_, value| value.clone())
                .repartition(Repartitioned::named("by-value").partitions(4))
                .to("out");
            // end
        },
        &[("a", "1")],
        &[("1", "1")],
    );
}

// Java: to(TopicNameExtractor)
#[test]
fn to_a_chosen_topic() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            let topic = Topic::chosen_by(|key: &String, _| match key.as_str() {
                "a" => "out".to_owned(),
                _ => "others".to_owned(),
            });
            input.to(topic);
            // end
        },
        &[("a", "1"), ("b", "2")],
        &[("a", "1")],
    );
}

// Java: Consumed.with(timestampExtractor), Named.as / Consumed.as
#[test]
fn a_source_with_options() {
    check(
        |app| {
            // snippet
            let orders = Topic::<String, String>::from("in")
                .source_named("orders")
                .timestamp_by(|_, value, recorded| value.map_or(recorded, |v| v.len() as i64));
            app.stream(orders)
                .named("only-short")
                .filter(|_, value| value.len() < 3)
                .to("out");
            // end
        },
        &[("a", "1"), ("b", "long")],
        &[("a", "1")],
    );
}

// Java: LogAndContinueExceptionHandler on one source; errors.dead.letter.queue.topic.name
#[test]
fn undecodable_records() {
    check(
        |app| {
            // snippet
            let numbers =
                Topic::<String, u64>::from("in").on_bad_data(BadData::DeadLetter("letters".into()));
            app.stream(numbers).map_values(|n| n.to_string()).to("out");
            // end
        },
        &[("a", "12345678"), ("b", "no number")],
        &[("a", "3544952156018063160")],
    );
}
