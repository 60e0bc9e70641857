//! A record as operators see it: typed key and value, timestamp, headers, and where it came from.
//! Not bytes: those are `headwater_log::RecordRef`. Invariant: a record without headers costs no allocation for them.

use crate::task::Meta;
use headwater_log::{Header, HeadersRef};

/// Where a record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the topic in the topology; see `ProcessorContext::topic`.
    pub topic: u32,
    /// The partition.
    pub partition: u32,
    /// The offset; -1 for a record that a punctuation made.
    pub offset: i64,
}

impl Position {
    /// No source: the record was made by a punctuation.
    pub const NONE: Position = Position {
        topic: u32::MAX,
        partition: 0,
        offset: -1,
    };
}

/// A record on an edge. The key's type says whether it may be absent (`()` or `Option<K>`); a value may always be.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<K, V> {
    /// The key.
    pub key: K,
    /// The value; `None` is a tombstone.
    pub value: Option<V>,
    /// Event time, ms since the epoch.
    pub timestamp: i64,
    /// Headers, handed on by every operator.
    pub headers: Headers,
    /// Where it, or the record that caused it, was read.
    pub position: Position,
}

impl<K, V> Record<K, V> {
    /// A record without headers and source.
    pub fn new(key: K, value: Option<V>, timestamp: i64) -> Self {
        Self {
            key,
            value,
            timestamp,
            headers: Headers::default(),
            position: Position::NONE,
        }
    }

    /// Key, value and the rest.
    #[inline(always)]
    pub(crate) fn into_parts(self) -> (K, Option<V>, Meta) {
        let meta = Meta {
            timestamp: self.timestamp,
            headers: self.headers,
            position: self.position,
        };
        (self.key, self.value, meta)
    }

    /// The same record with another key.
    pub fn with_key<K2>(self, key: K2) -> Record<K2, V> {
        let value = self.value;
        Record {
            key,
            value,
            timestamp: self.timestamp,
            headers: self.headers,
            position: self.position,
        }
    }

    /// The same record with another value.
    pub fn with_value<V2>(self, value: Option<V2>) -> Record<K, V2> {
        let key = self.key;
        Record {
            key,
            value,
            timestamp: self.timestamp,
            headers: self.headers,
            position: self.position,
        }
    }

    /// The same record with another key and value.
    pub fn with<K2, V2>(self, key: K2, value: Option<V2>) -> Record<K2, V2> {
        self.with_key(key).with_value(value)
    }
}

/// A table's update: what the row is and, where someone downstream needs it, what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<V> {
    /// The row after the update; `None` when it was deleted.
    pub new: Option<V>,
    /// The row before it, if there was one and it is tracked.
    pub old: Option<V>,
    /// False only for an update of a versioned table that is older than the row of its key: it changes what was, not what is.
    pub is_latest: bool,
}

impl<V> Change<V> {
    /// An update of the row as it is.
    pub fn latest(new: Option<V>, old: Option<V>) -> Self {
        Self {
            new,
            old,
            is_latest: true,
        }
    }
}

/// Headers, encoded as in a batch; one pointer wide, free when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Option<Box<Encoded>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Encoded {
    count: usize,
    bytes: Vec<u8>,
}

impl Headers {
    /// Copies headers out of a batch.
    #[inline]
    pub fn copied(headers: HeadersRef<'_>) -> Self {
        if headers.count == 0 {
            return Self(None);
        }
        Self(Some(Box::new(Encoded {
            count: headers.count,
            bytes: headers.bytes.to_vec(),
        })))
    }

    /// True without headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds a header.
    pub fn add(&mut self, key: &str, value: Option<&[u8]>) {
        let encoded = self.0.get_or_insert_default();
        encoded.count += 1;
        HeadersRef::encode(
            &mut encoded.bytes,
            Header {
                key: key.as_bytes(),
                value,
            },
        );
    }

    /// The last value under `key`: `None` without such a header, `Some(None)` for one without a value.
    pub fn last(&self, key: &str) -> Option<Option<&[u8]>> {
        self.as_ref()
            .iter()
            .filter(|header| header.key == key.as_bytes())
            .last()
            .map(|header| header.value)
    }

    /// The headers as a batch holds them.
    #[inline]
    pub fn as_ref(&self) -> HeadersRef<'_> {
        match &self.0 {
            None => HeadersRef::NONE,
            Some(encoded) => HeadersRef {
                count: encoded.count,
                bytes: &encoded.bytes,
            },
        }
    }

    /// The bytes of names and values, without lengths.
    pub(crate) fn counted_len(&self) -> usize {
        self.as_ref()
            .iter()
            .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len))
            .sum()
    }

    /// The encoded headers, empty without any; [`Headers::unpack`] reads them.
    pub(crate) fn pack(&self) -> Vec<u8> {
        self.as_ref().bytes.to_vec()
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Self {
        // Their number is not packed with them: the bytes end where the last header does.
        let count = usize::MAX;
        let count = HeadersRef { count, bytes }.iter().count();
        Self::copied(HeadersRef { count, bytes })
    }
}
