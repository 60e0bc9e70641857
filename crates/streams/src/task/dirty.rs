//! Updates on their way out of the record cache: copied into one buffer that is used again, since sending them on may
//! change the cache. Not a queue: it is filled and emptied within one flush.
//! Invariant: updates leave in the order in which they came.

use crate::Position;
use headwater_store::Entry;

/// Bytes an empty buffer keeps for the next flush.
const IDLE_BYTES_MAX: usize = 4 << 20;

/// The value length of a deletion.
const DELETED: usize = usize::MAX;

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

struct Place {
    /// Where key, value and headers begin.
    at: usize,
    key_len: usize,
    value_len: usize,
    headers_len: usize,
    timestamp: i64,
    position: Position,
}

/// Updates in order.
#[derive(Default)]
pub(crate) struct Dirty {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Dirty {
    pub(crate) fn push(&mut self, key: &[u8], entry: &Entry) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes
            .extend_from_slice(entry.value.as_deref().unwrap_or_default());
        self.bytes.extend_from_slice(&entry.headers);
        self.places.push(Place {
            at,
            key_len: key.len(),
            value_len: entry.value.as_ref().map_or(DELETED, Vec::len),
            headers_len: entry.headers.len(),
            timestamp: entry.timestamp,
            position: Position {
                topic: entry.topic,
                partition: entry.partition as u32,
                offset: entry.offset,
            },
        });
    }

    pub(crate) fn push_update(&mut self, update: &Update<'_>) {
        let Position {
            topic,
            partition,
            offset,
        } = update.position;
        let entry = Entry {
            value: update.value.map(<[u8]>::to_vec),
            timestamp: update.timestamp,
            headers: update.headers.to_vec(),
            topic,
            partition: partition as i32,
            offset,
            ..Entry::default()
        };
        self.push(update.key, &entry);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(crate) fn updates(&self) -> impl Iterator<Item = Update<'_>> {
        self.places.iter().map(|place| {
            let (key, rest) = self.bytes[place.at..].split_at(place.key_len);
            let value_len = if place.value_len == DELETED {
                0
            } else {
                place.value_len
            };
            let (value, rest) = rest.split_at(value_len);
            Update {
                key,
                value: (place.value_len != DELETED).then_some(value),
                timestamp: place.timestamp,
                headers: &rest[..place.headers_len],
                position: place.position,
            }
        })
    }

    /// Forgets the updates; keeps some memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
        self.bytes.shrink_to(IDLE_BYTES_MAX);
        self.places.shrink_to(IDLE_BYTES_MAX / size_of::<Place>());
    }
}
