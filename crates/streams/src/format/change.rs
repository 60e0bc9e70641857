//! The bytes of a table's update in the repartition topic of a grouped table (`ChangedSerializer`, KIP-904).
//! Not the changelog of a table, which holds plain rows. Invariant: an update without any row has no bytes.
//!
//! The last byte says what the others are: 0 the row before, 1 the row after, 2 both: the length of the row after as a
//! zig-zag number, the row after, the row before. With 3, 4 and 5 a byte that marks late updates stands in front of the last one.

use super::{Format, FormatError, FormatOf, appending};
use crate::{Change, Headers};
use headwater_log::{HeadersRef, varint};
use std::sync::Arc;

const OLD: u8 = 0;
const NEW: u8 = 1;
const BOTH: u8 = 2;
/// Added where a byte says whether the update is the latest by time.
const MARKED: u8 = 3;

/// The format of updates whose rows have format `row`.
pub(crate) fn changes<V: 'static>(row: FormatOf<V>) -> FormatOf<Change<V>> {
    Arc::new(Changes(row))
}

struct Changes<V>(FormatOf<V>);

impl<V> Changes<V> {
    fn present<'a>(&self, row: &'a Option<V>) -> Option<&'a V> {
        row.as_ref().filter(|row| !self.0.is_null(row))
    }
}

impl<V> Format<Change<V>> for Changes<V> {
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        change: &Change<V>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let (new, old) = (self.present(&change.new), self.present(&change.old));
        let start = bytes.len();
        if let Some(new) = new {
            appending(bytes, |bytes| self.0.encode(topic, headers, new, bytes))?;
        }
        let new_end = bytes.len();
        if new.is_some() && old.is_some() {
            // The length goes in front, and is known only here.
            varint::put(bytes, (new_end - start) as i64);
            let length_len = bytes.len() - new_end;
            bytes[start..].rotate_right(length_len);
        }
        if let Some(old) = old {
            appending(bytes, |bytes| self.0.encode(topic, headers, old, bytes))?;
        }
        bytes.push(match (new, old) {
            (Some(_), Some(_)) => BOTH,
            (Some(_), None) => NEW,
            (None, Some(_)) => OLD,
            (None, None) => return Err("an update without a row before and after it".into()),
        });
        Ok(())
    }

    fn decode(
        &self,
        topic: &str,
        headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<Change<V>, FormatError> {
        let row = |bytes: &[u8]| self.0.decode(topic, headers, bytes).map(Some);
        let Some((kind, mut rows)) = bytes.split_last() else {
            return Err("an update without bytes".into());
        };
        let mut is_latest = true;
        let kind = match kind {
            OLD..=BOTH => *kind,
            3..=5 => {
                let Some((mark @ 0..=1, rest)) = rows.split_last() else {
                    return Err("an update without its mark".into());
                };
                is_latest = *mark == 1;
                rows = rest;
                kind - MARKED
            }
            _ => return Err(FormatError(format!("an update of unknown kind {kind}"))),
        };
        let (new, old) = match kind {
            OLD => (None, row(rows)?),
            NEW => (row(rows)?, None),
            _ => {
                let mut at = 0;
                let length = varint::take(rows, &mut at);
                let length = length.and_then(|length| usize::try_from(length).ok());
                let both = length.and_then(|length| rows[at..].split_at_checked(length));
                let Some((new, old)) = both else {
                    return Err("an update that ends within its rows".into());
                };
                (row(new)?, row(old)?)
            }
        };
        Ok(Change {
            new,
            old,
            is_latest,
        })
    }

    fn is_null(&self, change: &Change<V>) -> bool {
        change.new.is_none() && change.old.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Data;

    #[track_caller]
    fn check(new: Option<&str>, old: Option<&str>, expected: &[u8]) {
        let format = changes(String::format());
        let change = Change::latest(new.map(str::to_owned), old.map(str::to_owned));
        let mut bytes = vec![9];
        format
            .encode("topic", &mut Headers::default(), &change, &mut bytes)
            .expect("a row");
        assert_eq!(&bytes[1..], expected);
        assert_eq!(
            format.decode("topic", HeadersRef::NONE, expected),
            Ok(change)
        );
    }

    #[test]
    fn an_update_ends_in_its_kind() {
        check(None, Some("ab"), b"ab\x00");
        check(Some("ab"), None, b"ab\x01");
        check(Some("abc"), Some("de"), b"\x06abcde\x02");
        check(Some(""), Some(""), b"\x00\x02");
    }

    #[test]
    fn a_long_row_has_a_length_of_two_bytes() {
        let new = "n".repeat(100);
        let expected = [b"\xc8\x01", new.as_bytes(), b"old\x02"].concat();
        check(Some(&new), Some("old"), &expected);
    }

    #[test]
    fn bytes_that_are_no_update_are_refused() {
        let format = changes(String::format());
        for bytes in [
            &b""[..],
            b"\x02",
            b"\x08ab\x02",
            b"\x01\x02",
            b"\x07",
            b"\x03",
        ] {
            assert!(
                format.decode("topic", HeadersRef::NONE, bytes).is_err(),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn an_update_without_rows_is_not_written() {
        let format = changes(String::format());
        let change = Change::latest(None, None);
        let mut bytes = Vec::new();
        let written = format.encode("topic", &mut Headers::default(), &change, &mut bytes);
        assert!(written.is_err());
    }
}
