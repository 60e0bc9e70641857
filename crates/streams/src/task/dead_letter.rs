//! Dead letters: records that failed, on their way to the topic the application set aside for them (KIP-1034).
//! Not retried. Invariant: a letter says where the source record of what failed was read, and why it failed; it holds that record's
//! raw bytes where the task has them.

use super::{Context, Feed, Meta, Route, Step};
use crate::{Headers, Position, Result};
use headwater_log::{AppendRecord, HeadersRef, RecordRef};
use std::rc::Rc;

/// The length that stands for no bytes at all; keys and values are shorter than 2 GiB.
const NONE: u32 = u32::MAX;

/// The headers of a letter, by the names of `ExceptionHandlerUtils`. Without a place it is nowhere, as Kafka Streams says it.
pub(crate) fn headers(
    original: HeadersRef<'_>,
    class: &str,
    reason: &str,
    place: Option<(&str, u32, i64)>,
) -> Headers {
    let mut headers = Headers::copied(original);
    headers.add("__streams.errors.exception", Some(class.as_bytes()));
    headers.add("__streams.errors.message", Some(reason.as_bytes()));
    let (topic, partition, offset) = match place {
        Some((topic, partition, offset)) => (Some(topic), partition.to_string(), offset),
        None => (None, "-1".to_owned(), -1),
    };
    let offset = offset.to_string();
    headers.add("__streams.errors.topic", topic.map(str::as_bytes));
    headers.add("__streams.errors.partition", Some(partition.as_bytes()));
    headers.add("__streams.errors.offset", Some(offset.as_bytes()));
    headers
}

/// Sends what the operator `node` failed with to `topic`, at once: in the order in which Kafka Streams does.
#[cold]
pub(super) fn send(
    ctx: &mut Context<'_>,
    topic: &str,
    (node, reason): (&str, &str),
    failed: &Meta,
) -> Result<()> {
    let reason = format!("{node} failed: {reason}");
    let position = failed.position;
    let (position, (key, value)) = match &ctx.state.source {
        Some(source) => source.of(position),
        None => (position, (None, None)),
    };
    let name = ctx.state.topics.get(position.topic as usize);
    let place = name.map(|name| (&**name, position.partition, position.offset));
    let headers = headers(
        failed.headers.as_ref(),
        "headwater.Processor",
        &reason,
        place,
    );
    let letter = AppendRecord {
        timestamp: failed.timestamp,
        key,
        value,
        headers: headers.as_ref(),
    };
    let route = key.map_or(Route::Any, Route::Key);
    ctx.output.send_to(topic, route, &letter)
}

/// The raw record that operators work on, for a letter about one of them. There is one only in tasks whose failures are sent to a
/// topic: all others need not remember it.
pub(crate) struct Source {
    position: Position,
    key_len: u32,
    value_len: u32,
    /// The key and behind it the value.
    bytes: Vec<u8>,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            position: Position::NONE,
            key_len: NONE,
            value_len: NONE,
            bytes: Vec::new(),
        }
    }
}

/// A key and a value.
type Raw<'b> = (Option<&'b [u8]>, Option<&'b [u8]>);

fn len(bytes: Option<&[u8]>) -> u32 {
    bytes.map_or(NONE, |bytes| bytes.len() as u32)
}

/// Takes so many bytes off the front.
fn take<'b>(bytes: &mut &'b [u8], len: u32) -> Option<&'b [u8]> {
    if len == NONE {
        return None;
    }
    let (taken, rest) = bytes.split_at_checked(len as usize)?;
    *bytes = rest;
    Some(taken)
}

fn number<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*number)
}

impl Source {
    fn set(&mut self, position: Position, (key, value): Raw<'_>) {
        self.position = position;
        (self.key_len, self.value_len) = (len(key), len(value));
        self.bytes.clear();
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// Nothing is worked on: what happens comes from no record.
    pub(super) fn clear(&mut self) {
        self.set(Position::NONE, (None, None));
    }

    fn raw(&self) -> Raw<'_> {
        let mut bytes = self.bytes.as_slice();
        let key = take(&mut bytes, self.key_len);
        (key, take(&mut bytes, self.value_len))
    }

