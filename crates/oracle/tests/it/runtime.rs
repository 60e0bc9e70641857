//! The corpus on the runtime: what the judge's driver gave, the log in memory and the embedded log give too, and a process that
//! dies between records gives what one that lives gives. Not offsets and not the wall clock: those are the log's own.
//! Invariant: with one sub-topology each topic holds the same records in the same order; with several, the same last rows.

use crate::{cases, listed, read};
use headwater::TestRecord;
use headwater::streams::Semantics;
use headwater_oracle::{Case, Input, Spec, Stage, Topics, live, run};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Cases that Kafka Streams runs to their end and ours, with its own semantics, stops on purpose
/// (`docs/better-than-kafka-streams.md`).
const STOPS: [&str; 1] = ["suppress_full_continues"];

/// Seeds of the crashes that each case goes through.
const CRASH_SEEDS: [u64; 3] = [1, 2, 3];

/// A record as it is compared; the timestamp of a suppression buffer's changelog is the producer's.
type Seen = (String, String, Option<i64>, Value);

fn seen(record: &Value) -> Seen {
    (
        record["key"].to_string(),
        record["value"].to_string(),
        record["ts"].as_i64(),
        record["headers"].clone(),
    )
}

fn hex(bytes: Option<&[u8]>) -> String {
    let text = bytes.map(|bytes| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    });
    Value::from(text).to_string()
}

fn seen_live(record: &TestRecord) -> Seen {
    let headers = record.headers.as_ref();
    let header = headers.iter().map(|header| {
        let name = String::from_utf8_lossy(header.key).into_owned();
        let value: Value = serde_json::from_str(&hex(header.value)).expect("hex is JSON");
        Value::from(vec![Value::from(name), value])
    });
    (
        hex(record.key.as_deref()),
        hex(record.value.as_deref()),
        Some(record.timestamp),
        header.collect::<Vec<_>>().into(),
    )
}

/// Equal, where a time that the judge leaves out may be anything.
fn same(expected: &Seen, found: &Seen) -> bool {
    let times = expected.2.is_none() || expected.2 == found.2;
    expected.0 == found.0 && expected.1 == found.1 && times && expected.3 == found.3
}

/// What depends on what the log gives otherwise than the judge's driver: offsets, the wall clock.
fn depends_on_the_log(case: &Case) -> bool {
    let clock = case
        .input
        .iter()
        .any(|input| matches!(input, Input::AdvanceWallClock(_)));
    let node = case.nodes.iter().any(|node| {
        let processor = node.text("processor").unwrap_or_default();
        matches!(processor, "metadata" | "tick")
    });
    // Kafka Streams' driver has one stream time for all sub-topologies, a runtime one for each; and one record cache for tasks
    // and global stores, where a runtime has none for these.
    let of_driver = ["three_subtopologies_time", "global_table_lru_cached"];
    clock || node || of_driver.iter().any(|name| case.name == *name)
}

/// What a process that dies does not remember, by the case's own wish: stores without a changelog, a processor's own fields.
fn forgets(case: &Case) -> bool {
    case.nodes.iter().any(|node| {
        let unlogged = |object: &Spec| object.get("logging") == Some(&Value::Bool(false));
        // Which rows were used last, and the times of plain stores' rows, are in no changelog.
        let forgetful = |store: &Spec| matches!(store.text("kind"), Some("lru" | "plain"));
        let store = node.object("store").ok().flatten();
        unlogged(node)
            || store.is_some_and(|store| unlogged(&store) || forgetful(&store))
            || node.text("processor") == Some("stream_tick")
    })
}

fn last_rows(records: &[Seen]) -> BTreeMap<&str, &Seen> {
    records
        .iter()
        .map(|record| (record.0.as_str(), record))
        .collect()
}

/// The first difference in words.
fn difference(
    expected: &BTreeMap<String, Vec<Seen>>,
    found: &BTreeMap<String, Vec<Seen>>,
    in_order: bool,
) -> Option<String> {
    for (topic, records) in expected {
        let none = Vec::new();
        let others = found.get(topic).unwrap_or(&none);
        // The judge puts the rows of joins that wait in the order of their keys, commit by commit.
        if in_order && !topic.ends_with("-Buffer-changelog") {
            for (place, record) in records.iter().enumerate() {
                match others.get(place) {
                    Some(other) if same(record, other) => {}
                    other => {
                        return Some(format!(
                            "{topic} record {place}: {other:?} instead of {record:?}"
                        ));
                    }
                }
            }
            if others.len() > records.len() {
                return Some(format!(
                    "{topic} has {} records instead of {}",
                    others.len(),
                    records.len()
                ));
            }
            continue;
        }
        let (rows, others) = (last_rows(records), last_rows(others));
        if rows.len() != others.len() {
            return Some(format!(
                "{topic} has {} keys instead of {}",
                others.len(),
                rows.len()
            ));
        }
        for (key, row) in rows {
            let other = others.get(key);
            if other.is_none_or(|other| !same(row, other)) {
                return Some(format!("{topic} key {key}: {other:?} instead of {row:?}"));
            }
        }
    }
    None
}

