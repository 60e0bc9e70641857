//! Updates on their way out of the record cache: copied into one buffer that is used again, since sending them on may
//! change the cache. Not a queue: it is filled and emptied within one flush.
//! Invariant: updates leave in the order in which they came.

use crate::Position;
use headwater_store::{Entry, ShortBytes};

/// The value length of a deletion; values are shorter than 2 GiB.
const DELETED: u32 = u32::MAX;

/// Lengths of key, value and headers, topic and partition, timestamp and offset.
const HEAD_BYTES: usize = 5 * 4 + 2 * 8;

/// An update of a row.
pub(crate) struct Update<'a> {
    pub(crate) key: &'a [u8],
    /// The row as its store keeps it; `None` deletes it.
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) timestamp: i64,
    /// Packed; see `Headers::unpack`.
    pub(crate) headers: &'a [u8],
    pub(crate) position: Position,
}

/// Updates in order, each with its numbers in front: one buffer, however many there are.
pub(crate) struct Dirty {
    bytes: Vec<u8>,
}

impl Dirty {
    /// None yet, in the memory of an empty buffer.
    pub(crate) fn new(buffer: Vec<u8>) -> Self {
        Self { bytes: buffer }
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn push(&mut self, key: &[u8], entry: &Entry) {
        let value_len = (entry.value.as_ref()).map_or(DELETED, |value| value.len() as u32);
        let (key_len, headers_len) = (key.len() as u32, entry.headers.len() as u32);
        let partition = entry.partition as u32;
        let bytes = HEAD_BYTES + key.len() + entry.headers.len();
        let value = entry.value.as_deref().unwrap_or_default();
        self.bytes.reserve(bytes + value.len());
        for number in [key_len, value_len, headers_len, entry.topic, partition] {
            self.bytes.extend_from_slice(&number.to_ne_bytes());
        }
        for number in [entry.timestamp, entry.offset] {
            self.bytes.extend_from_slice(&number.to_ne_bytes());
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(&entry.headers);
    }

    pub(crate) fn push_update(&mut self, update: &Update<'_>) {
        let Position {
            topic,
            partition,
            offset,
        } = update.position;
        let entry = Entry {
            value: update.value.map(ShortBytes::from),
            timestamp: update.timestamp,
            headers: update.headers.into(),
            topic,
            partition: partition as i32,
            offset,
            ..Entry::default()
        };
        self.push(update.key, &entry);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn updates(&self) -> Updates<'_> {
        Updates { rest: &self.bytes }
    }
}

/// A walk over updates.
#[derive(Clone)]
pub(crate) struct Updates<'a> {
    rest: &'a [u8],
}

impl<'a> Updates<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn narrow(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_ne_bytes(*number))
    }

    fn wide(&mut self) -> Option<i64> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(i64::from_ne_bytes(*number))
    }
}

impl<'a> Iterator for Updates<'a> {
    type Item = Update<'a>;

    #[inline]
    fn next(&mut self) -> Option<Update<'a>> {
        let (key_len, value_len) = (self.narrow()?, self.narrow()?);
        let headers_len = self.narrow()?;
        let (topic, partition) = (self.narrow()?, self.narrow()?);
        let (timestamp, offset) = (self.wide()?, self.wide()?);
        let key = self.take(key_len as usize);
        let value = match value_len {
            DELETED => None,
            len => Some(self.take(len as usize)),
        };
        Some(Update {
            key,
            value,
            timestamp,
            headers: self.take(headers_len as usize),
            position: Position {
                topic,
                partition,
                offset,
            },
        })
    }
}
