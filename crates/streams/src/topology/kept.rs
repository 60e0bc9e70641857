//! What a store keeps of the values that operators write: the format below the record cache, and its bytes.
//! Not the format of a type. Invariant: what is unpacked is what was packed, except for a timestamp that a store does not keep.

use crate::Headers;
use headwater_log::HeadersRef;
use headwater_store::{Error, Result};

/// A store's format below the record cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The value as it is.
    #[default]
    Whole,
    /// Of `timestamp (8) | value` only the value; a timestamp reads as -1 (a plain store under a table,
    /// `KeyValueToTimestampedKeyValueByteStoreAdapter`).
    Untimed,
    /// Record headers in front: `length (varint) | headers | value` (KIP-1271, `ValueTimestampHeadersSerializer`).
    WithHeaders,
    /// The value as it is, where headers were asked for: the changelog tells those of a deletion.
    HeadersOfDeletions,
    /// As a processor wrote it, with headers in front as in [`Kept::WithHeaders`]: the changelog tells them, and those of a
    /// deletion.
    OwnHeaders,
}

impl Kept {
    /// The changelog's record of a deletion has the headers of the record that caused it.
    pub(crate) fn tells_deletions(self) -> bool {
        !matches!(self, Self::Whole | Self::Untimed)
    }

    /// Its bytes begin with headers.
    pub(crate) fn begins_with_headers(self) -> bool {
        matches!(self, Self::WithHeaders | Self::OwnHeaders)
    }
}

/// What a timestamp reads as that a store does not keep (`ConsumerRecord.NO_TIMESTAMP`).
const NO_TIMESTAMP: i64 = -1;

impl Kept {
    /// The bytes to keep of `value`; `packed` holds them where they differ.
    #[inline]
    pub(crate) fn pack<'b>(
        self,
        value: &'b [u8],
        headers: &Headers,
        packed: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        match self {
            Self::Whole | Self::HeadersOfDeletions | Self::OwnHeaders => value,
            Self::Untimed => value.get(8..).unwrap_or_default(),
            Self::WithHeaders => {
                packed.clear();
                put_headers(packed, headers.as_ref());
                packed.extend_from_slice(value);
                packed
            }
        }
    }

    /// How much longer than the value the record cache's is in Kafka Streams, where it caches what it keeps. What is cached has
    /// come from an operator that writes no headers beside its values: their length is one byte.
    #[inline]
    pub(crate) fn cached_overhead(self) -> u32 {
        match self {
            Self::Whole | Self::Untimed | Self::HeadersOfDeletions | Self::OwnHeaders => 0,
            Self::WithHeaders => 1,
        }
    }

    /// Turns kept bytes back into the value, in place. `store` is named in an error.
    #[inline]
    pub(crate) fn unpack(self, store: &str, bytes: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Whole | Self::HeadersOfDeletions | Self::OwnHeaders => {}
            Self::Untimed => {
                bytes.splice(..0, NO_TIMESTAMP.to_be_bytes());
            }
            Self::WithHeaders => {
                let front = headers_len(store, bytes)?;
                bytes.drain(..front);
            }
        }
        Ok(())
    }

    /// As [`Kept::unpack`], of borrowed bytes; `buffer` holds the value where it differs.
    pub(crate) fn unpacked<'b>(
        self,
        store: &str,
        bytes: &'b [u8],
        buffer: &'b mut Vec<u8>,
    ) -> Result<&'b [u8]> {
        match self {
            Self::Whole | Self::HeadersOfDeletions | Self::OwnHeaders => Ok(bytes),
            Self::Untimed => {
                buffer.clear();
                buffer.extend_from_slice(&NO_TIMESTAMP.to_be_bytes());
                buffer.extend_from_slice(bytes);
                Ok(buffer)
            }
            Self::WithHeaders => Ok(&bytes[headers_len(store, bytes)?..]),
        }
    }
}

