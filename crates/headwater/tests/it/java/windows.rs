//! Windows of every kind, and when their results leave. Not joins. Invariant: what stands between `snippet` and `end` is on the page.

use super::check;
use headwater::prelude::*;
use std::time::Duration;

// Java: windowedBy(SessionWindows.ofInactivityGapAndGrace(..)).count(..)
#[test]
fn sessions() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            let sessions =
                SessionWindows::of(Duration::from_secs(2)).grace(Duration::from_secs(10));
            input
                .group_by_key()
                .windowed_by(sessions)
                .count("visits")
                .to_stream()
                .map(|visit, count| (visit.key, format!("{}-{}: {count}", visit.start, visit.end)))
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "y")],
        &[("a", "0-0: 1"), ("a", "0-1000: 2")],
    );
}

// Java: SessionWindowedKStream.aggregate(init, adder, merger, Materialized.as("totals"))
#[test]
fn aggregated_sessions() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .group_by_key()
                .windowed_by(SessionWindows::of(Duration::from_secs(2)))
                .aggregate(
                    String::new,
                    |_, page, pages| pages + &page,
                    |_, earlier, later| earlier + &later,
                    "pages",
                )
                .to_stream()
                .map(|visit, pages| (visit.key, pages))
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "y")],
        &[("a", "x"), ("a", "xy")],
    );
}

// Java: windowedBy(SlidingWindows.ofTimeDifferenceAndGrace(..))
#[test]
fn sliding_windows() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            let windows = SlidingWindows::of(Duration::from_secs(5)).grace(Duration::from_secs(1));
            input
                .group_by_key()
                .windowed_by(windows)
                .reduce(|old, new| old + &new, "last-five-seconds")
                .to_stream()
                .map(|window, values| (window.key, values))
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "y")],
        &[("a", "x"), ("a", "y"), ("a", "xy")],
    );
}

// Java: windowedBy(UnlimitedWindows.of().startOn(..))
#[test]
fn unlimited_windows() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            let windows = UnlimitedWindows::of().start_on(Duration::from_secs(1));
            input
                .group_by_key()
                .windowed_by(windows)
                .count("since-then")
                .to_stream()
                .map(|window, count| (window.key, count.to_string()))
                .to("out");
            // end
        },
        &[("a", "too early"), ("a", "x"), ("a", "y")],
        &[("a", "1"), ("a", "2")],
    );
}

// Java: class Months extends Windows<TimeWindow>
#[test]
fn windows_of_ones_own() {
    // snippet
    /// The evenings of UTC, from 18 o'clock to midnight.
    #[derive(Clone, Copy)]
    struct Evenings;

    impl Windowing for Evenings {
        fn size_ms(&self) -> i64 {
            6 * 3_600_000
        }

        fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64> {
            let start = timestamp / 86_400_000 * 86_400_000 + 18 * 3_600_000;
            (timestamp >= start).then_some(start).into_iter()
        }
    }
    // end
    check(
        |app| {
            app.stream::<String, String>(Topic::from("in").timestamp_by(|_, hour, _| {
                match hour.map(String::as_str) {
                    Some("noon") => 12 * 3_600_000,
                    _ => 20 * 3_600_000,
                }
            }))
            .group_by_key()
            .windowed_by(Evenings)
            .count("per-evening")
            .to_stream()
            .map(|window, count| (window.key, format!("{}: {count}", window.start)))
            .to("out");
        },
        &[("a", "noon"), ("a", "eight"), ("a", "eight")],
        &[("a", "64800000: 1"), ("a", "64800000: 2")],
    );
}

// Java: emitStrategy(EmitStrategy.onWindowClose())
#[test]
fn results_on_close() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .group_by_key()
                .windowed_by(TimeWindows::of(Duration::from_secs(2)))
                .emit_strategy(EmitStrategy::OnWindowClose)
                .count("final")
                .to_stream()
                .map(|window, count| (window.key, format!("{}: {count}", window.start)))
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "y"), ("a", "z")],
        &[("a", "0: 2")],
    );
}

// Java: suppress(Suppressed.untilWindowCloses(BufferConfig.maxBytes(..).shutDownWhenFull()))
#[test]
fn suppressed_until_the_window_closes() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .group_by_key()
                .windowed_by(TimeWindows::of(Duration::from_secs(2)))
                .count("counts")
                .suppress(
                    Suppress::until_window_closes()
                        .max_bytes(64 << 20)
                        .shut_down_when_full(),
                )
                .to_stream()
                .map(|window, count| (window.key, count.to_string()))
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "y"), ("a", "z")],
        &[("a", "2")],
    );
}

// Java: suppress(Suppressed.untilTimeLimit(.., BufferConfig.maxRecords(..).emitEarlyWhenFull()))
#[test]
fn suppressed_for_a_time() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .group_by_key()
                .count("counts")
                .suppress(
                    Suppress::until_time_limit(Duration::from_secs(2))
                        .max_records(1_000)
                        .emit_early_when_full(),
                )
                .to_stream()
                .map_values(|count| count.to_string())
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "y"), ("b", "z")],
        &[("a", "2")],
    );
}

// Java: Materialized.as(Stores.inMemoryWindowStore(..)).withRetention(..), withLoggingEnabled(Map)
#[test]
fn a_store_of_windows_with_options() {
    check(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            let store = Store::from("counts")
                .in_memory()
                .retention(Duration::from_secs(86_400))
                .changelog_setting("segment.bytes", "104857600");
            input
                .group_by_key()
                .windowed_by(TimeWindows::of(Duration::from_secs(2)))
                .count(store)
                .to_stream()
                .map(|window, count| (window.key, count.to_string()))
                .to("out");
            // end
        },
        &[("a", "x"), ("a", "y")],
        &[("a", "1"), ("a", "2")],
    );
}

// Java: cogroup(aggregator).cogroup(other, aggregator).aggregate(init, Materialized.as("totals"))
#[test]
fn cogroup() {
    super::check_topics(
        |app| {
            let (input, removed) = (app.stream::<String, String>("in"), app.stream("more"));
            // snippet
            let removed = removed.group_by_key();
            input
                .group_by_key()
                .cogroup(|_, item, cart: String| cart + &item)
                .cogroup(removed, |_, item: String, cart| cart.replace(&item, ""))
                .aggregate(String::new, "carts")
                .to_stream()
                .to("out");
            // end
        },
        &[("in", "a", "x"), ("in", "a", "y"), ("more", "a", "x")],
        &[("a", "x"), ("a", "xy"), ("a", "y")],
    );
}
