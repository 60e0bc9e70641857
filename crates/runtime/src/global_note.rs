//! The positions that a global store keeps with its rows, in bytes. Not the group's positions: global stores belong to no group.
//! Invariant: the rows beside a note are those of all records before its positions, and of none at or after them.
//!
//! ```text
//! version (1) | count (4) | count times: topic length (2) | topic | topic id (16) | partition (4) | position (8)
//! ```

use headwater_log::{Offset, TopicPartition};
use std::collections::BTreeMap;

const VERSION: u8 = 1;

/// Positions by partition, with the id of the topic.
pub(crate) type Noted = BTreeMap<TopicPartition, (u128, Offset)>;

pub(crate) fn encode(noted: &Noted) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend((noted.len() as u32).to_be_bytes());
    for (partition, (topic_id, position)) in noted {
        let topic = partition.topic.as_bytes();
        // Kafka allows 249 bytes for the name of a topic.
        bytes.extend((topic.len() as u16).to_be_bytes());
        bytes.extend(topic);
        bytes.extend(topic_id.to_be_bytes());
        bytes.extend(partition.partition.to_be_bytes());
        bytes.extend(position.to_be_bytes());
    }
    bytes
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Noted> {
    let rest = &mut bytes;
    if take::<1>(rest)? != [VERSION] {
        return None;
    }
    let count = u32::from_be_bytes(take(rest)?);
    let mut noted = Noted::new();
    for _ in 0..count {
        let topic_len = usize::from(u16::from_be_bytes(take(rest)?));
        let (topic, behind) = rest.split_at_checked(topic_len)?;
        *rest = behind;
        let topic = std::str::from_utf8(topic).ok()?;
        let topic_id = u128::from_be_bytes(take(rest)?);
        let partition = u32::from_be_bytes(take(rest)?);
        let position = i64::from_be_bytes(take(rest)?);
        noted.insert(TopicPartition::new(topic, partition), (topic_id, position));
    }
    rest.is_empty().then_some(noted)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_and_a_damaged_one_does_not() {
        let noted = Noted::from([
            (TopicPartition::new("a", 0), (7, 12)),
            (TopicPartition::new("longer", 3), (u128::MAX, 0)),
        ]);
        let bytes = encode(&noted);
        assert_eq!(decode(&bytes), Some(noted));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None, "{len} bytes");
        }
        assert_eq!(decode(&[bytes, vec![0]].concat()), None);
    }
}