/// `length (varint) | count (varint) | headers as in a batch`; only the length, 0, without any.
pub(crate) fn put_headers(bytes: &mut Vec<u8>, headers: HeadersRef<'_>) {
    if headers.count == 0 {
        bytes.push(0);
        return;
    }
    let count = varint(headers.count);
    bytes.extend(varint(count.len() + headers.bytes.len()));
    bytes.extend(count);
    bytes.extend_from_slice(headers.bytes);
}

/// A zigzag varint, as Kafka's `ByteUtils.writeVarint` writes it.
fn varint(number: usize) -> Vec<u8> {
    let mut rest = (number as u64) << 1;
    let mut bytes = Vec::with_capacity(2);
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// The bytes that headers take in front of a value.
pub(crate) fn headers_len(store: &str, bytes: &[u8]) -> Result<usize> {
    let mut length = 0_u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let end = at + 1 + (length >> 1) as usize;
            if length & 1 == 0 && end <= bytes.len() {
                return Ok(end);
            }
            break;
        }
    }
    Err(Error::Format {
        store: store.into(),
        message: "a stored value does not begin with its headers".into(),
    })
}

/// The headers in front of a value, and the value.
pub(crate) fn split_headers<'b>(
    store: &str,
    bytes: &'b [u8],
) -> Result<(HeadersRef<'b>, &'b [u8])> {
    let (front, value) = bytes.split_at(headers_len(store, bytes)?);
    let ends = |byte: &u8| byte & 0x80 == 0;
    let length = front.iter().position(ends).map_or(0, |at| at + 1);
    let (_, headers) = front.split_at(length);
    let Some(counted) = headers.iter().position(ends) else {
        return Ok((HeadersRef::NONE, value));
    };
    let (count, bytes) = headers.split_at(counted + 1);
    let count = count
        .iter()
        .rev()
        .fold(0_usize, |count, byte| count << 7 | usize::from(byte & 0x7f));
    let count = count >> 1;
    Ok((HeadersRef { count, bytes }, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, Option<&[u8]>)], expected: &[u8]) {
        let mut given = Headers::default();
        for (name, value) in headers {
            given.add(name, *value);
        }
        let mut packed = Vec::new();
        let packed = Kept::WithHeaders
            .pack(b"value", &given, &mut packed)
            .to_vec();
        assert_eq!(packed, [expected, b"value"].concat());
        let mut unpacked = packed.clone();
        let (read, value) = split_headers("s", &packed).unwrap();
        assert_eq!((&Headers::copied(read), value), (&given, &b"value"[..]));
        Kept::WithHeaders
            .unpack("s", &mut unpacked)
            .expect("it was packed");
        assert_eq!(unpacked, b"value");
    }

    #[test]
    fn headers_stand_in_front_of_a_value() {
        check(&[], &[0]);
        // Length 9, 2 headers: `h` = `v`, `n` without a value.
        let two = [16, 4, 2, b'h', 2, b'v', 2, b'n', 1];
        check(&[("h", Some(b"v")), ("n", None)], &two);
    }

    #[test]
    fn damaged_headers_are_an_error() {
        let mut short = vec![20, 1];
        assert!(Kept::WithHeaders.unpack("s", &mut short).is_err());
        assert!(Kept::WithHeaders.unpack("s", &mut Vec::new()).is_err());
    }

    #[test]
    fn a_timestamp_that_is_not_kept_reads_as_unknown() {
        let value = [7_i64.to_be_bytes().as_slice(), b"v"].concat();
        let mut buffer = Vec::new();
        let mut kept = Kept::Untimed
            .pack(&value, &Headers::default(), &mut buffer)
            .to_vec();
        assert_eq!(kept, b"v");
        Kept::Untimed
            .unpack("s", &mut kept)
            .expect("nothing can fail");
        assert_eq!(kept, [(-1_i64).to_be_bytes().as_slice(), b"v"].concat());
    }
}
