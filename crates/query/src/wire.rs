//! What instances say to each other: plain serde types, keys and values as the bytes of the store. Not an encoding: JSON will do.
//! Invariant: nothing in here is a type of the runtime; a field that is added has a default, so that instances of two versions speak.

use crate::{Blob, Error};
use serde::{Deserialize, Serialize};

/// A question to one partition of one store, or to one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What is asked.
    pub what: Question,
    /// The sub-topology whose task is asked.
    pub subtopology: u32,
    /// The task's partition.
    pub partition: u32,
    /// ms that are left for the answer.
    pub deadline_ms: u64,
    /// How often it may still be forwarded.
    pub hops: u8,
    /// The text of a [`crate::Token`]; its positions are of the task's own inputs, or none of its business.
    #[serde(default)]
    pub token: Option<String>,
    /// A standby may answer.
    #[serde(default)]
    pub stale: bool,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// The value under a key.
    Get {
        /// The store.
        store: String,
        /// The key.
        key: Blob,
    },
    /// The value under a key, once it is not `known`; absent is `None`. When it stays so until the deadline, what is known comes back.
    Await {
        /// The store.
        store: String,
        /// The key.
        key: Blob,
        /// What the asker has already seen.
        known: Option<Blob>,
    },
    /// A page of entries.
    Scan {
        /// The store.
        store: String,
        /// Which. Boxed, as in `Changes`: every question has room for the greatest.
        span: Box<Span>,
    },
    /// The version of a key that holds, or held at a time.
    Version {
        /// The store.
        store: String,
        /// The key.
        key: Blob,
        /// ms since the epoch; the latest version without it.
        #[serde(default)]
        as_of_ms: Option<i64>,
    },
    /// The versions of a key that held at some time between two, both included, oldest first.
    History {
        /// The store.
        store: String,
        /// The key.
        key: Blob,
        /// ms since the epoch.
        from_ms: i64,
        /// ms since the epoch.
        to_ms: i64,
        /// Versions at most.
        versions_max: usize,
    },
    /// The keys of a part of a store that changed since a cursor, with the values that they have by now; waits for the first of them. When
    /// there is none in time, the cursor comes back.
    Changes {
        /// The store.
        store: String,
        /// Which: bounds, prefix, times and the bytes of an answer only.
        span: Box<Span>,
        /// Where the asker is; without it, it is told where the feed is.
        after: Option<Cursor>,
        /// ms to wait for a change; the answer has longer.
        wait_ms: u64,
        /// Who watches windows says which he knows to be gone: those before this time. Then he is told when it is a later one.
        #[serde(default)]
        gone_before_ms: Option<i64>,
    },
    /// The ends of what the task has written into repartition topics, once its token is visible.
    Derive,
}

/// A part of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The least store key, included.
    pub from: Option<Blob>,
    /// The greatest store key, included.
    pub to: Option<Blob>,
    /// Store keys that begin so, whatever the bounds.
    #[serde(default)]
    pub prefix: Option<Blob>,
    /// From the greatest to the least.
    pub reverse: bool,
    /// Goes on behind this store key, in the direction of the scan.
    #[serde(default)]
    pub resume: Option<Resume>,
    /// Which entries of a windowed store.
    #[serde(default)]
    pub times: Times,
    /// Entries at most.
    pub entries_max: usize,
    /// Bytes of keys and values after which the page ends.
    pub bytes_max: usize,
}

/// How far somebody has followed what changes in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which feed of the partition: each owner begins its own.
    pub epoch: u64,
    /// The number of the next change.
    pub next: u64,
}

/// Where a page goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The store key.
    pub key: Blob,
    /// The key itself was not handed out yet.
    pub inclusive: bool,
}

/// Which entries of a windowed store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Times {
    /// All; the only choice for stores without windows.
    #[default]
    Any,
    /// Windows that start in this time, both ends included; of one key, or of all.
    Windows {
        /// The key without its window.
        key: Option<Blob>,
        /// ms since the epoch.
        from_ms: i64,
        /// ms since the epoch.
        to_ms: i64,
    },
    /// Sessions that end at or after the one time and start at or before the other; of one key, or of all.
    Sessions {
        /// The key without its session.
        key: Option<Blob>,
        /// ms since the epoch.
        earliest_end_ms: i64,
        /// ms since the epoch.
        latest_start_ms: i64,
    },
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To `Get` and `Await`.
    Value {
        /// As the store keeps it; `None` when the key is absent.
        value: Option<Blob>,
        /// Records that a standby was behind; `None` from the owner.
        lag: Option<i64>,
    },
    /// To `Scan`.
    Entries {
        /// Store keys and values, in the order of the scan.
        entries: Vec<(Blob, Blob)>,
        /// The last store key that was looked at, when there may be more behind it.
        more: Option<Blob>,
        /// The store's commit that the whole page is of.
        commit: u64,
        /// Records that a standby was behind; `None` from the owner.
        lag: Option<i64>,
    },
    /// To `Changes`.
    Changes {
        /// Store keys and their values, `None` where the key is absent by now.
        changed: Vec<(Blob, Option<Blob>)>,
        /// Behind them.
        cursor: Cursor,
        /// What changed between the asker's cursor and this one is not known: the state must be read again.
        is_gone: bool,
        /// Windows that start, or sessions that end, before this time are gone; where that is news to who watches them.
        #[serde(default)]
        gone_before_ms: Option<i64>,
    },
    /// To `Version` and `History`.
    Versions(Vec<VersionBytes>),
    /// To `Derive`: the text of a token.
    Token(String),
    /// No answer.
    Failed(Error),
}

/// A version of a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionBytes {
    /// The value.
    pub value: Blob,
    /// When it began to hold, ms since the epoch.
    pub valid_from_ms: i64,
    /// When it ceased to hold, exclusive; `None` for the latest.
    pub valid_to_ms: Option<i64>,
}

impl Question {
    /// The store that is asked, if it is one.
    pub fn store(&self) -> Option<&str> {
        match self {
            Self::Get { store, .. }
            | Self::Await { store, .. }
            | Self::Scan { store, .. }
            | Self::Changes { store, .. }
            | Self::Version { store, .. }
            | Self::History { store, .. } => Some(store),
            Self::Derive => None,
        }
    }
}
