//! What a checkpoint says about itself, and whether a store may go on from it. Not the data.
//! Invariant: the data beside a checkpoint is never older than its position; it may be newer.

use crate::{Error, Result};
use std::path::Path;

/// The first byte of an encoded checkpoint; another one is another format of the metadata itself.
const VERSION: u8 = 1;
/// As [`VERSION`], with the owner's note behind the segments.
const VERSION_WITH_NOTE: u8 = 2;

/// The metadata stored with the data. See `docs/design/store.md` for the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The layout's tag.
    pub(crate) layout: u8,
    /// The version of the value bytes.
    pub(crate) format_version: u32,
    /// The next changelog offset to read, when there is a changelog.
    pub(crate) position: Option<i64>,
    /// When the checkpoint was written, wall clock.
    pub(crate) time_ms: i64,
    /// The changelog topic's id, 0 when unknown.
    pub(crate) topic_id: u128,
    /// The changelog topic's name, empty when there is none.
    pub(crate) topic: String,
    /// The segments that exist at this checkpoint; empty for unsegmented stores.
    pub(crate) segments: Vec<i64>,
    /// What the owner wants to find again with the data; empty for most.
    pub(crate) note: Vec<u8>,
}

impl Checkpoint {
    /// The bytes: fixed fields, then topic, segments and, where there is one, the note with their lengths, all big endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.topic.len() + 8 * self.segments.len());
        bytes.push(match self.note.is_empty() {
            true => VERSION,
            false => VERSION_WITH_NOTE,
        });
        bytes.push(self.layout);
        bytes.extend(self.format_version.to_be_bytes());
        bytes.extend(self.position.unwrap_or(-1).to_be_bytes());
        bytes.extend(self.time_ms.to_be_bytes());
        bytes.extend(self.topic_id.to_be_bytes());
        bytes.extend((self.topic.len() as u32).to_be_bytes());
        bytes.extend(self.topic.as_bytes());
        bytes.extend((self.segments.len() as u32).to_be_bytes());
        for segment in &self.segments {
            bytes.extend(segment.to_be_bytes());
        }
        if !self.note.is_empty() {
            bytes.extend((self.note.len() as u32).to_be_bytes());
            bytes.extend(&self.note);
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let corrupt = || Error::Corrupt {
            path: path.to_owned(),
            message: "its checkpoint cannot be read".to_owned(),
        };
        Self::parse(bytes).ok_or_else(corrupt)
    }

    fn parse(mut rest: &[u8]) -> Option<Self> {
        let [version] = take::<1>(&mut rest)?;
        if ![VERSION, VERSION_WITH_NOTE].contains(&version) {
            return None;
        }
        let [layout] = take::<1>(&mut rest)?;
        let format_version = u32::from_be_bytes(take(&mut rest)?);
        let position = i64::from_be_bytes(take(&mut rest)?);
        let time_ms = i64::from_be_bytes(take(&mut rest)?);
        let topic_id = u128::from_be_bytes(take(&mut rest)?);
        let topic_len = u32::from_be_bytes(take(&mut rest)?) as usize;
        let topic = String::from_utf8(rest.get(..topic_len)?.to_vec()).ok()?;
        rest = &rest[topic_len..];
        let count = u32::from_be_bytes(take(&mut rest)?) as usize;
        if rest.len() < count.checked_mul(8)? {
            return None;
        }
        let mut segments = Vec::with_capacity(count);
        for _ in 0..count {
            segments.push(i64::from_be_bytes(take(&mut rest)?));
        }
        if version == VERSION_WITH_NOTE {
            let note_len = u32::from_be_bytes(take(&mut rest)?) as usize;
            if rest.len() != note_len {
                return None;
            }
        } else if !rest.is_empty() {
            return None;
        }
        let note = rest.to_vec();
        let position = (position >= 0).then_some(position);
        Some(Self {
            layout,
            format_version,
            position,
            time_ms,
            topic_id,
            topic,
            segments,
            note,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// The changelog a store is attached to, as it is at the moment.
#[derive(Clone, Debug)]
pub struct CheckpointSource {
    /// The changelog topic.
    pub topic: String,
    /// Its id; 0 when the log has none, which matches any.
    pub topic_id: u128,
    /// The first offset that still exists.
    pub log_start: i64,
    /// The offset after the last.
    pub log_end: i64,
    /// The wall clock.
    pub now_ms: i64,
}

/// What [`crate::Store::attach`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attach {
    /// The stored state is good up to here; read the changelog from `position`. An empty store resumes at the log's start.
    Resume {
        /// The next changelog offset to read.
        position: i64,
    },
    /// The stored state could not be used and is gone; read the changelog from its start.
    Wiped {
        /// Why, for the operator.
        reason: String,
    },
}

/// Says why `checkpoint` must not be used with `source`, if so.
pub(crate) fn refusal(
    checkpoint: &Checkpoint,
    source: &CheckpointSource,
    delete_retention_ms: i64,
) -> Option<String> {
    let Some(position) = checkpoint.position else {
        return Some("its checkpoint has no changelog position".to_owned());
    };
    if checkpoint.topic != source.topic {
        return Some(format!(
            "it was written for changelog {:?}, not {:?}",
            checkpoint.topic, source.topic
        ));
    }
    if checkpoint.topic_id != source.topic_id && checkpoint.topic_id != 0 && source.topic_id != 0 {
        return Some(format!(
            "changelog {} was deleted and created again since its checkpoint, so what only the former one held is lost",
            source.topic
        ));
    }
    if position < source.log_start || position > source.log_end {
        return Some(format!(
            "its position {position} is outside of changelog {} ({} to {})",
            source.topic, source.log_start, source.log_end
        ));
    }
    let age_ms = source.now_ms.saturating_sub(checkpoint.time_ms);
    // With nothing left to read no deleted key can have been missed, however old the checkpoint is.
    if position < source.log_end && age_ms > delete_retention_ms {
        return Some(format!(
            "its checkpoint is {age_ms} ms old and changelog {} keeps deletions for {delete_retention_ms} ms only: deleted keys would come back",
            source.topic
        ));
    }
    None
}
