//! Pages: how much of a range is asked for at once, and where it goes on. Not the reading. Invariant: a position is good for the store,
//! the direction and the bounds that it was made for, and refused elsewhere.

use crate::{Blob, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Entries of one page at most.
pub const ENTRIES_MAX: usize = 10_000;
const ENTRIES_DEFAULT: usize = 1_000;
/// Bytes of keys and values after which a page ends.
const PAGE_BYTES_MAX: usize = 8 << 20;
const PAGE_BYTES_DEFAULT: usize = 1 << 20;
/// Characters of a position's text: keys have 65,534 bytes.
const POSITION_CHARS_MAX: usize = 90_000;
const VERSION: u8 = 1;

/// How a range is read: a page at a time.
#[derive(Clone, Debug)]
pub struct Scan {
    pub(crate) reverse: bool,
    pub(crate) entries_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) after: Option<String>,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            reverse: false,
            entries_max: ENTRIES_DEFAULT,
            bytes_max: PAGE_BYTES_DEFAULT,
            after: None,
        }
    }
}

impl Scan {
    /// From the first key in byte order; 1,000 entries or 1 MiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// From the last key to the first.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// So many entries at most; 1 to [`ENTRIES_MAX`].
    pub fn entries_max(mut self, entries: usize) -> Self {
        self.entries_max = entries.clamp(1, ENTRIES_MAX);
        self
    }

    /// Ends a page after so many bytes of keys and values, 8 MiB at most; a single greater entry comes whole.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes.clamp(1, PAGE_BYTES_MAX);
        self
    }

    /// Goes on where a page ended: its [`Page::next`].
    pub fn after(mut self, position: impl Into<String>) -> Self {
        self.after = Some(position.into());
        self
    }
}

/// A part of a range, in byte order of the keys, over all partitions.
#[derive(Clone, Debug)]
pub struct Page<K, V> {
    /// The entries.
    pub entries: Vec<(K, V)>,
    /// Where the next page goes on ([`Scan::after`]); `None` at the end. A page may be empty and not the last.
    pub next: Option<String>,
    /// The commit of each partition's store that this page is of. The next page may be of later ones.
    pub commits: Vec<(u32, u64)>,
    /// Records that the standby was behind that was furthest behind; `None` when owners answered.
    pub lag: Option<i64>,
}

/// Where a page ended: the last key that was handed out, or looked at, and the partition that it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) key: Blob,
    pub(crate) partition: u32,
}

impl Position {
    /// As text; `of` says what it is good for.
    pub(crate) fn text(&self, of: &[u8]) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.partition.to_be_bytes());
        bytes.extend_from_slice(&self.key.0);
        let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes), of);
        bytes.extend_from_slice(&sum.to_be_bytes());
        URL_SAFE_NO_PAD.encode(&bytes)
    }

    /// From text that was made for the same `of`.
    pub(crate) fn parse(text: &str, of: &[u8]) -> Result<Self> {
        let bad = || {
            Error::Refused("a page position that is damaged, or of another store or range".into())
        };
        if text.len() > POSITION_CHARS_MAX {
            return Err(bad());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(bad)?;
        let is_good = u32::from_be_bytes(*sum) == crc32c::crc32c_append(crc32c::crc32c(body), of);
        let rest = body.strip_prefix(&[VERSION]).filter(|_| is_good);
        let (partition, key) = rest
            .and_then(|it| it.split_first_chunk::<4>())
            .ok_or_else(bad)?;
        Ok(Self {
            key: key.into(),
            partition: u32::from_be_bytes(*partition),
        })
    }
}
