//! How far a watch has come, as text that its subscriber keeps and comes back with. Not the cursors' meaning.
//! Invariant: a position is good for the store and the keys that it was made for, and refused elsewhere.
//!
//! Text: base64url without padding of `version u8 = 1 | kind u8 | entries | crc32c u32 BE` of what lies before and of what it is good
//! for. Kind 0, of ranges: an entry is `partition u32 BE | epoch u64 BE | next u64 BE`. Kind 1, of a key: `mark u64 BE`.

use crate::wire::Cursor;
use crate::{Blob, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Characters of a position: it travels in a header, and a request's head has 16 KiB. A watch of more than about 290 partitions has none.
const CHARS_MAX: usize = 8_000;
const VERSION: u8 = 1;
const RANGES: u8 = 0;
const KEY: u8 = 1;
const ENTRY_BYTES: usize = 20;

/// What a position keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Where each partition's changes go on; not of those whose state was being told.
    Ranges(BTreeMap<u32, Cursor>),
    /// The mark of the value that was told last of the one key.
    Key(u64),
}

impl Default for Kept {
    fn default() -> Self {
        Self::Ranges(BTreeMap::new())
    }
}

/// A mark of a value: equal for equal values. Instances that were built by different compilers may disagree: the value is told again.
pub(crate) fn mark(value: Option<&Blob>) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Kept {
    /// As text; `None` when that were too long.
    pub(crate) fn text(&self, good_for: &str) -> Option<String> {
        let mut bytes = vec![VERSION];
        match self {
            Self::Ranges(cursors) => {
                bytes.push(RANGES);
                for (partition, cursor) in cursors {
                    bytes.extend_from_slice(&partition.to_be_bytes());
                    bytes.extend_from_slice(&cursor.epoch.to_be_bytes());
                    bytes.extend_from_slice(&cursor.next.to_be_bytes());
                }
            }
            Self::Key(mark) => {
                bytes.push(KEY);
                bytes.extend_from_slice(&mark.to_be_bytes());
            }
        }
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes), good_for.as_bytes());
        bytes.extend_from_slice(&sum.to_be_bytes());
        let text = URL_SAFE_NO_PAD.encode(&bytes);
        (text.len() <= CHARS_MAX).then_some(text)
    }

    /// From text that was made for the same.
    pub(crate) fn parse(text: &str, good_for: &str) -> Result<Self> {
        let bad = || {
            let why = "a position that is damaged, or of a watch of another store or other keys";
            Error::Refused(why.into())
        };
        if text.len() > CHARS_MAX {
            return Err(bad());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(bad)?;
        let due = crc32c::crc32c_append(crc32c::crc32c(body), good_for.as_bytes());
        if u32::from_be_bytes(*sum) != due {
            return Err(bad());
        }
        match body {
            [VERSION, RANGES, entries @ ..] => cursors(entries).map(Self::Ranges).ok_or_else(bad),
            [VERSION, KEY, mark @ ..] => {
                let mark = mark.try_into().map_err(|_| bad())?;
                Ok(Self::Key(u64::from_be_bytes(mark)))
            }
            _ => Err(bad()),
        }
    }
}

fn cursors(mut rest: &[u8]) -> Option<BTreeMap<u32, Cursor>> {
    let mut cursors = BTreeMap::new();
    while !rest.is_empty() {
        let (entry, after) = rest.split_first_chunk::<ENTRY_BYTES>()?;
        let (partition, entry) = entry.split_first_chunk::<4>()?;
        let (epoch, next) = entry.split_first_chunk::<8>()?;
        let cursor = Cursor {
            epoch: u64::from_be_bytes(*epoch),
            next: u64::from_be_bytes(next.try_into().ok()?),
        };
        cursors.insert(u32::from_be_bytes(*partition), cursor);
        rest = after;
    }
    Some(cursors)
}
