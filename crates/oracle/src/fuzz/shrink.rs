//! Makes a differing case small: takes away inputs, nodes and options as long as the same kind of difference stays.
//! Not a minimiser: it stops where no single step helps.
//! Invariant: each step makes the case's text shorter, so it ends.

use super::{
    judge::Judge,
    verdict::{Verdict, ours, verdict},
};
use anyhow::Result;
use serde_json::Value;

/// Each step starts the judge at least once.
const STEPS_MAX: usize = 60;
/// Candidates before the judge at a time: the start of the judge counts for as much as these.
const BATCH_CASES: usize = 60;

/// Fields of a node that it can do without.
const OPTIONS: &[&str] = &[
    "name",
    "store",
    "emit",
    "joiner",
    "type",
    "timestamp_fn",
    "store_name",
    "store_kind",
    "logging",
    "on_full",
    "max_records",
    "max_bytes",
    "grace_ms",
    "default",
    "partitions",
    "counter_store",
    "stores",
];
/// Fields of a store that it can do without.
const STORE_OPTIONS: &[&str] = &[
    "caching",
    "logging",
    "kind",
    "retention_ms",
    "name",
    "segment_ms",
    "duplicates",
];

/// The smallest case found with the same signature.
///
/// # Errors
/// If the judge fails as a whole.
pub fn shrink(judge: &Judge, case: &Value, signature: &str) -> Result<Value> {
    let mut best = case.clone();
    for _ in 0..STEPS_MAX {
        let mut candidates = candidates(&best);
        candidates.sort_by_cached_key(|candidate| candidate.to_string().len());
        let Some(smaller) = first_of_kind(judge, &candidates, signature)? else {
            break;
        };
        best = smaller;
    }
    Ok(best)
}

/// The first candidate that differs in the same way.
fn first_of_kind(judge: &Judge, candidates: &[Value], signature: &str) -> Result<Option<Value>> {
    let same = |verdict: &Verdict| verdict.signature().as_deref() == Some(signature);
    for batch in candidates.chunks(BATCH_CASES) {
        let hearing = judge.hear(batch)?;
        let actual: Vec<_> = batch.iter().map(ours).collect();
        let expected = hearing.verdicts()?;
        let mut verdicts = (0..batch.len()).map(|at| verdict(expected[at].as_ref(), &actual[at]));
        if let Some(at) = verdicts.position(|verdict| same(&verdict)) {
            return Ok(Some(batch[at].clone()));
        }
    }
    Ok(None)
}

fn candidates(case: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    fewer_inputs(case, &mut all);
    fewer_nodes(case, &mut all);
    fewer_options(case, &mut all);
    shorter_functions(case, &mut all);
    // A topology of nothing has faults of its own.
    all.retain(|candidate| !list(candidate, "nodes").is_empty());
    all
}

fn list<'a>(case: &'a Value, field: &str) -> &'a [Value] {
    case[field].as_array().map_or(&[], Vec::as_slice)
}

fn fewer_inputs(case: &Value, all: &mut Vec<Value>) {
    let count = list(case, "input").len();
    let mut chunk = count;
    while chunk > 0 {
        for from in (0..count).step_by(chunk) {
            let mut fewer = case.clone();
            if let Some(inputs) = fewer["input"].as_array_mut() {
                inputs.drain(from..(from + chunk).min(count));
            }
            all.push(fewer);
        }
        chunk /= 2;
    }
    for at in 0..count {
        if case["input"][at].get("headers").is_some() {
            let mut plain = case.clone();
            remove(&mut plain["input"][at], "headers");
            all.push(plain);
        }
    }
}

fn fewer_nodes(case: &Value, all: &mut Vec<Value>) {
    for (at, node) in list(case, "nodes").iter().enumerate() {
        all.push(without(case, at));
        let (Some(id), Some(from)) = (node["id"].as_str(), source_of(node)) else {
            continue;
        };
        // Without the node, its successors being built on what it was built on.
        let mut bypassed = case.clone();
        let Some(nodes) = bypassed["nodes"].as_array_mut() else {
            continue;
        };
        nodes.remove(at);
        for node in nodes {
            for field in ["from", "left", "right"] {
                if node[field].as_str() == Some(id) {
                    node[field] = from.clone();
                }
            }
        }
        all.push(bypassed);
    }
}

fn source_of(node: &Value) -> Option<Value> {
    node.get("from").or_else(|| node.get("left")).cloned()
}

/// The case without this node and all that is built on it.
fn without(case: &Value, at: usize) -> Value {
    let mut gone: Vec<&str> = Vec::new();
    let mut kept = Vec::new();
    for (index, node) in list(case, "nodes").iter().enumerate() {
        let refers = |value: &Value| value.as_str().is_some_and(|id| gone.contains(&id));
        let groups = list(node, "groups")
            .iter()
            .any(|group| refers(&group["from"]));
        let parents = list(node, "parents").iter().any(refers);
        let built_on = ["from", "left", "right"]
            .iter()
            .any(|field| refers(&node[*field]));
        if index != at && !(groups || parents || built_on) {
            kept.push(node.clone());
            continue;
        }
        gone.extend(node["id"].as_str());
        if node.get("parents").is_some() || node["op"] == "source" {
            gone.extend(node["name"].as_str());
        }
        let branches = list(node, "branches").iter().chain(node.get("default"));
        gone.extend(branches.filter_map(|branch| branch["id"].as_str()));
    }
    let mut fewer = case.clone();
    fewer["nodes"] = Value::Array(kept);
    fewer
}

fn remove(value: &mut Value, field: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(field);
    }
}

fn fewer_options(case: &Value, all: &mut Vec<Value>) {
    if let Some(config) = case["config"].as_object() {
        for name in config.keys() {
            let mut fewer = case.clone();
            remove(&mut fewer["config"], name);
            all.push(fewer);
        }
        if config.is_empty() {
            let mut fewer = case.clone();
            remove(&mut fewer, "config");
            all.push(fewer);
        }
    }
    for (at, node) in list(case, "nodes").iter().enumerate() {
        for option in OPTIONS.iter().filter(|option| node.get(**option).is_some()) {
            let mut fewer = case.clone();
            remove(&mut fewer["nodes"][at], option);
            all.push(fewer);
        }
        let in_store = |option: &&&str| node["store"].get(**option).is_some();
        for option in STORE_OPTIONS.iter().filter(in_store) {
            let mut fewer = case.clone();
            remove(&mut fewer["nodes"][at]["store"], option);
            all.push(fewer);
        }
        for field in ["branches", "groups", "topics", "parents"] {
            for index in 0..list(node, field).len() {
                let mut fewer = case.clone();
                if let Some(items) = fewer["nodes"][at][field].as_array_mut() {
                    items.remove(index);
                }
                all.push(fewer);
            }
        }
    }
}

fn shorter_functions(case: &Value, all: &mut Vec<Value>) {
    for (at, node) in list(case, "nodes").iter().enumerate() {
        for field in [
            "value_fn", "key_fn", "fk_fn", "list_fn", "test", "topic_fn", "child_fn",
        ] {
            let Some(function) = node[field].as_str() else {
                continue;
            };
            let segments: Vec<&str> = function.split('|').collect();
            for index in 0..segments.len() {
                let mut fewer = segments.clone();
                fewer.remove(index);
                if fewer.is_empty() {
                    continue;
                }
                let mut shorter = case.clone();
                shorter["nodes"][at][field] = Value::String(fewer.join("|"));
                all.push(shorter);
            }
        }
    }
}
