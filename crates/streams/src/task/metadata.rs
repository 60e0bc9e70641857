//! The text committed with an offset: Kafka Streams keeps the partition's time there, and named times of operators
//! (`TopicPartitionMetadata`, `ProcessorMetadata`).
//! Not needed to resume, but without it stream time restarts at -1. Invariant: text of another origin reads as unknown.

use base64::{Engine, prelude::BASE64_STANDARD};
use std::sync::Arc;

const VERSION: u8 = 2;

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

    /// Takes over what was committed, where it is later.
    pub(crate) fn merge(&mut self, committed: Vec<(String, i64)>) {
        for (name, time) in committed {
            let number = self.add(&name);
            self.0[number].1 = self.0[number].1.max(time);
        }
    }
}

/// The metadata text for a partition time, ms since the epoch (-1 unknown), and the marks that are set.
pub(crate) fn encode(partition_time: i64, marks: &Marks) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&partition_time.to_be_bytes());
    let set: Vec<_> = marks.0.iter().filter(|(_, time)| *time >= 0).collect();
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
}
