//! Topics, partitions and positions in them. Not their content.
//! Invariant: a topic's id is drawn when it is created and never reused, so a topic deleted and created again is another one.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// A record's place in its partition, counted from 0.
pub type Offset = i64;

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: u32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A topic's identity over its life, 128 random bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TopicId(pub u128);

/// Settings by Kafka's names (`cleanup.policy`, `retention.ms`, ...); absent ones have Kafka's defaults.
pub type TopicConfig = BTreeMap<String, String>;

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`.
    pub name: String,
    /// At least 1.
    pub partitions: u32,
    /// Settings that differ from the defaults.
    pub config: TopicConfig,
}

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// The name.
    pub name: Arc<str>,
    /// The identity.
    pub id: TopicId,
    /// How many partitions.
    pub partitions: u32,
    /// Settings that differ from the defaults.
    pub config: TopicConfig,
}

/// A position to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first offset held.
    Start,
    /// One past the last record that a `read_committed` reader may see (Kafka's last stable offset).
    Stable,
    /// One past the last record, open transactions included (Kafka's high watermark).
    End,
    /// The first record whose timestamp is at least this many ms since the epoch; the end when there is none.
    AtTime(i64),
}

/// A group's committed position in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to process.
    pub offset: Offset,
    /// The leader epoch of the last record processed, where known.
    pub leader_epoch: Option<i32>,
    /// Free text committed with it; Kafka Streams keeps the partition time there.
    pub metadata: String,
}

impl CommittedOffset {
    /// A position without epoch and metadata.
    pub fn at(offset: Offset) -> Self {
        Self {
            offset,
            leader_epoch: None,
            metadata: String::new(),
        }
    }
}

/// Kafka's default partitioner for a present key: murmur2 of its bytes (`Utils.murmur2`), sign bit cleared, modulo.
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    ((murmur2(key) & 0x7fff_ffff) as u32) % partitions
}

fn murmur2(data: &[u8]) -> i32 {
    const M: i32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c_u32 as i32 ^ data.len() as i32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = i32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        k ^= (k as u32 >> 24) as i32;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            h ^= i32::from(*byte) << (8 * index);
        }
        h = h.wrapping_mul(M);
    }
    h ^= (h as u32 >> 13) as i32;
    h = h.wrapping_mul(M);
    h ^ (h as u32 >> 15) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_is_kafkas() {
        // Values printed by org.apache.kafka.common.utils.Utils.murmur2.
        for (key, hash) in [
            ("", 275_646_681),
            ("a", -1_563_381_124),
            ("ab", 316_155_434),
            ("abc", 479_470_107),
            ("abcd", -1_323_649_548),
            ("hello", 2_132_663_229),
            ("kafka-streams", -1_546_749_195),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key:?}");
        }
    }
}
