//! The bytes of a row that is held back, as its changelog has them (`BufferValue`, `ProcessorRecordContext`; version 3).
//! Not the order in which rows leave. Invariant: what is written is what Kafka Streams writes, and all of it is read back.
//!
//! ```text
//! timestamp 8 | offset 8 | topic 4+n | partition 4 | headers 4 { key 4+n, value 4+n } | prior 4+n | old 4+n | new 4+n | time 8
//! ```
//! A length of -1 is null; -2 of `old` says that it equals `prior`.

use crate::{Headers, Position};
use headwater_log::HeadersRef;

/// A length that stands for null.
const NULL: i32 = -1;
/// A length of the old value that stands for "as the prior one".
const AS_PRIOR: i32 = -2;

/// Where and when the record came from that set the row (`ProcessorRecordContext`).
pub(crate) struct Origin<'a> {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    pub(crate) headers: HeadersRef<'a>,
}

/// The values of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values<'a> {
    /// The row downstream still has: what was before the first update that is held back.
    pub(crate) prior: Option<&'a [u8]>,
    /// What was before the last update.
    pub(crate) old: Option<&'a [u8]>,
    pub(crate) new: Option<&'a [u8]>,
}

/// Writes a row that is due at `time`.
pub(crate) fn encode(bytes: &mut Vec<u8>, origin: &Origin<'_>, values: Values<'_>, time: i64) {
    bytes.clear();
    bytes.extend_from_slice(&origin.timestamp.to_be_bytes());
    bytes.extend_from_slice(&origin.offset.to_be_bytes());
    put(bytes, Some(origin.topic.as_bytes()));
    bytes.extend_from_slice(&origin.partition.to_be_bytes());
    bytes.extend_from_slice(&(origin.headers.count as i32).to_be_bytes());
    for header in origin.headers.iter() {
        put(bytes, Some(header.key));
        put(bytes, header.value);
    }
    put(bytes, values.prior);
    if values.old.is_some() && values.old == values.prior {
        bytes.extend_from_slice(&AS_PRIOR.to_be_bytes());
    } else {
        put(bytes, values.old);
    }
    put(bytes, values.new);
    bytes.extend_from_slice(&time.to_be_bytes());
}

fn put(bytes: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            bytes.extend_from_slice(&(value.len() as i32).to_be_bytes());
            bytes.extend_from_slice(value);
        }
        None => bytes.extend_from_slice(&NULL.to_be_bytes()),
    }
}

/// A row that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    pub(crate) headers: Headers,
    pub(crate) values: Values<'a>,
    pub(crate) time: i64,
}

impl<'a> Row<'a> {
    /// Reads a row; `None` for bytes that are none.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let (timestamp, offset) = (rest.long()?, rest.long()?);
        let topic = std::str::from_utf8(rest.value()??).ok()?;
        let partition = rest.int()? as u32;
        let mut headers = Headers::default();
        // -1 in rows of versions that kept none.
        for _ in 0..rest.int()?.max(0) {
            let key = std::str::from_utf8(rest.value()??).ok()?;
            headers.add(key, rest.value()?);
        }
        let prior = rest.value()?;
        let old = match rest.int()? {
            AS_PRIOR => prior,
            length => rest.sized(length)?,
        };
        let new = rest.value()?;
        let time = rest.long()?;
        let values = Values { prior, old, new };
        rest.0.is_empty().then_some(Self {
            timestamp,
            offset,
            topic,
            partition,
            headers,
            values,
            time,
        })
    }

    /// Where the row's record was read, by the numbers of `topics`.
    pub(crate) fn position(&self, topics: &[std::sync::Arc<str>]) -> Position {
        let number = topics.iter().position(|topic| **topic == *self.topic);
        Position {
            topic: number.map_or(u32::MAX, |number| number as u32),
            partition: self.partition,
            offset: self.offset,
        }
    }

    /// What Kafka Streams counts for it in a buffer bounded in bytes (`computeRecordSize`): characters of names, not bytes.
    pub(crate) fn counted_len(&self, key: &[u8]) -> usize {
        const LONGS_AND_PARTITION: usize = 8 + 8 + 8 + 4;
        let Values { prior, old, new } = self.values;
        let old = old.filter(|old| prior != Some(old));
        let values = [prior, old, new].map(|value| value.map_or(0, <[u8]>::len));
        let headers = self.headers.as_ref();
        let headers = headers.iter().map(|header| {
            let name = String::from_utf8_lossy(header.key);
            name.encode_utf16().count() + header.value.map_or(0, <[u8]>::len)
        });
        let topic = self.topic.encode_utf16().count();
        LONGS_AND_PARTITION
            + key.len()
            + topic
            + headers.sum::<usize>()
            + values.iter().sum::<usize>()
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn long(&mut self) -> Option<i64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_be_bytes(*number))
    }

    fn int(&mut self) -> Option<i32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i32::from_be_bytes(*number))
    }

    /// The outer `None` is damage, the inner one a null.
    fn value(&mut self) -> Option<Option<&'a [u8]>> {
        let length = self.int()?;
        self.sized(length)
    }

    fn sized(&mut self, length: i32) -> Option<Option<&'a [u8]>> {
        if length == NULL {
            return Some(None);
        }
        let (value, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_kafka_streams_own() {
        let mut headers = Headers::default();
        headers.add("h1", Some(b"v1"));
        let origin = Origin {
            timestamp: 1500,
            offset: 0,
            topic: "in",
            partition: 0,
            headers: headers.as_ref(),
        };
        let count = |count: u64| count.to_be_bytes();
        let (zero, one) = (count(0), count(1));
        let values = Values {
            prior: Some(&zero),
            old: Some(&zero),
            new: Some(&one),
        };
        let mut bytes = Vec::new();
        encode(&mut bytes, &origin, values, 2000);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "00000000000005dc000000000000000000000002696e000000000000000100000002683100000002763100000008\
             0000000000000000fffffffe00000008000000000000000100000000000007d0"
        );
        let row = Row::decode(&bytes).expect("it was written");
        assert_eq!(
            (row.values, row.time, row.headers.clone()),
            (values, 2000, headers)
        );
        assert_eq!(row.counted_len(b"k"), 8 + 1 + 8 + 8 + 2 + 4 + 4 + 16);
        assert_eq!(Row::decode(&bytes[1..]), None);
        assert_eq!(Row::decode(&[]), None);
    }
}
