//! A case file: settings, nodes in order, inputs in order. Not its meaning: nodes are read by the modules under `node`.
//! Invariant: a case that does not have the judge's form is refused, never mended.

use crate::Refusal;
use headwater::{Headers, TestRecord};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A topology and its input.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, which the result repeats.
    pub name: Value,
    /// Settings by Kafka's names.
    pub config: BTreeMap<String, String>,
    /// The topology, node by node.
    pub nodes: Vec<Spec>,
    /// What happens, in order.
    pub input: Vec<Input>,
}

/// One step of a case.
#[derive(Clone, Debug)]
pub enum Input {
    /// A record for partition 0 of a topic.
    Record {
        /// The topic.
        topic: String,
        /// The record in bytes.
        record: TestRecord,
    },
    /// The wall clock moves on by so many milliseconds.
    AdvanceWallClock(i64),
}

impl Case {
    /// Reads the JSON text of a case file.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let case: Value = serde_json::from_str(text)
            .map_err(|error| Refusal::Case(format!("the file is not JSON: {error}")))?;
        Self::of(&case)
    }

    /// Reads a case.
    pub fn of(case: &Value) -> Result<Self, Refusal> {
        let nodes = case["nodes"].as_array().ok_or_else(|| wrong("no nodes"))?;
        let input = case["input"].as_array().ok_or_else(|| wrong("no input"))?;
        Ok(Self {
            name: case["name"].clone(),
            config: text_map(&case["config"]),
            nodes: nodes.iter().map(Spec::of).collect::<Result<_, _>>()?,
            input: input.iter().map(step).collect::<Result<_, _>>()?,
        })
    }
}

fn wrong(what: &str) -> Refusal {
    Refusal::Case(what.into())
}

fn step(input: &Value) -> Result<Input, Refusal> {
    if let Some(ms) = input["advance_wall_clock_ms"].as_i64() {
        return Ok(Input::AdvanceWallClock(ms));
    }
    let mut headers = Headers::default();
    for header in input["headers"].as_array().into_iter().flatten() {
        let name = header[0]
            .as_str()
            .ok_or_else(|| wrong("a header without name"))?;
        headers.add(name, bytes(&header[1])?.as_deref());
    }
    let topic = input["topic"]
        .as_str()
        .ok_or_else(|| wrong("an input without topic"))?;
    let record = TestRecord {
        key: bytes(&input["key"])?,
        value: bytes(&input["value"])?,
        timestamp: input["ts"]
            .as_i64()
            .ok_or_else(|| wrong("an input without ts"))?,
        headers,
    };
    let topic = topic.to_owned();
    Ok(Input::Record { topic, record })
}

/// Bytes as a case writes them: text, a number of eight bytes, null, hexadecimal, a windowed key.
fn bytes(value: &Value) -> Result<Option<Vec<u8>>, Refusal> {
    let bytes = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Number(number) => {
            let long = number
                .as_i64()
                .ok_or_else(|| wrong("a number that is no long"))?;
            long.to_be_bytes().to_vec()
        }
        _ if value["windowed"].is_string() => windowed(value)?,
        _ => unhex(
            value["hex"]
                .as_str()
                .ok_or_else(|| wrong("bytes of unknown form"))?,
        )?,
    };
    Ok(Some(bytes))
}

/// `TimeWindowedSerializer`: key, start. With an end `SessionWindowedSerializer`: key, end, start.
fn windowed(value: &Value) -> Result<Vec<u8>, Refusal> {
    let key = value["windowed"].as_str().unwrap_or_default();
    let start = value["start"]
        .as_i64()
        .ok_or_else(|| wrong("a window without start"))?;
    let mut bytes = key.as_bytes().to_vec();
    if let Some(end) = value["end"].as_i64() {
        bytes.extend(end.to_be_bytes());
    }
    bytes.extend(start.to_be_bytes());
    Ok(bytes)
}

fn unhex(text: &str) -> Result<Vec<u8>, Refusal> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    };
    digits
        .map(|pair| byte(pair).ok_or_else(|| wrong("hexadecimal digits expected")))
        .collect()
}

fn text_map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}

/// The text of a scalar, as Jackson's `asText`.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One JSON object of a case: a node, a window, a store. A field that is null counts as absent.
#[derive(Clone, Debug, Default)]
pub struct Spec(Map<String, Value>);

impl Spec {
    pub(crate) fn of(value: &Value) -> Result<Self, Refusal> {
        let fields = value.as_object();
        let fields = fields.ok_or_else(|| Refusal::Case(format!("{value} is no object")))?;
        Ok(Self(fields.clone()))
    }

    /// A field that is there and not null.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.get(field).is_some()
    }

    /// A field of text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_str()
    }

    pub(crate) fn required(&self, field: &str) -> Result<&str, Refusal> {
        self.text(field).ok_or_else(|| self.lacks(field))
    }

    pub(crate) fn long(&self, field: &str) -> Option<i64> {
        self.get(field)?.as_i64()
    }

    pub(crate) fn required_long(&self, field: &str) -> Result<i64, Refusal> {
        self.long(field).ok_or_else(|| self.lacks(field))
    }

    pub(crate) fn bool(&self, field: &str) -> Option<bool> {
        self.get(field)?.as_bool()
    }

    /// An object in a field.
    pub fn object(&self, field: &str) -> Result<Option<Spec>, Refusal> {
        self.get(field).map(Spec::of).transpose()
    }

    pub(crate) fn required_object(&self, field: &str) -> Result<Spec, Refusal> {
        self.object(field)?.ok_or_else(|| self.lacks(field))
    }

    pub(crate) fn objects(&self, field: &str) -> Result<Vec<Spec>, Refusal> {
        let list = self.get(field).and_then(Value::as_array);
        list.into_iter().flatten().map(Spec::of).collect()
    }

    pub(crate) fn texts(&self, field: &str) -> Vec<String> {
        let list = self.get(field).and_then(Value::as_array);
        list.into_iter().flatten().map(plain).collect()
    }

    /// The entries of an object of settings; none for any other value.
    pub(crate) fn settings(&self, field: &str) -> BTreeMap<String, String> {
        self.get(field).map(text_map).unwrap_or_default()
    }

    /// What the node does.
    pub fn op(&self) -> &str {
        self.text("op").unwrap_or("?")
    }

    fn lacks(&self, field: &str) -> Refusal {
        let whole = Value::Object(self.0.clone());
        Refusal::Case(format!("{whole} has no {field}"))
    }
}
