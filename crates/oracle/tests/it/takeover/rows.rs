//! What an application's topics hold, in the form in which two runs may be compared. Not how they came to hold it.
//! Invariant: what is left out is what Kafka Streams itself does not fix, and nothing else.

use super::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// Of a compacted topic: the last value of each key and partition. Else how often each record is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    last: BTreeMap<String, BTreeMap<String, String>>,
    all: BTreeMap<String, BTreeMap<String, usize>>,
    settings: BTreeSet<String>,
}

/// How a topic is compared.
enum Form {
    /// By the last value and timestamp of each key.
    Last,
    /// As `Last`; a suppression's changelog has the times of its own flushes.
    LastWithoutTime,
    /// Each record. A join's window ends its keys with sequence numbers that begin anew with each start.
    AllWithoutSequence,
    /// Each record.
    All,
    /// What was read is deleted, now or later.
    Not,
}

fn form(kind: Kind, topic: &str) -> Form {
    let is_changelog = topic.ends_with("-changelog");
    match topic {
        _ if topic.contains("SUPPRESS") && is_changelog => Form::LastWithoutTime,
        _ if topic.contains("OUTERTHIS") || topic.contains("OUTEROTHER") => {
            Form::AllWithoutSequence
        }
        _ if is_changelog => Form::Last,
        _ if topic == "out" && matches!(kind, Kind::OuterJoin | Kind::Suppress) => Form::All,
        "out" => Form::Last,
        _ => Form::Not,
    }
}

impl Rows {
    /// Reads a dump of the application's topics. Its id is taken out of names, also where these are in values: ids are equally long
    /// and differ between runs.
    pub(super) fn read(dump: &str, application_id: &str, kind: Kind, is_killed: bool) -> Self {
        // Behind a repartition, and where input comes while it is read, it is chance which record brings a result about, and its headers
        // are the result's.
        let by_chance = is_killed || matches!(kind, Kind::Count | Kind::ForeignKeyJoin);
        let mut rows = Self::default();
        let hex = application_id.bytes().map(|byte| format!("{byte:02x}"));
        let dump = dump.replace(&hex.collect::<String>(), "<id>");
        for line in dump.replace(application_id, "@").lines() {
            let fields: Vec<_> = line.split('\t').collect();
            let topic = fields[0].trim_start_matches(['@', '.', '-']);
            match fields[1..] {
                [partition, _, key, value, ts, headers] => {
                    let headers = if by_chance { "" } else { headers };
                    rows.add(kind, topic, partition, key, (value, ts, headers));
                }
                [settings] => {
                    rows.settings.insert(format!("{topic}: {settings}"));
                }
                _ => panic!("no line of a dump: {line}"),
            }
        }
        for of_topic in rows.last.values_mut() {
            of_topic.retain(|_, value| !value.starts_with("\\N"));
        }
        rows
    }

    fn add(
        &mut self,
        kind: Kind,
        topic: &str,
        partition: &str,
        key: &str,
        (value, ts, headers): (&str, &str, &str),
    ) {
        let all = |rows: &mut Self, key: &str| {
            let row = format!("{partition} {key} {value} @{ts} {headers}");
            let of_topic = rows.all.entry(topic.to_owned()).or_default();
            *of_topic.entry(row).or_default() += 1;
        };
        let last = |rows: &mut Self, value: String| {
            let of_topic = rows.last.entry(topic.to_owned()).or_default();
            of_topic.insert(format!("{partition} {key}"), value);
        };
        match form(kind, topic) {
            Form::Last => last(self, format!("{value} @{ts} {headers}")),
            Form::LastWithoutTime => last(self, format!("{value} {headers}")),
            Form::AllWithoutSequence => all(self, &key[..key.len() - 8]),
            Form::All => all(self, key),
            Form::Not => {}
        }
    }

    /// Whether there is anything to compare.
    pub(super) fn has_results(&self) -> bool {
        self.last.contains_key("out") || self.all.contains_key("out")
    }

    /// What differs, line by line; nothing if the two are equal.
    pub(super) fn differences(&self, expected: &Self) -> Vec<String> {
        let mut found = Vec::new();
        compare(&self.last, &expected.last, &mut found);
        compare(&self.all, &expected.all, &mut found);
        for line in self.settings.symmetric_difference(&expected.settings) {
            let who = match self.settings.contains(line) {
                true => "found",
                false => "expected",
            };
            found.push(format!("{who} topic {line}"));
        }
        found
    }

    /// What of the expected results is not there, where records may have been read twice; nothing if all is.
    pub(super) fn lost(&self, expected: &Self, kind: Kind) -> Vec<String> {
        if matches!(kind, Kind::TableJoin | Kind::ForeignKeyJoin) {
            let mut lost = Vec::new();
            let out = |rows: &Self| BTreeMap::from([("out".to_owned(), rows.last["out"].clone())]);
            compare(&out(self), &out(expected), &mut lost);
            return lost;
        }
        let found = self.results(kind);
        let expected = expected.results(kind);
        let lost = expected.into_iter().filter(|(key, wanted)| {
            found.get(key).is_none_or(|found| {
                found.count < wanted.count || !found.parts.is_superset(&wanted.parts)
            })
        });
        lost.map(|lost| format!("lost: {lost:?}")).collect()
    }

    /// Results by key: how many records they stand for, or which.
    fn results(&self, kind: Kind) -> BTreeMap<String, Result> {
        let none = BTreeMap::new();
        let last = self.last.get("out").unwrap_or(&none);
        let last = last.iter().map(|(key, row)| format!("{key} {row}"));
        let all = self.all.get("out").into_iter().flat_map(BTreeMap::keys);
        let mut results: BTreeMap<String, Result> = BTreeMap::new();
        for row in last.chain(all.cloned()) {
            let mut fields = row.split(' ');
            let mut field = || fields.next().unwrap_or_default();
            let (partition, key, value) = (field(), field(), field());
            let result = results.entry(format!("{partition} {key}")).or_default();
            match kind {
                Kind::Tumbling => result.parts.extend(value.split("2b").map(str::to_owned)),
                Kind::OuterJoin => _ = result.parts.insert(value.to_owned()),
                _ => {
                    let count = u64::from_str_radix(value, 16).expect("a count has eight bytes");
                    result.count = result.count.max(count);
                }
            }
        }
        results
    }
}

/// What one key's result was made of.
#[derive(Debug, Default)]
struct Result {
    count: u64,
    parts: BTreeSet<String>,
}

fn compare<T: std::fmt::Debug + PartialEq>(
    found: &BTreeMap<String, BTreeMap<String, T>>,
    expected: &BTreeMap<String, BTreeMap<String, T>>,
    differences: &mut Vec<String>,
) {
    let topics: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let none = BTreeMap::new();
    for topic in topics {
        let found = found.get(topic).unwrap_or(&none);
        let expected = expected.get(topic).unwrap_or(&none);
        let keys: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
        for key in keys {
            let (found, expected) = (found.get(key), expected.get(key));
            if found != expected {
                differences.push(format!(
                    "{topic}: {key}: found {found:?}, expected {expected:?}"
                ));
            }
        }
    }
}
