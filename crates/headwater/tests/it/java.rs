//! Kafka Streams' verbs beside ours: every snippet of `docs/from-kafka-streams.md` is a function here, compiled and run.
//! Not a conformance test: the corpus judges results. Invariant: the page is written from these sources and never by hand.
#![allow(
    clippy::disallowed_methods,
    reason = "the test reads its own sources and writes the page"
)]

mod configuration;
mod grouped;
mod processors;
mod stream;
mod table;
mod windows;

use headwater::prelude::*;
use std::fmt::Write;
use std::path::Path;

/// Runs the topology that `build` makes over the records of topic `in` and compares what it writes to `out`; text on both sides.
#[track_caller]
pub(crate) fn check(build: impl FnOnce(&App), records: &[(&str, &str)], expected: &[(&str, &str)]) {
    let others: Vec<(&str, &str, &str)> = records
        .iter()
        .map(|(key, value)| ("in", *key, *value))
        .collect();
    check_topics(build, &others, expected);
}

/// As [`check`], with the topic of each record; times are 0, 1000, 2000...
#[track_caller]
pub(crate) fn check_topics(
    build: impl FnOnce(&App),
    records: &[(&str, &str, &str)],
    expected: &[(&str, &str)],
) {
    let app = App::new("app");
    build(&app);
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    for (place, (topic, key, value)) in records.iter().enumerate() {
        let time = place as i64 * 1_000;
        let value = (!value.is_empty()).then(|| (*value).to_owned());
        driver.pipe(topic, (*key).to_owned(), value, time).unwrap();
    }
    let out = driver.read::<String, String>("out").unwrap();
    let seen: Vec<(&str, &str)> = out
        .iter()
        .map(|(key, value, _)| (key.as_str(), value.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(seen, expected);
}

/// The rows of a source: Java's name and the snippet between the marks.
fn rows(source: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut java = None;
    let mut snippet: Option<String> = None;
    for line in source.lines() {
        let text = line.trim();
        if let Some(name) = text.strip_prefix("// Java: ") {
            java = Some(name.to_owned());
        } else if text == "// snippet" {
            snippet = Some(String::new());
        } else if text == "// end" {
            let code = snippet.take().expect("a snippet begins before it ends");
            rows.push((java.take().expect("a snippet has its Java name"), code));
        } else if let Some(code) = &mut snippet {
            writeln!(code, "{line}").expect("a string takes everything");
        }
    }
    rows
}

/// The snippet without the indentation that all its lines share.
fn unindented(code: &str) -> String {
    let lines = code.lines().filter(|line| !line.trim().is_empty());
    let indent = lines
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let lines: Vec<&str> = code
        .lines()
        .map(|line| line.get(indent..).unwrap_or(""))
        .collect();
    lines.join("\n")
}

fn page() -> String {
    let mut page = String::from(
        "# From Kafka Streams to Headwater\n\n\
         Names are Kafka Streams' in snake case; options ride on nouns (`Topic`, `Store`, `TimeWindows`, `JoinWindows`, `Suppress`) instead of `Consumed`, `Produced`, `Grouped`,\n\
         `Materialized` and `Joined`; `handle.named(\"x\")` names the next operator. Closures never see null: `handle.with_nulls()` gives the verbs whose closures do. Every snippet below is\n\
         compiled and run by `crates/headwater/tests/it/java`, which also writes this page. Settings are in [configuration.md](configuration.md), differences in results in\n\
         [better-than-kafka-streams.md](better-than-kafka-streams.md). An application moves under its `application.id`, with its topics, offsets and changelogs: in a streams group instances of\n\
         both run side by side; from a classic group Kafka Streams goes first, and as its `close()` does not leave the group, ours waits, with a notice, until its session has ended.\n",
    );
    for (title, source) in [
        ("Streams", include_str!("java/stream.rs")),
        ("Grouping and aggregation", include_str!("java/grouped.rs")),
        ("Windows", include_str!("java/windows.rs")),
        ("Tables and joins", include_str!("java/table.rs")),
        (
            "Processors, stores, topologies",
            include_str!("java/processors.rs"),
        ),
        (
            "Settings, policies, running",
            include_str!("java/configuration.rs"),
        ),
    ] {
        write!(page, "\n## {title}\n").expect("a string takes everything");
        for (java, code) in rows(source) {
            write!(
                page,
                "\n### `{java}`\n\n```rust\n{}\n```\n",
                unindented(&code)
            )
            .expect("a string takes everything");
        }
    }
    page
}

#[test]
fn the_page_shows_these_snippets() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-kafka-streams.md");
    if std::env::var_os("HEADWATER_BLESS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page(),
        "run `cargo xtask bless` to write docs/from-kafka-streams.md anew"
    );
}
