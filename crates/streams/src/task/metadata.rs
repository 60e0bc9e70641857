//! The text committed with an offset: Kafka Streams keeps the partition's time there, and named times of operators
//! (`TopicPartitionMetadata`, `ProcessorMetadata`).
//! Not needed to resume, but without it stream time restarts at -1. Invariant: text of another origin reads as unknown.

use base64::{Engine, prelude::BASE64_STANDARD};
use std::sync::Arc;

const VERSION: u8 = 2;
/// The most characters that a broker keeps with an offset (`offset.metadata.max.bytes`, by default); with more a commit fails.
const TEXT_BYTES_MAX: usize = 4096;
/// The bytes that are so many characters in base 64.
const PLAIN_BYTES_MAX: usize = TEXT_BYTES_MAX / 4 * 3;
/// In front of the marks: version, partition time, how many there are.
const FRONT_BYTES: usize = 1 + 8 + 4;

/// Named times that a task's operators keep across restarts, such as the last window close they have emitted.
/// Java names them by store and reads all of a task's partitions, by maximum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(Vec<(Arc<str>, i64)>);

impl Marks {
    /// The number of a mark, kept under `name`; -1 until it is set.
    pub(crate) fn add(&mut self, name: &str) -> usize {
        if let Some(number) = self.0.iter().position(|(known, _)| **known == *name) {
            return number;
        }
        self.0.push((name.into(), -1));
        self.0.len() - 1
    }

    /// The time under `name`, if it is set.
    pub(crate) fn find(&self, name: &str) -> Option<i64> {
        let mark = self.0.iter().find(|(known, _)| **known == *name);
        mark.map(|(_, time)| *time).filter(|time| *time >= 0)
    }

    pub(crate) fn get(&self, number: usize) -> i64 {
        self.0[number].1
    }

    pub(crate) fn set(&mut self, number: usize, time: i64) {
        self.0[number].1 = time;
    }

    /// Those to commit: all that are set, or as many as fit. Without an operator's own mark it forgets at a restart what Kafka
    /// Streams forgets too.
    fn kept(&self) -> Vec<&(Arc<str>, i64)> {
        let set = || self.0.iter().filter(|(_, time)| *time >= 0);
        let bytes = |mark: &(Arc<str>, i64)| 4 + mark.0.len() + 8;
        if FRONT_BYTES + set().map(bytes).sum::<usize>() <= PLAIN_BYTES_MAX {
            return set().collect();
        }
        let (mut kept, mut left) = (Vec::new(), PLAIN_BYTES_MAX - FRONT_BYTES);
        for worth in [Worth::Java, Worth::Operator, Worth::Upstream] {
            let own: Vec<_> = set().filter(|(name, _)| worth_of(name) == worth).collect();
            let all: usize = own.iter().map(|mark| bytes(mark)).sum();
            // What upstream tasks have said bounds nothing unless it is complete, and holds windows open if it is not.
            if worth == Worth::Upstream && all > left {
                break;
            }
            for mark in own {
                if bytes(mark) <= left {
                    left -= bytes(mark);
                    kept.push(mark);
                }
            }
        }
        kept
    }

    /// How many are set that there is no room for in a commit.
    pub(crate) fn left_out(&self) -> usize {
        let set = self.0.iter().filter(|(_, time)| *time >= 0).count();
        set - self.kept().len()
    }

    /// Takes over what was committed, where it is later.
    pub(crate) fn merge(&mut self, committed: Vec<(String, i64)>) {
        for (name, time) in committed {
            let number = self.add(&name);
            self.0[number].1 = self.0[number].1.max(time);
        }
    }
}

/// Who is missing a mark that is not committed; the first least of all can do without.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// Kafka Streams commits it too.
    Java,
    /// An operator's own: a time observed, a number given.
    Operator,
    /// What an upstream task has said.
    Upstream,
}

fn worth_of(name: &str) -> Worth {
    match name {
        _ if name.starts_with('~') => Worth::Upstream,
        _ if name.contains(".observed") || name.ends_with(".number") => Worth::Operator,
        _ => Worth::Java,
    }
}

