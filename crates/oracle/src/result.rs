//! What happened, in the judge's form. Not the comparison. Invariant: names and order of the JSON are those of the judge's README.

use headwater::streams::{StoreContents, StoreRow};
use headwater::{TestDriver, TestRecord, Topology};
use serde_json::{Map, Value, json};
use std::fmt::{Debug, Display};

/// A result before anything has happened.
pub(crate) fn empty(name: &Value) -> Value {
    json!({
        "name": name, "error": null, "description": null, "records": [], "stores": {},
        "internal_topics": [], "subtopologies": [],
    })
}

/// An error of `stage`, at input number `step` where there is one.
pub(crate) fn error(stage: &str, step: Option<usize>, error: &headwater::streams::Error) -> Value {
    failure(stage, step, error)
}

/// As [`error`], of any part.
pub(crate) fn failure(stage: &str, step: Option<usize>, error: &(impl Debug + Display)) -> Value {
    let shown = format!("{error:?}");
    let class = shown.split([' ', '(', '{']).next().unwrap_or_default();
    let mut value = json!({ "stage": stage, "class": class, "message": error.to_string() });
    if let Some(step) = step {
        value["step"] = step.into();
    }
    value
}

/// A record produced in `step`.
pub(crate) fn record(step: usize, topic: &str, record: &TestRecord) -> Value {
    let headers = record.headers.as_ref();
    let header =
        |name: &[u8], value: Option<&[u8]>| json!([String::from_utf8_lossy(name), value.map(hex)]);
    let headers: Vec<Value> = headers
        .iter()
        .map(|found| header(found.key, found.value))
        .collect();
    // Negative where Java leaves the timestamp to the producer.
    let timestamp = (record.timestamp >= 0).then_some(record.timestamp);
    json!({
        "step": step, "topic": topic, "ts": timestamp, "headers": headers,
        "key": record.key.as_deref().map(hex), "value": record.value.as_deref().map(hex),
    })
}

/// The changelogs of joins with grace, whose runs the judge puts in the order of their keys as those of suppressions, which are
/// written so.
pub(crate) fn waiting_changelogs(topology: &Topology) -> Vec<String> {
    let waiting = topology
        .stores()
        .filter(|store| store.name.ends_with("-Buffer"));
    waiting.filter_map(|store| store.changelog).collect()
}

/// Sorts each run of records to one of these changelogs.
pub(crate) fn sort_waiting(records: &mut [(String, TestRecord)], waiting: &[String]) {
    for run in records.chunk_by_mut(|a, b| a.0 == b.0) {
        if run
            .first()
            .is_some_and(|(topic, _)| waiting.contains(topic))
        {
            run.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
        }
    }
}

pub(crate) fn internal_topics(topology: &Topology) -> Value {
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
    topics.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    Value::Array(topics)
}

pub(crate) fn subtopologies(topology: &Topology) -> Value {
    let parts = topology.membership().into_iter().map(|part| {
        let repartitions = part.repartition_sources.iter().map(|topic| &topic.name);
        let mut groups: Vec<_> = part
            .copartition_groups
            .iter()
            .map(|group| sorted(group.iter().cloned()))
            .collect();
        groups.sort();
        json!({
            "id": part.id,
            "sources": sorted(part.source_topics.iter().chain(repartitions).cloned()),
            "sinks": sorted(topology.sink_topics(part.id).into_iter()),
            "changelogs": sorted(changelogs(topology, part.id)),
            "copartition_groups": groups,
        })
    });
    Value::Array(parts.collect())
}

/// The changelogs of a part's stores; a source topic that is one is named here and is no internal topic.
fn changelogs(topology: &Topology, part: u32) -> impl Iterator<Item = String> {
    let stores = topology
        .subtopology(part)
        .map_or(&[][..], |part| &part.stores);
    let infos = stores.iter().filter_map(|store| topology.store(*store));
    infos.filter_map(|store| store.changelog)
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

/// The contents of every store, by name.
pub(crate) fn stores(driver: &mut TestDriver) -> headwater::streams::Result<Value> {
    let names: Vec<String> = driver.topology().stores().map(|store| store.name).collect();
    let mut stores = Map::new();
    for name in names {
        let contents = driver.contents(&name)?;
        stores.insert(name, contents.map_or(Value::Null, store));
    }
    Ok(Value::Object(stores))
}

fn store(contents: StoreContents) -> Value {
    let (kind, entries): (_, Vec<Value>) = match contents {
        StoreContents::KeyValue(rows) => {
            let entry = |(key, value): &(Vec<u8>, Vec<u8>)| json!([hex(key), hex(value)]);
            ("kv", rows.iter().map(entry).collect())
        }
        StoreContents::Window(rows) => {
            let entry = |row: &StoreRow| json!([hex(&row.key), row.start, hex(&row.value)]);
            ("window", rows.iter().map(entry).collect())
        }
        StoreContents::Buffer {
            records,
            bytes,
            min_time,
        } => {
            return json!({ "kind": "buffer", "records": records, "bytes": bytes, "min_ts": min_time });
        }
        StoreContents::Session(rows) => ("session", rows.iter().map(interval).collect()),
        StoreContents::Versioned(rows) => ("versioned", rows.iter().map(interval).collect()),
    };
    json!({ "kind": kind, "entries": entries })
}

fn interval(row: &StoreRow) -> Value {
    json!([hex(&row.key), row.start, row.end, hex(&row.value)])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