fn by_topic(topics: &Topics) -> BTreeMap<String, Vec<Seen>> {
    let seen = |(topic, records): (&String, &Vec<TestRecord>)| {
        (topic.clone(), records.iter().map(seen_live).collect())
    };
    topics.iter().map(seen).collect()
}

/// A case that ran to its end on the judge's driver, with its result.
struct Judged {
    name: String,
    case: Case,
    records: BTreeMap<String, Vec<Seen>>,
    subtopologies: usize,
}

fn judged() -> Vec<Judged> {
    let listed = listed();
    let mut judged = Vec::new();
    for file in cases() {
        let name = file
            .file_stem()
            .expect("a case file")
            .to_string_lossy()
            .into_owned();
        let case = Case::of(&read(&file)).expect("the corpus is readable");
        if listed.contains(&name) || depends_on_the_log(&case) {
            continue;
        }
        let result = run(&case).expect("a case that is not listed runs");
        if !result["error"].is_null() {
            continue;
        }
        let mut records = BTreeMap::<String, Vec<Seen>>::new();
        // What the case feeds is in its topics too, but for the judge it is no result.
        let fed: BTreeSet<&str> = case.input.iter().filter_map(topic_of).collect();
        for record in result["records"].as_array().expect("records are a list") {
            let topic = record["topic"].as_str().expect("a topic is text");
            if !fed.contains(topic) {
                records
                    .entry(topic.to_owned())
                    .or_default()
                    .push(seen(record));
            }
        }
        let subtopologies = result["subtopologies"].as_array().map_or(0, Vec::len);
        judged.push(Judged {
            name,
            case,
            records,
            subtopologies,
        });
    }
    judged
}

fn topic_of(input: &Input) -> Option<&str> {
    match input {
        Input::Record { topic, .. } => Some(topic),
        Input::AdvanceWallClock(_) => None,
    }
}

fn topics(judged: &Judged) -> BTreeSet<String> {
    let internal =
        |topic: &&String| !topic.ends_with("-changelog") && !topic.ends_with("-repartition");
    let fed = judged
        .case
        .input
        .iter()
        .filter_map(topic_of)
        .map(str::to_owned);
    judged
        .records
        .keys()
        .filter(internal)
        .cloned()
        .chain(fed)
        .collect()
}

fn check(stage: Stage) {
    std::panic::set_hook(Box::new(|_| {}));
    let mut findings = Vec::new();
    let mut equal = 0;
    for judged in judged() {
        let in_order = judged.subtopologies == 1;
        let found = match live(&judged.case, Semantics::Java, stage, &topics(&judged)) {
            Ok(found) => by_topic(&found),
            Err(refusal) => {
                findings.push(format!("{}: {refusal}", judged.name));
                continue;
            }
        };
        match difference(&judged.records, &found, in_order) {
            Some(difference) => findings.push(format!("{}: {difference}", judged.name)),
            None => equal += 1,
        }
    }
    let _ = std::panic::take_hook();
    assert!(
        findings.is_empty(),
        "{equal} equal\n{}",
        findings.join("\n")
    );
    assert!(equal > 0);
}

#[test]
fn the_log_in_memory_holds_what_the_judge_saw() {
    check(Stage::Memory);
}

#[test]
fn the_embedded_log_holds_what_the_judge_saw() {
    check(Stage::Embedded);
}

#[test]
fn a_process_that_dies_between_records_writes_what_one_that_lives_writes() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut findings = Vec::new();
    let mut equal = 0;
    for judged in judged().iter().filter(|judged| judged.subtopologies == 1) {
        if forgets(&judged.case) || STOPS.contains(&judged.name.as_str()) {
            continue;
        }
        let topics = topics(judged);
        let undisturbed = live(&judged.case, Semantics::Headwater, Stage::Embedded, &topics);
        let mut expected = by_topic(&undisturbed.expect("it ran before"));
        // Numbers that tell equal keys of a join's store apart begin anew; outputs are what counts.
        expected.retain(|topic, _| !topic.ends_with("-changelog"));
        for seed in CRASH_SEEDS {
            let found = live(
                &judged.case,
                Semantics::Headwater,
                Stage::Crashes(seed),
                &topics,
            );
            let difference = match found {
                Ok(found) => difference(&expected, &by_topic(&found), true),
                Err(refusal) => Some(refusal.to_string()),
            };
            match difference {
                Some(difference) => {
                    findings.push(format!("{} seed {seed}: {difference}", judged.name))
                }
                None => equal += 1,
            }
        }
    }
    let _ = std::panic::take_hook();
    assert!(
        findings.is_empty(),
        "{equal} equal\n{}",
        findings.join("\n")
    );
    assert!(equal > 0);
}