/// The metadata text for a partition time, ms since the epoch (-1 unknown), and the marks that are set, as far as they fit.
pub(crate) fn encode(partition_time: i64, marks: &Marks) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&partition_time.to_be_bytes());
    let set = marks.kept();
    if !set.is_empty() {
        bytes.extend_from_slice(&(set.len() as u32).to_be_bytes());
        for (name, time) in set {
            bytes.extend_from_slice(&(name.len() as u32).to_be_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&time.to_be_bytes());
        }
    }
    BASE64_STANDARD.encode(bytes)
}

/// The metadata text for a partition time, ms since the epoch (-1 unknown).
pub fn encode_metadata(partition_time: i64) -> String {
    encode(partition_time, &Marks::default())
}

/// The partition time in a metadata text; -1 when it holds none. Versions 1 and 2 are read.
pub fn decode_metadata(text: &str) -> i64 {
    decode(text).0
}

/// The partition time and the named times in a metadata text.
pub(crate) fn decode(text: &str) -> (i64, Vec<(String, i64)>) {
    let bytes = BASE64_STANDARD.decode(text).unwrap_or_default();
    let Some((version @ &(1 | VERSION), rest)) = bytes.split_first() else {
        return (-1, Vec::new());
    };
    let Some((time, rest)) = rest.split_first_chunk::<8>() else {
        return (-1, Vec::new());
    };
    let marks = if *version == VERSION {
        decode_marks(rest).unwrap_or_default()
    } else {
        Vec::new()
    };
    (i64::from_be_bytes(*time), marks)
}

fn decode_marks(bytes: &[u8]) -> Option<Vec<(String, i64)>> {
    let (count, mut rest) = bytes.split_first_chunk::<4>()?;
    let mut marks = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let (name, tail) = tail.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        let (time, tail) = tail.split_first_chunk::<8>()?;
        marks.push((
            String::from_utf8(name.to_vec()).ok()?,
            i64::from_be_bytes(*time),
        ));
        rest = tail;
    }
    Some(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kafka_streams_own() {
        assert_eq!(encode_metadata(1500), "AgAAAAAAAAXc");
        assert_eq!(encode_metadata(-1), "Av//////////");
        assert_eq!(decode_metadata("AgAAAAAAAAXc"), 1500);
        assert_eq!(
            decode_metadata("AgAAAAAAAAXcAAAAAQAAAAdzdG9yZS1hAAAAAAAABNI="),
            1500
        );
        let mut marks = Marks::default();
        let number = marks.add("store-a");
        marks.set(number, 1234);
        let text = "AgAAAAAAAAXcAAAAAQAAAAdzdG9yZS1hAAAAAAAABNI=";
        assert_eq!(encode(1500, &marks), text);
        assert_eq!(decode(text).1, [("store-a".to_owned(), 1234)]);
        assert_eq!(decode_metadata(""), -1);
        assert_eq!(decode_metadata("anything"), -1);
    }

    fn marked(names: impl Iterator<Item = String>) -> Marks {
        let mut marks = Marks::default();
        for name in names {
            let number = marks.add(&name);
            marks.set(number, 7);
        }
        marks
    }

    #[test]
    fn a_text_is_never_longer_than_a_broker_keeps() {
        for (partitions, stores) in [(10, 1), (171, 1), (172, 1), (400, 3), (1, 200)] {
            let upstream = (0..partitions).map(|partition| format!("~0.{partition}"));
            let observed = (0..stores).map(|store| format!("store-{store}.observed"));
            let java = (0..stores).map(|store| format!("a-store-of-java-{store}"));
            let marks = marked(upstream.chain(observed).chain(java));
            let text = encode(1500, &marks);
            assert!(text.len() <= TEXT_BYTES_MAX, "{}", text.len());
            let (time, kept) = decode(&text);
            assert_eq!(time, 1500);
            let missing = marks.0.len() - kept.len();
            assert_eq!(marks.left_out(), missing);
            let count = |from: &str| {
                kept.iter()
                    .filter(|(name, _)| name.starts_with(from))
                    .count()
            };
            let upstream = count("~");
            assert!(
                upstream == 0 || upstream == partitions,
                "{upstream} of {partitions}"
            );
            let java = count("a-store");
            assert!(
                java == stores || count("store") + upstream == 0,
                "{java} of {stores}"
            );
        }
    }
}
