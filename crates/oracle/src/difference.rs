//! The first difference between two results. Not a diff of everything: the first one is the one to mend.
//! Invariant: of errors only stage and step are compared, and of dead letters not why: the wording is Java's own.

use serde_json::{Value, json};
use std::fmt;

/// The fields in the order in which a difference in one explains those in the next.
const FIELDS: [&str; 7] = [
    "name",
    "description",
    "error",
    "internal_topics",
    "subtopologies",
    "records",
    "stores",
];

/// Headers of dead letters in each side's own words.
const WORDS: [&str; 3] = [
    "__streams.errors.exception",
    "__streams.errors.message",
    "__streams.errors.stacktrace",
];

/// Where two results part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, and the place in it: a line, an index, a store.
    pub place: String,
    /// What Kafka Streams gives.
    pub expected: String,
    /// What Headwater gives.
    pub actual: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  at {}", self.place)?;
        writeln!(f, "    expected {}", self.expected)?;
        write!(f, "    got      {}", self.actual)
    }
}

/// Compares results by JSON value; `None` when they are equal.
pub fn difference(expected: &Value, actual: &Value) -> Option<Difference> {
    FIELDS.iter().find_map(|field| {
        let (expected, actual) = (&expected[*field], &actual[*field]);
        match *field {
            "error" => at("error", &place(expected), &place(actual), actual),
            "description" => in_lines(expected, actual),
            "records" if has_letters(expected) || has_letters(actual) => {
                inside(field, &wordless(expected), &wordless(actual))
            }
            _ => inside(field, expected, actual),
        }
    })
}

/// What of an error is compared.
fn place(error: &Value) -> Value {
    match error {
        Value::Null => Value::Null,
        error => json!({ "stage": error["stage"], "step": error["step"] }),
    }
}

/// The headers of a record in a result.
fn headers(record: &Value) -> impl Iterator<Item = &Value> {
    record["headers"].as_array().into_iter().flatten()
}

fn is_worded(header: &Value) -> bool {
    header[0].as_str().is_some_and(|name| WORDS.contains(&name))
}

/// Some of these records are dead letters.
fn has_letters(records: &Value) -> bool {
    let mut records = records.as_array().into_iter().flatten();
    records.any(|record| headers(record).any(is_worded))
}

/// The records without what each side says in its own words.
fn wordless(records: &Value) -> Value {
    let mut records = records.clone();
    for record in records.as_array_mut().into_iter().flatten() {
        if let Some(headers) = record["headers"].as_array_mut() {
            headers.retain(|header| !is_worded(header));
        }
    }
    records
}

fn at(place: &str, expected: &Value, actual: &Value, shown: &Value) -> Option<Difference> {
    (expected != actual).then(|| Difference {
        place: place.into(),
        expected: expected.to_string(),
        actual: shown.to_string(),
    })
}

fn in_lines(expected: &Value, actual: &Value) -> Option<Difference> {
    let (Value::String(expected), Value::String(actual)) = (expected, actual) else {
        return at("description", expected, actual, actual);
    };
    let (mut ours, mut number) = (actual.split('\n'), 0);
    for theirs in expected.split('\n') {
        number += 1;
        match ours.next() {
            Some(line) if line == theirs => {}
            line => {
                return Some(Difference {
                    place: format!("description, line {number}"),
                    expected: theirs.into(),
                    actual: line.unwrap_or("(ends)").into(),
                });
            }
        }
    }
    ours.next().map(|line| Difference {
        place: format!("description, line {}", number + 1),
        expected: "(ends)".into(),
        actual: line.into(),
    })
}

fn inside(path: &str, expected: &Value, actual: &Value) -> Option<Difference> {
    match (expected, actual) {
        (Value::Array(theirs), Value::Array(ours)) if nested(theirs) || nested(ours) => {
            let len = theirs.len().max(ours.len());
            (0..len).find_map(|index| {
                let path = format!("{path}[{index}]");
                match (theirs.get(index), ours.get(index)) {
                    (Some(expected), Some(actual)) => at(&path, expected, actual, actual),
                    (expected, actual) => Some(Difference {
                        place: path,
                        expected: or_end(expected),
                        actual: or_end(actual),
                    }),
                }
            })
        }
        (Value::Object(theirs), Value::Object(ours)) => {
            let names = theirs.keys().chain(ours.keys());
            names.into_iter().find_map(|name| {
                let path = format!("{path}.{name}");
                match (theirs.get(name), ours.get(name)) {
                    (Some(expected), Some(actual)) => inside(&path, expected, actual),
                    (expected, actual) => Some(Difference {
                        place: path,
                        expected: or_end(expected),
                        actual: or_end(actual),
                    }),
                }
            })
        }
        _ => at(path, expected, actual, actual),
    }
}

/// Lists worth an index: those of lists and objects.
fn nested(list: &[Value]) -> bool {
    list.iter().any(|item| item.is_array() || item.is_object())
}

fn or_end(value: Option<&Value>) -> String {
    value.map_or_else(|| "(nothing)".into(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_equal_when_stage_and_step_are() {
        let java = json!({"error": {"stage": "input", "step": 2, "class": "StreamsException"}});
        let ours = json!({"error": {"stage": "input", "step": 2, "message": "other words"}});
        assert_eq!(difference(&java, &ours), None);
        let later = json!({"error": {"stage": "input", "step": 3}});
        let place = difference(&java, &later).map(|found| found.place);
        assert_eq!(place.as_deref(), Some("error"));
    }

    #[test]
    fn letters_are_equal_when_their_places_are() {
        let letter = |why: &str, offset: &str| {
            let headers = [
                ["__streams.errors.message", why],
                ["__streams.errors.offset", offset],
            ];
            json!({"records": [{"step": 0, "headers": headers}]})
        };
        assert_eq!(difference(&letter("its", "1"), &letter("ours", "1")), None);
        let found = difference(&letter("its", "1"), &letter("ours", "2"));
        let place = found.map(|found| found.place);
        assert_eq!(place.as_deref(), Some("records[0]"));
    }

    #[test]
    fn a_difference_names_the_record() {
        let java = json!({"records": [{"step": 0}, {"step": 1}]});
        let ours = json!({"records": [{"step": 0}]});
        let found = difference(&java, &ours).expect("one record is missing");
        assert_eq!((&*found.place, &*found.actual), ("records[1]", "(nothing)"));
    }

    #[test]
    fn a_difference_names_the_line_of_the_description() {
        let java = json!({"description": "a\nb\nc"});
        let ours = json!({"description": "a\nx\nc"});
        let found = difference(&java, &ours).expect("the second lines differ");
        assert_eq!(found.place, "description, line 2");
    }
}
