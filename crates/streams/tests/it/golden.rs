//! What Kafka Streams 4.3.1 printed for a set of topologies without record cache: `describe()`, internal topics with their settings,
//! copartition groups, and each record in hexadecimal. Not ours to rewrite. Invariant: an application id of `app`.
//!
//! In the files `>> in` is a record piped in, and the lines below it what came out, topic by topic.

mod keyed_state;
mod processor_stores;
mod stream_join;

use headwater_streams::{App, Headers, Store, TestDriver, TestRecord, TimeWindows, Topology};
use std::{collections::BTreeMap, fmt::Write, path::PathBuf, time::Duration};

#[track_caller]
fn check(name: &str, build: impl Fn(&App)) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.txt"));
    let expected = std::fs::read_to_string(&path).expect("a golden file");
    let app = App::new("app");
    build(&app);
    let topology = app.build().expect("the topology is sound");
    let mut actual = format!("{}\n", topology.describe());
    internal_topics(&topology, &mut actual);
    let mut driver = TestDriver::with_cache(topology, 0).expect("the topology can be driven");
    for line in expected.lines().filter(|line| line.starts_with(">> in ")) {
        actual.push_str(line);
        actual.push('\n');
        let (topic, record) = input(line);
        driver
            .pipe_raw(topic, record)
            .expect("the record is processed");
        outputs(&mut driver, &mut actual);
    }
    // Kafka Streams keeps the changelogs of a part in a hash map.
    let (expected, actual) = (sorted_changelogs(&expected), sorted_changelogs(&actual));
    assert!(
        expected == actual,
        "=== Kafka Streams\n{expected}\n=== Headwater\n{actual}"
    );
}

/// The text with each run of changelogs in the order of their names.
fn sorted_changelogs(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for run in lines.chunk_by_mut(|a, b| [a, b].iter().all(|line| line.starts_with("  changelog ")))
    {
        run.sort_unstable();
    }
    lines.join("\n")
}

fn internal_topics(topology: &Topology, text: &mut String) {
    let settings = |config: &BTreeMap<String, String>| {
        let pairs: Vec<String> = config
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join(", ")
    };
    let mut copartitions = Vec::new();
    for part in topology.membership() {
        let mut sources = part.source_topics.clone();
        sources.extend(
            part.repartition_sources
                .iter()
                .map(|topic| topic.name.clone()),
        );
        sources.sort();
        let sinks = part.repartition_sinks.join(", ");
        let _ = writeln!(
            text,
            "subtopology sources=[{}] sinks=[{sinks}]",
            sources.join(", ")
        );
        for topic in &part.repartition_sources {
            let partitions = match topic.partitions {
                0 => "none".to_owned(),
                partitions => partitions.to_string(),
            };
            let config = settings(&topic.config);
            let _ = writeln!(
                text,
                "  repartition {} {{{config}}} parts={partitions}",
                topic.name
            );
        }
        for topic in &part.changelogs {
            let _ = writeln!(
                text,
                "  changelog {} {{{}}}",
                topic.name,
                settings(&topic.config)
            );
        }
        copartitions.extend(
            part.copartition_groups
                .iter()
                .map(|group| format!("[{}]", group.join(", "))),
        );
    }
    let _ = writeln!(text, "copartition [{}]", copartitions.join(", "));
}

/// Reads `>> in TOPIC k=KEY v=VALUE ts=TIME h=[NAME, VALUE]`.
fn input(line: &str) -> (&str, TestRecord) {
    let (fields, headers) = line.split_once(" h=[").expect("headers");
    let fields: Vec<&str> = fields.split(' ').collect();
    let [_, _, topic, key, value, timestamp] = fields[..] else {
        panic!("{line}");
    };
    let bytes = |text: &str| (text != "null").then(|| text.as_bytes().to_vec());
    let headers: Vec<&str> = headers
        .trim_end_matches(']')
        .split(", ")
        .filter(|text| !text.is_empty())
        .collect();
    let mut record = TestRecord {
        key: bytes(key.trim_start_matches("k=")),
        value: bytes(value.trim_start_matches("v=")),
        timestamp: timestamp
            .trim_start_matches("ts=")
            .parse()
            .expect("a timestamp"),
        headers: Headers::default(),
    };
    for pair in headers.chunks(2) {
        record.headers.add(pair[0], Some(pair[1].as_bytes()));
    }
    (topic, record)
}

