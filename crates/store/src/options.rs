//! What a store is: its layout, engine and names. Not a configuration file: the caller fills every field.
//! Invariant: layout and format version are stored with the data, and a store is never read under another one.

use crate::{Error, PlainKey, Result, session, window};

/// What kind of store; decides key layout routing, segments and expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Plain keys.
    KeyValue,
    /// Keys are `k | start i64 BE | seq u32 BE`; the segment is `start / segment_interval_ms`.
    Window {
        /// How long a window is kept after its start, in stream time.
        retention_ms: i64,
        /// The time one segment covers.
        segment_interval_ms: i64,
    },
    /// Keys are `k | end i64 BE | start i64 BE`; the segment is `end / segment_interval_ms`.
    Session {
        /// How long a session is kept after its end, in stream time.
        retention_ms: i64,
        /// The time one segment covers.
        segment_interval_ms: i64,
    },
    /// Values with a validity interval, through [`crate::versioned`].
    Versioned {
        /// How far back versions are kept, in stream time.
        history_retention_ms: i64,
    },
    /// Plain keys, at most `entries_max` of them; the least recently used goes first.
    Lru {
        /// The number of entries kept.
        entries_max: usize,
    },
}

impl Layout {
    /// The byte that names the layout in a checkpoint.
    pub(crate) fn tag(&self) -> u8 {
        match self {
            Self::KeyValue => 1,
            Self::Window { .. } => 2,
            Self::Session { .. } => 3,
            Self::Versioned { .. } => 4,
            // The bytes of an LRU store are those of a plain one.
            Self::Lru { .. } => 1,
        }
    }

    /// The layout's name, for messages.
    pub(crate) fn name(tag: u8) -> &'static str {
        match tag {
            1 => "key-value",
            2 => "window",
            3 => "session",
            4 => "versioned",
            _ => "unknown",
        }
    }

    /// One key of a layout that puts times behind keys; `None` where each key is one entry, and for versions.
    pub fn plain_key<'a>(&self, key: &'a [u8]) -> Option<PlainKey<'a>> {
        let tail_bytes = self.tail_bytes()?;
        Some(PlainKey::new(key, tail_bytes))
    }

    /// The bytes behind plain keys, the first eight of which are the time of the entry.
    pub(crate) fn tail_bytes(&self) -> Option<usize> {
        match self {
            Self::Window { .. } => Some(window::SUFFIX_BYTES),
            Self::Session { .. } => Some(session::SUFFIX_BYTES),
            Self::KeyValue | Self::Lru { .. } | Self::Versioned { .. } => None,
        }
    }

    /// Retention, in stream time; `None` keeps everything.
    pub(crate) fn retention_ms(&self) -> Option<i64> {
        match *self {
            Self::KeyValue | Self::Lru { .. } => None,
            Self::Window { retention_ms, .. } | Self::Session { retention_ms, .. } => {
                Some(retention_ms)
            }
            Self::Versioned {
                history_retention_ms,
            } => Some(history_retention_ms),
        }
    }
}

/// Where committed data lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// In memory; with a directory, checkpoints write an image through `world`'s disk.
    Memory,
    /// A log-structured merge tree in the file system.
    Disk,
}

/// What a store is.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The store's name, for messages.
    pub name: String,
    /// The key layout.
    pub layout: Layout,
    /// Where committed data lives.
    pub engine: EngineKind,
    /// The version of the value bytes; a checkpoint of another version is refused.
    pub format_version: u32,
    /// The changelog topic, if there is one.
    pub changelog: Option<String>,
    /// The changelog's `delete.retention.ms`: an older checkpoint would bring deleted keys back.
    pub delete_retention_ms: i64,
}

impl StoreOptions {
    /// A plain key-value store in memory without a changelog.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            layout: Layout::KeyValue,
            engine: EngineKind::Memory,
            format_version: 1,
            changelog: None,
            delete_retention_ms: 86_400_000,
        }
    }

    /// Refuses options that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        let message = match self.layout {
            Layout::Window {
                retention_ms,
                segment_interval_ms,
            }
            | Layout::Session {
                retention_ms,
                segment_interval_ms,
            } if retention_ms < 0 || segment_interval_ms < 1 => {
                "retention must not be negative and the segment interval must be at least 1 ms"
            }
            Layout::Versioned {
                history_retention_ms,
            } if history_retention_ms < 0 => "history retention must not be negative",
            Layout::Lru { entries_max: 0 } => "an LRU store must keep at least one entry",
            _ => return Ok(()),
        };
        Err(Error::Refused {
            store: self.name.clone(),
            message: message.to_owned(),
        })
    }
}
