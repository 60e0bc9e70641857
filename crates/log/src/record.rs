//! Records as bytes: borrowed from a batch when read, borrowed from the caller when appended. Not typed values.
//! Invariant: reading allocates nothing.

use crate::varint;

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name, UTF-8 by convention.
    pub key: &'a [u8],
    /// The value; headers may have none.
    pub value: Option<&'a [u8]>,
}

/// Headers in the batch's own encoding: a count, then key and value each with a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadersRef<'a> {
    /// How many.
    pub count: usize,
    /// The encoded headers, without the count.
    pub bytes: &'a [u8],
}

impl<'a> HeadersRef<'a> {
    /// No headers.
    pub const NONE: HeadersRef<'static> = HeadersRef {
        count: 0,
        bytes: &[],
    };

    /// The headers in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let (bytes, mut position, count) = (self.bytes, 0, self.count);
        (0..count).map_while(move |_| {
            let key = take_bytes(bytes, &mut position)??;
            let value = take_bytes(bytes, &mut position)?;
            Some(Header { key, value })
        })
    }

    /// Appends one header in this encoding to `bytes`.
    pub fn encode(bytes: &mut Vec<u8>, header: Header<'_>) {
        put_bytes(bytes, Some(header.key));
        put_bytes(bytes, header.value);
    }
}

/// A record in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms since the epoch; -1 when it has none.
    pub timestamp: i64,
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: HeadersRef<'a>,
}

/// A record to append; the log gives it its offset.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppendRecord<'a> {
    /// Its timestamp, ms since the epoch.
    pub timestamp: i64,
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its value; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: HeadersRef<'a>,
}

/// Reads a length and so many bytes; the inner `None` is a null, the outer one damage.
#[inline(always)]
pub(crate) fn take_bytes<'a>(bytes: &'a [u8], position: &mut usize) -> Option<Option<&'a [u8]>> {
    let length = varint::take(bytes, position)?;
    if length < 0 {
        return Some(None);
    }
    let end = position.checked_add(usize::try_from(length).ok()?)?;
    let taken = bytes.get(*position..end)?;
    *position = end;
    Some(Some(taken))
}

/// Writes a length and the bytes; a null is length -1.
#[inline]
pub(crate) fn put_bytes(buffer: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            varint::put(buffer, bytes.len() as i64);
            buffer.extend_from_slice(bytes);
        }
        None => varint::put(buffer, -1),
    }
}
