//! How often each operator and option occurred in a campaign, and with what outcome. Not a measure of lines of code.
//! Invariant: what is counted is a case, once for each thing in it, however often the thing occurs.

use super::verdict::Verdict;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Cases by outcome.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count {
    /// Both judges agree.
    pub equal: usize,
    /// They do not, or Headwater broke.
    pub different: usize,
    /// Headwater has no such operator.
    pub unsupported: usize,
    /// Faults of Kafka Streams, and cases it has no result for.
    pub unjudged: usize,
    /// Of the equal ones, those with records in a sink.
    pub telling: usize,
}

/// The counts of a campaign.
#[derive(Debug, Default)]
pub struct Coverage {
    /// Of all cases.
    pub total: Count,
    by_feature: BTreeMap<String, Count>,
}

impl Coverage {
    /// Counts a case; `expected` is the judge's result.
    pub fn add(&mut self, case: &Value, expected: Option<&Value>, verdict: &Verdict) {
        let telling = expected.is_some_and(has_output);
        self.total.add(verdict, telling);
        for feature in features(case) {
            self.by_feature
                .entry(feature)
                .or_default()
                .add(verdict, telling);
        }
    }
}

impl Count {
    fn add(&mut self, verdict: &Verdict, telling: bool) {
        match verdict {
            Verdict::Equal => {
                self.equal += 1;
                self.telling += usize::from(telling);
            }
            Verdict::Different(_) | Verdict::Broken(_) => self.different += 1,
            Verdict::Unsupported(_) => self.unsupported += 1,
            Verdict::Fault(_) | Verdict::Unheard => self.unjudged += 1,
        }
    }
}

/// Something arrived outside the application's own topics.
fn has_output(expected: &Value) -> bool {
    let records = expected["records"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let outside = |record: &Value| {
        !record["topic"]
            .as_str()
            .is_some_and(|topic| topic.starts_with("oracle-"))
    };
    records.iter().any(outside)
}

fn features(case: &Value) -> BTreeSet<String> {
    let mut features = BTreeSet::new();
    for node in case["nodes"].as_array().map_or(&[][..], Vec::as_slice) {
        let op = node["op"].as_str().unwrap_or("?");
        features.insert(op.to_owned());
        for (field, value) in [
            ("processor", &node["processor"]),
            ("type", &node["type"]),
            ("window", &node["window"]["type"]),
            ("emit", &node["emit"]),
            ("store", &node["store"]["kind"]),
            ("store type", &node["store"]["type"]),
        ] {
            let Some(value) = value.as_str() else {
                continue;
            };
            let feature = match field {
                "type" => format!("{op}: {value}"),
                _ => format!("{field}: {value}"),
            };
            features.insert(feature);
        }
    }
    if let Some(config) = case["config"].as_object() {
        features.extend(config.keys().map(|name| format!("config: {name}")));
    }
    features
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["equal", "telling", "different", "unsupported", "unjudged"];
        writeln!(
            f,
            "{:<46} {:>7} {:>7} {:>9} {:>11} {:>8}",
            "cases with", head[0], head[1], head[2], head[3], head[4]
        )?;
        let all = [("(all)".to_owned(), self.total)];
        let rows = self
            .by_feature
            .iter()
            .map(|(name, count)| (name.clone(), *count));
        for (name, count) in all.into_iter().chain(rows) {
            writeln!(
                f,
                "{name:<46} {:>7} {:>7} {:>9} {:>11} {:>8}",
                count.equal, count.telling, count.different, count.unsupported, count.unjudged
            )?;
        }
        Ok(())
    }
}