    /// Where the source record of a record with this position was read, and its bytes if they are at hand. One that the
    /// application made itself has no position of its own.
    fn of(&self, position: Position) -> (Position, Raw<'_>) {
        if position.offset < 0 || position == self.position {
            return (self.position, self.raw());
        }
        (position, (None, None))
    }

    /// Puts what a letter needs in front of the packed headers of an update that goes into the record cache: it may fail on its way
    /// out. Answers the bytes of key and value.
    pub(super) fn pack(&self, position: Position, packed: &mut Vec<u8>) -> usize {
        let (position, (key, value)) = self.of(position);
        let headers = std::mem::take(packed);
        for number in [position.topic, position.partition, len(key), len(value)] {
            packed.extend_from_slice(&number.to_ne_bytes());
        }
        packed.extend_from_slice(&position.offset.to_ne_bytes());
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        packed.extend_from_slice(key);
        packed.extend_from_slice(value);
        packed.extend_from_slice(&headers);
        key.len() + value.len()
    }

    /// Takes in what [`Source::pack`] has put in front of an update's headers; answers these.
    pub(super) fn unpack<'b>(&mut self, packed: &'b [u8]) -> &'b [u8] {
        let mut rest = packed;
        self.unpack_from(&mut rest).unwrap_or_else(|| self.clear());
        rest
    }

    fn unpack_from(&mut self, rest: &mut &[u8]) -> Option<()> {
        let (topic, partition) = (number(rest)?, number(rest)?);
        let (key_len, value_len) = (number(rest)?, number(rest)?);
        let position = Position {
            topic: u32::from_ne_bytes(topic),
            partition: u32::from_ne_bytes(partition),
            offset: i64::from_ne_bytes(number(rest)?),
        };
        let key = take(rest, u32::from_ne_bytes(key_len));
        let value = take(rest, u32::from_ne_bytes(value_len));
        self.set(position, (key, value));
        Some(())
    }
}

/// A source whose raw records are remembered while operators work on them.
pub(super) struct Remembered(pub(super) Rc<dyn Feed>);

impl Feed for Remembered {
    fn timestamp(&self, record: &RecordRef<'_>, partition_time: i64) -> i64 {
        self.0.timestamp(record, partition_time)
    }

    fn keeps_timestamps(&self) -> bool {
        self.0.keeps_timestamps()
    }

    fn can_decode(&self, topic: &str, record: &RecordRef<'_>) -> bool {
        self.0.can_decode(topic, record)
    }

    fn feed(
        &self,
        ctx: &mut Context<'_>,
        record: &RecordRef<'_>,
        timestamp: i64,
        topic: u32,
        partition: u32,
    ) -> Step<bool> {
        let position = Position {
            topic,
            partition,
            offset: record.offset,
        };
        if let Some(source) = &mut ctx.state.source {
            source.set(position, (record.key, record.value));
        }
        let fed = self.0.feed(ctx, record, timestamp, topic, partition);
        if let Some(source) = &mut ctx.state.source {
            source.clear();
        }
        fed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_with_an_update_comes_back_in_front_of_its_headers() {
        let position = Position {
            topic: 3,
            partition: 1,
            offset: 7,
        };
        let raws: [Raw<'_>; 3] = [
            (Some(b"key"), Some(b"value")),
            (None, Some(b"")),
            (Some(b""), None),
        ];
        for raw in raws {
            let mut source = Source::default();
            source.set(position, raw);
            let mut packed = b"headers".to_vec();
            source.pack(Position::NONE, &mut packed);
            let mut found = Source::default();
            assert_eq!(found.unpack(&packed), b"headers");
            assert_eq!(found.of(position), (position, raw));
        }
    }

    #[test]
    fn a_record_of_another_place_has_no_bytes_here() {
        let mut source = Source::default();
        let place = |offset| Position {
            topic: 0,
            partition: 0,
            offset,
        };
        source.set(place(1), (Some(b"k"), Some(b"v")));
        let mut packed = Vec::new();
        assert_eq!(source.pack(place(2), &mut packed), 0);
        assert_eq!(source.unpack(&packed), b"");
        assert_eq!(source.of(Position::NONE), (place(2), (None, None)));
    }
}
