//! Groups, aggregates and windows. Not joins. Invariant: what stands between `snippet` and `end` is on the page.

use super::check;
use headwater::prelude::*;
use std::time::Duration;

// Java: groupByKey().count(Materialized.as("counts"))
#[test]
fn count() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .group_by_key()
                .count("counts")
                .to_stream()
                .map_values(|count| count.to_string())
                .to("out");
            // end
        },
        &[("a", "1"), ("a", "2")],
        &[("a", "1"), ("a", "2")],
    );
}

// Java: groupBy(mapper, Grouped.as("by-value")).reduce(..)
#[test]
fn group_by() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .group_by(|_, value| value.clone())
                .named("by-value")
                .reduce(|old, new| old + &new, "rows")
                .to_stream()
                .to("out");
            // end
        },
        &[("a", "x"), ("b", "x")],
        &[("x", "x"), ("x", "xx")],
    );
}

// Java: aggregate(init, adder, Materialized.as("sizes").withCachingDisabled())
#[test]
fn aggregate() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .group_by_key()
                .aggregate(
                    || 0_u64,
                    |_, value, size| size + value.len() as u64,
                    Store::from("sizes").in_memory().without_cache(),
                )
                .to_stream()
                .map_values(|size| size.to_string())
                .to("out");
            // end
        },
        &[("a", "xx"), ("a", "x")],
        &[("a", "2"), ("a", "3")],
    );
}

// Java: windowedBy(TimeWindows.ofSizeAndGrace(..).advanceBy(..))
#[test]
fn hopping_windows() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            let windows = TimeWindows::of(Duration::from_secs(2))
                .advance_by(Duration::from_secs(1))
                .grace(Duration::from_secs(10));
            input
                .group_by_key()
                .windowed_by(windows)
                .count("per-window")
                .to_stream()
                .map(|window, count| (window.key, format!("{}: {count}", window.start)))
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "y")],
        &[("a", "0: 1"), ("a", "0: 2"), ("a", "1000: 1")],
    );
}

// Java: a processor that scans its store for old rows (Headwater: rows with a time to live)
#[test]
fn time_to_live() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            let visits = Store::from("visits").time_to_live(Duration::from_secs(2));
            input
                .group_by_key()
                .count(visits)
                .to_stream()
                .map_values(|count| count.to_string())
                .to("out");
            // end
        },
        &[("a", "x"), ("b", "x"), ("b", "x"), ("b", "x")],
        &[("a", "1"), ("b", "1"), ("b", "2"), ("b", "3"), ("a", "")],
    );
}
