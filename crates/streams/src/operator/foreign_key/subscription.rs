//! What a left row sends to the foreign key it names, and its bytes (`SubscriptionWrapperSerde`).
//! Invariant: version 1 is written, which ends with the partition that the answer goes to; version 0, of Kafka Streams before 3.4,
//! is read.

use super::murmur3::Hash;
use crate::Headers;
use crate::format::{Format, FormatError, FormatOf};
use headwater_log::HeadersRef;
use std::sync::OnceLock;

/// What the right side is to do (`SubscriptionWrapper.Instruction`); the discriminant is its byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instruction {
    /// Ends the subscription without an answer.
    End = 0,
    /// Ends the subscription and answers that there is no right row.
    EndAndAnswer = 1,
    /// Subscribes, and answers in any case.
    Answer = 2,
    /// Subscribes, and answers if there is a right row.
    AnswerIfPresent = 3,
}

/// A left row's subscription to a foreign key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Subscription<K> {
    /// Of the left row; `None` when it was deleted.
    pub(crate) hash: Option<Hash>,
    pub(crate) instruction: Instruction,
    /// The primary key.
    pub(crate) key: K,
    /// Of the left row; `None` in version 0.
    pub(crate) partition: Option<u32>,
}

const VERSION: u8 = 1;
const HASH_IS_NULL: u8 = 0x80;

pub(crate) struct SubscriptionFormat<K> {
    key: FormatOf<K>,
    /// The topic that the format of primary keys is told, known with the first record.
    key_topic: OnceLock<String>,
}

impl<K> SubscriptionFormat<K> {
    /// With primary keys of this format.
    pub(crate) fn new(key: FormatOf<K>) -> Self {
        let key_topic = OnceLock::new();
        Self { key, key_topic }
    }

    fn key_topic(&self, topic: &str) -> &str {
        self.key_topic.get_or_init(|| format!("{topic}-pk"))
    }
}

impl<K> Format<Subscription<K>> for SubscriptionFormat<K> {
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &Subscription<K>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let version = if value.partition.is_some() {
            VERSION
        } else {
            0
        };
        match &value.hash {
            Some(hash) => {
                bytes.extend_from_slice(&[version, value.instruction as u8]);
                bytes.extend_from_slice(hash);
            }
            None => bytes.extend_from_slice(&[version | HASH_IS_NULL, value.instruction as u8]),
        }
        let topic = self.key_topic(topic);
        self.key.encode(topic, headers, &value.key, bytes)?;
        if let Some(partition) = value.partition {
            bytes.extend_from_slice(&partition.to_be_bytes());
        }
        Ok(())
    }

    fn decode(
        &self,
        topic: &str,
        headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<Subscription<K>, FormatError> {
        let short = || FormatError("a subscription that ends too early".into());
        let (&[first, instruction], mut rest) = bytes.split_first_chunk().ok_or_else(short)?;
        let version = first & !HASH_IS_NULL;
        if version > VERSION {
            return Err(FormatError(format!(
                "a subscription of version {version}; this reads up to {VERSION}"
            )));
        }
        let instruction = match instruction {
            0 => Instruction::End,
            1 => Instruction::EndAndAnswer,
            2 => Instruction::Answer,
            3 => Instruction::AnswerIfPresent,
            other => {
                return Err(FormatError(format!("a subscription's instruction {other}")));
            }
        };
        let mut hash = None;
        if first & HASH_IS_NULL == 0 {
            let (found, after) = rest.split_first_chunk().ok_or_else(short)?;
            (hash, rest) = (Some(*found), after);
        }
        let mut partition = None;
        if version > 0 {
            let (before, found) = rest.split_last_chunk().ok_or_else(short)?;
            (rest, partition) = (before, Some(u32::from_be_bytes(*found)));
        }
        let key = self.key.decode(self.key_topic(topic), headers, rest)?;
        Ok(Subscription {
            hash,
            instruction,
            key,
            partition,
        })
    }
}

/// Hash and partition of a subscription in bytes, without its key.
pub(super) fn sender(bytes: &[u8]) -> Option<(Option<Hash>, Option<u32>)> {
    let (&[first, _], rest) = bytes.split_first_chunk()?;
    let (mut hash, mut partition) = (None, None);
    if first & HASH_IS_NULL == 0 {
        hash = Some(*rest.first_chunk()?);
    }
    if first & !HASH_IS_NULL > 0 {
        partition = Some(u32::from_be_bytes(*rest.last_chunk()?));
    }
    Some((hash, partition))
}