fn outputs(driver: &mut TestDriver, text: &mut String) {
    let mut written = driver.read_all();
    written.sort_by(|a, b| a.0.cmp(&b.0));
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    for (topic, record) in written {
        let bytes = |bytes: Option<&[u8]>| bytes.map_or("null".to_owned(), hex);
        let headers: Vec<String> = record
            .headers
            .as_ref()
            .iter()
            .map(|header| {
                format!(
                    "{}={}",
                    String::from_utf8_lossy(header.key),
                    bytes(header.value)
                )
            })
            .collect();
        // What Kafka Streams leaves to the producer.
        let timestamp = match record.timestamp {
            -1 => "null".to_owned(),
            timestamp => timestamp.to_string(),
        };
        let _ = writeln!(
            text,
            "   {topic}  k={} v={} ts={timestamp} headers=[{}]",
            bytes(record.key.as_deref()),
            bytes(record.value.as_deref()),
            headers.join(" ")
        );
    }
}

#[test]
fn count() {
    check("count", |app| {
        app.stream::<String, String>("in")
            .group_by_key()
            .count(())
            .to_stream()
            .to("out");
    });
}

#[test]
fn count_materialized_with() {
    check("count_materialized_with", |app| {
        let store = Store::unnamed()
            .keys(headwater_streams::Data::format())
            .values(headwater_streams::Data::format());
        app.stream::<String, String>("in")
            .group_by_key()
            .count(store)
            .to_stream()
            .to("out");
    });
}

#[test]
fn rekeyed_count() {
    check("rekeyed_count", |app| {
        let rekeyed = app
            .stream::<String, String>("in")
            .select_key(|_, value| value.clone());
        rekeyed.group_by_key().count(()).to_stream().to("out");
    });
}

#[test]
fn group_by_named() {
    check("group_by_named", |app| {
        let grouped = app
            .stream::<String, String>("in")
            .group_by(|_, value| value.clone());
        grouped.named("grp").count("cnt").to_stream().to("out");
    });
}

#[test]
fn word_count() {
    check("word_count", |app| {
        app.stream::<String, String>("in")
            .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .group_by(|_, word| word.clone())
            .count("counts-store")
            .to_stream()
            .to("out");
    });
}

#[test]
fn time_window() {
    check("time_window", |app| {
        let windows = TimeWindows::of(Duration::from_secs(1)).grace(Duration::from_millis(500));
        let grouped = app.stream::<String, String>("in").group_by_key();
        grouped.windowed_by(windows).count(()).to_stream().to("out");
    });
}

#[test]
fn table() {
    check("table", |app| {
        app.table::<String, String>("t").to_stream().to("out")
    });
}

#[test]
fn table_materialized() {
    check("table_materialized", |app| {
        app.table_in::<String, String>("t", "ts")
            .to_stream()
            .to("out");
    });
}

#[test]
fn stream_table_join() {
    check("stream_table_join", |app| {
        let (stream, table) = (
            app.stream::<String, String>("s"),
            app.table::<String, String>("t"),
        );
        stream
            .join(table, |value, row| format!("{value}{row}"))
            .to("out");
    });
}

#[test]
fn stream_table_join_rekeyed() {
    check("stream_table_join_rekeyed", |app| {
        let stream = app
            .stream::<String, String>("s")
            .select_key(|_, value| value.clone());
        let table = app.table::<String, String>("t");
        stream
            .join(table, |value, row| format!("{value}{row}"))
            .to("out");
    });
}

#[test]
fn two_aggregates_rekeyed() {
    check("two_aggregates_rekeyed", |app| {
        let rekeyed = app
            .stream::<String, String>("in")
            .select_key(|_, value| value.clone());
        rekeyed.group_by_key().count(()).to_stream().to("o1");
        rekeyed
            .group_by_key()
            .reduce(|_, last| last, ())
            .to_stream()
            .to("o2");
    });
}

fn both(left: &str, right: Option<&String>) -> String {
    format!("{left}{}", right.map_or("null", String::as_str))
}

#[test]
fn table_table_join() {
    check("table_table_join", |app| {
        let (left, right) = (
            app.table::<String, String>("t1"),
            app.table::<String, String>("t2"),
        );
        left.join(right, |left, right| both(left, Some(right)))
            .to_stream()
            .to("out");
    });
}

#[test]
fn table_table_left_join_stored() {
    check("table_table_left_join_stored", |app| {
        let (left, right) = (
            app.table::<String, String>("t1"),
            app.table::<String, String>("t2"),
        );
        left.left_join_in(right, |left, right| both(left, right), "jj")
            .to_stream()
            .to("out");
    });
}

#[test]
fn table_group_by() {
    check("table_group_by", |app| {
        app.table::<String, String>("t")
            .group_by(|_, value| (value[..1].to_owned(), value))
            .aggregate(
                String::new,
                |_, value, row| format!("{row}+{value}"),
                |_, value, row| format!("{row}-{value}"),
                (),
            )
            .to_stream()
            .to("out");
    });
}
