//! Runs a topology with the input of a case file and renders what happened in the oracle's form. Invariant: names of JSON fields
//! are those of the oracle's README.

use headwater_streams::{App, Headers, TestDriver, TestRecord, Topology};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The oracle's name for every application.
const APPLICATION: &str = "oracle";

#[track_caller]
pub(super) fn check(name: &str, build: fn(&App)) {
    let case = read(&format!("{name}.json"));
    let expected = read(&format!("{name}.out.json"));
    let app = App::new(APPLICATION);
    build(&app);
    let topology = app.build().expect("the topology is sound");
    assert_text(
        "description",
        expected["description"].as_str().unwrap_or_default(),
        &topology.describe(),
    );
    assert_text(
        "internal topics",
        &lines(&expected["internal_topics"]),
        &lines(&internal_topics(&topology)),
    );
    let subtopologies = without_fixed_sinks(&expected["subtopologies"]);
    assert_text(
        "sub-topologies",
        &lines(&subtopologies),
        &lines(&membership(&topology)),
    );
    let mut driver = match case["config"]["statestore.cache.max.bytes"].as_str() {
        Some(bytes) => TestDriver::with_cache(topology, bytes.parse().expect("a number of bytes")),
        None => TestDriver::new(topology),
    }
    .expect("the topology can be driven");
    let mut records = Vec::new();
    for (step, input) in array(&case["input"]).iter().enumerate() {
        match input["advance_wall_clock_ms"].as_i64() {
            Some(ms) => driver.advance_wall_clock(ms),
            None => driver.pipe_raw(text(&input["topic"]), record(input)),
        }
        .unwrap_or_else(|error| panic!("step {step}: {error}"));
        records.extend(
            driver
                .read_all()
                .iter()
                .map(|(topic, record)| written(step, topic, record)),
        );
    }
    assert_text(
        "records",
        &lines(&expected["records"]),
        &lines(&Value::Array(records)),
    );
    for (store, contents) in expected["stores"].as_object().expect("stores by name") {
        let entries = entries(&mut driver, store, contents);
        assert_text(store, &lines(&contents["entries"]), &lines(&entries));
    }
}

fn read(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../oracle/cases")
        .join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares line by line, so that a failure shows the first line that differs and both texts.
#[track_caller]
fn assert_text(what: &str, expected: &str, actual: &str) {
    if expected == actual {
        return;
    }
    let differing = expected
        .lines()
        .zip(actual.lines())
        .position(|(a, b)| a != b);
    let line = differing.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    let context = |text: &str| text.lines().nth(line).unwrap_or("(ends)").to_owned();
    panic!(
        "{what} differ at line {}\nKafka Streams: {}\nHeadwater:     {}\n\n=== Kafka Streams\n{expected}\n=== Headwater\n{actual}",
        line + 1,
        context(expected),
        context(actual)
    );
}

fn lines(value: &Value) -> String {
    array(value)
        .iter()
        .map(|item| format!("{item}\n"))
        .collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

fn record(input: &Value) -> TestRecord {
    let mut headers = Headers::default();
    for header in array(&input["headers"]) {
        headers.add(text(&header[0]), bytes(&header[1]).as_deref());
    }
    TestRecord {
        key: bytes(&input["key"]),
        value: bytes(&input["value"]),
        timestamp: input["ts"].as_i64().unwrap_or_default(),
        headers,
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Number(number) => Some(number.as_i64().expect("a long").to_be_bytes().to_vec()),
        _ => {
            let hex = text(&value["hex"]);
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
            Some((0..hex.len()).step_by(2).map(byte).collect())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written(step: usize, topic: &str, record: &TestRecord) -> Value {
    let headers: Vec<Value> = record
        .headers
        .as_ref()
        .iter()
        .map(|header| json!([String::from_utf8_lossy(header.key), header.value.map(hex)]))
        .collect();
    json!({
        "step": step, "topic": topic, "ts": record.timestamp, "headers": headers,
        "key": record.key.as_deref().map(hex), "value": record.value.as_deref().map(hex),
    })
}

fn internal_topics(topology: &Topology) -> Value {
    let mut topics = Vec::new();
    for part in topology.membership() {
        for (kind, list) in [
            ("repartition", &part.repartition_sources),
            ("changelog", &part.changelogs),
        ] {
            for topic in list {
                topics.push(json!({
                    "kind": kind, "name": topic.name, "config": topic.config, "subtopology": part.id,
                    "partitions": (topic.partitions > 0).then_some(topic.partitions),
                }));
            }
        }
    }
    topics.sort_by_key(|topic| text(&topic["name"]).to_owned());
    Value::Array(topics)
}

fn membership(topology: &Topology) -> Value {
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let parts = topology.membership().into_iter().map(|part| {
        let repartitions = part
            .repartition_sources
            .iter()
            .map(|topic| topic.name.clone());
        let mut groups: Vec<_> = part
            .copartition_groups
            .iter()
            .map(|group| sorted(group.clone()))
            .collect();
        groups.sort();
        json!({
            "id": part.id,
            "sources": sorted(part.source_topics.iter().cloned().chain(repartitions).collect()),
            "sinks": sorted(part.repartition_sinks.clone()),
            "changelogs": sorted(part.changelogs.iter().map(|topic| topic.name.clone()).collect()),
            "copartition_groups": groups,
        })
    });
    Value::Array(parts.collect())
}

/// A member tells its group nothing about sinks that are no repartition topics.
fn without_fixed_sinks(subtopologies: &Value) -> Value {
    let mut subtopologies = subtopologies.clone();
    for part in subtopologies.as_array_mut().expect("a list") {
        part["sinks"]
            .as_array_mut()
            .expect("a list")
            .retain(|sink| text(sink).starts_with(&format!("{APPLICATION}-")));
    }
    subtopologies
}

fn entries(driver: &mut TestDriver, store: &str, contents: &Value) -> Value {
    let raw = driver.entries_raw(store).expect("a store of the topology");
    if text(&contents["kind"]) != "window" {
        return raw
            .iter()
            .map(|(key, value)| json!([hex(key), hex(value)]))
            .collect();
    }
    let start = |key: &[u8]| {
        let suffix = key[key.len() - 12..][..8].try_into();
        i64::from_be_bytes(suffix.expect("eight bytes"))
    };
    // What Java hides as expired is not listed; how much that is follows from the oldest row it lists.
    let oldest = array(&contents["entries"])
        .iter()
        .filter_map(|entry| entry[1].as_i64())
        .min();
    let live = raw
        .iter()
        .filter(|(key, _)| oldest.is_some_and(|oldest| start(key) >= oldest));
    live.map(|(key, value)| json!([hex(&key[..key.len() - 12]), start(key), hex(value)]))
        .collect()
}
