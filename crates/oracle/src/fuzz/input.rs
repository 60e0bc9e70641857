//! Random inputs: records over few keys with disordered times, nulls, headers, and advances of the wall clock.
//! Invariant: keys and values have their topic's kind, except where a case is to fail on bytes it cannot read.

use super::{
    draft::{Draft, Topic},
    kind::Kind,
};
use serde_json::{Value, json};

const STRINGS: &[&str] = &[
    "1",
    "2",
    "3",
    "7",
    "12",
    "-4",
    "a",
    "b",
    "c",
    "a:1",
    "b:2",
    "c:3",
    "a b",
    "b c a",
    "apple pie",
    "",
    " ",
    "é:ü",
    "d:x y",
];

/// The time of the inputs so far.
struct Clock {
    now_ms: i64,
    last_ms: i64,
    step_ms: i64,
}

impl Draft {
    /// The inputs of a case. `unreadable` sends bytes that a long cannot have, here and there.
    pub(crate) fn inputs(&mut self, unreadable: bool) -> Vec<Value> {
        let count = self.random.between(5, 40);
        let keys: Vec<&str> = ["a", "b", "c", "d"][..self.random.below(4) + 1].to_vec();
        let mut clock = Clock {
            now_ms: *self.random.pick(&[0, 0, 5, 100]),
            last_ms: 0,
            step_ms: *self.random.pick(&[2, 5, 5, 10, 30]),
        };
        let ticks = self
            .nodes
            .iter()
            .any(|node| node.get("processor") == Some(&json!("tick")));
        let advance = if ticks { 15 } else { 3 };
        let topics = self.topics.clone();
        let mut inputs: Vec<Value> = Vec::new();
        for _ in 0..count {
            if self.random.chance(advance) {
                let by_ms = *self.random.pick(&[0, 1, 10, 50, 100, 1000]);
                inputs.push(json!({"advance_wall_clock_ms": by_ms}));
                continue;
            }
            if self.random.chance(4)
                && let Some(earlier) = inputs.last().filter(|last| last.get("topic").is_some())
            {
                inputs.push(earlier.clone());
                continue;
            }
            let topic = self.random.pick(&topics).clone();
            let input = self.record(&topic, &keys, &mut clock, unreadable);
            inputs.push(input);
        }
        inputs
    }

    fn record(
        &mut self,
        topic: &Topic,
        keys: &[&str],
        clock: &mut Clock,
        unreadable: bool,
    ) -> Value {
        let mut key = self.key(topic.key, keys);
        if unreadable && topic.key != Kind::String && self.random.chance(8) {
            key = json!("z");
        }
        let mut value = self.value(topic.value);
        if unreadable && topic.value == Kind::Long && self.random.chance(20) {
            value = json!("xyz");
        }
        let ts = match self.random.below(1500) {
            0 => -1 - self.random.between(0, 5),
            _ => self.time(clock),
        };
        let mut record = json!({"topic": topic.name, "key": key, "value": value, "ts": ts});
        if self.random.chance(10) {
            let headers = match self.random.below(4) {
                0 => json!([["h", "v"]]),
                1 => json!([["h", null]]),
                2 => json!([["h", "1"], ["x", "2"], ["h", "3"]]),
                _ => json!([["x", ""], ["n", 5]]),
            };
            record["headers"] = headers;
        }
        record
    }

    fn time(&mut self, clock: &mut Clock) -> i64 {
        let way = self.random.weighted(&[
            (180, 0),
            (45, 1),
            (42, 2),
            (12, 3),
            (15, 4),
            (3, 5),
            (3, 6),
            (1, 7),
        ]);
        let ts = match way {
            0 => clock.now_ms + self.random.between(0, clock.step_ms),
            1 => clock.last_ms,
            2 => (clock.now_ms - self.random.between(1, 6 * clock.step_ms)).max(0),
            3 => self.random.between(0, clock.now_ms.max(1)),
            4 => clock.now_ms + self.random.between(20, 300),
            5 => clock.now_ms + self.random.between(60_000, 200_000),
            7 => 1_700_000_000_000 + self.random.between(0, 1000),
            _ => clock.now_ms + self.random.between(1000, 30_000),
        };
        clock.now_ms = clock.now_ms.max(ts);
        clock.last_ms = ts;
        ts
    }

    fn key(&mut self, kind: Kind, keys: &[&str]) -> Value {
        if self.random.chance(if kind.is_windowed() { 0 } else { 4 }) {
            return Value::Null;
        }
        let text = if self.random.chance(2) {
            ""
        } else {
            *self.random.pick(keys)
        };
        match kind {
            Kind::String => json!(text),
            Kind::Long => json!(
                self.random
                    .between(0, i64::try_from(keys.len()).unwrap_or(1))
            ),
            Kind::Time { size_ms } => {
                json!({"windowed": text, "start": size_ms * self.random.between(0, 3)})
            }
            Kind::Session => {
                let start = self.random.between(0, 30);
                json!({"windowed": text, "start": start, "end": start + self.random.between(0, 10)})
            }
        }
    }

    fn value(&mut self, kind: Kind) -> Value {
        if self.random.chance(10) {
            return Value::Null;
        }
        match kind {
            Kind::Long => json!(*self.random.pick(&[0, 1, 2, 3, 5, 7, 7, -1, 100])),
            _ => json!(*self.random.pick(STRINGS)),
        }
    }
}
