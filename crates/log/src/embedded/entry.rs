//! What one journal entry says: operations, written by a turn and applied by it, and applied once more by recovery.
//! Not the frame around them: lengths, sequence numbers and checksums are [`super::journal`]'s.
//! Invariant: an operation says all that applying it needs (offsets, rolls, ids), so that a replay ends in the same state.

use super::wire::{self, Take};
use crate::{CommittedOffset, Offset, TopicConfig, TopicId, TopicPartition};

const BATCHES: u8 = 1;
const OFFSETS: u8 = 2;
const CREATE_TOPIC: u8 = 3;
const DELETE_TOPIC: u8 = 4;
const ALTER_TOPIC: u8 = 5;
const PARTITIONS: u8 = 6;
const MOVE_START: u8 = 7;
const DELETE_GROUP: u8 = 8;
const COMPACTED: u8 = 9;
const ROTATE: u8 = 10;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op<'a> {
    /// Whole batches, contiguous, with their offsets, for the end of a partition.
    Batches {
        topic: TopicId,
        partition: u32,
        /// They open a new segment.
        roll: bool,
        /// Wall clock of the commit; a segment is as old as the batch that opened it.
        now_ms: i64,
        bytes: &'a [u8],
    },
    /// Positions of a group; `None` forgets one.
    Offsets {
        group: &'a str,
        offsets: Vec<(TopicPartition, Option<CommittedOffset>)>,
    },
    CreateTopic {
        topic: TopicId,
        name: &'a str,
        partitions: u32,
        config: TopicConfig,
    },
    DeleteTopic {
        topic: TopicId,
    },
    /// The whole configuration from here on.
    AlterTopic {
        topic: TopicId,
        config: TopicConfig,
    },
    Partitions {
        topic: TopicId,
        partitions: u32,
    },
    /// Records before `start` are gone: deleted on request or by retention.
    MoveStart {
        topic: TopicId,
        partition: u32,
        start: Offset,
    },
    DeleteGroup {
        group: &'a str,
    },
    /// The segments that begin at `bases` are replaced by one file, `<first base>.log.cleaned`, synced before this entry.
    Compacted {
        topic: TopicId,
        partition: u32,
        bases: Vec<Offset>,
        bytes: u64,
        max_timestamp: i64,
        cleaned_to: Offset,
    },
    /// The last operation of a journal file: the file that begins with the next sequence number exists, durably.
    Rotate,
}

/// Opens a `Batches` operation for `len` bytes, which the caller appends next.
pub(super) fn put_batches(
    buffer: &mut Vec<u8>,
    topic: TopicId,
    partition: u32,
    roll: bool,
    now_ms: i64,
    len: usize,
) {
    wire::put_u8(buffer, BATCHES);
    wire::put_id(buffer, topic);
    wire::put_u32(buffer, partition);
    wire::put_u8(buffer, u8::from(roll));
    wire::put_i64(buffer, now_ms);
    wire::put_u32(buffer, len as u32);
}

/// Sets the roll mark of the `Batches` operation at the start of `op`.
pub(super) fn set_roll(op: &mut [u8], roll: bool) {
    op[ROLL_AT] = u8::from(roll);
}

/// Sets the length of the `Batches` operation whose bytes run from `bytes_at` to the end.
pub(super) fn set_len(buffer: &mut [u8], bytes_at: usize) {
    let len = (buffer.len() - bytes_at) as u32;
    buffer[bytes_at - 4..bytes_at].copy_from_slice(&len.to_be_bytes());
}

/// Kind, topic id and partition come before the roll mark.
const ROLL_AT: usize = 1 + 16 + 4;

impl<'a> Op<'a> {
    /// Appends the operation.
    pub(super) fn put(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Batches {
                topic,
                partition,
                roll,
                now_ms,
                bytes,
            } => {
                put_batches(buffer, *topic, *partition, *roll, *now_ms, bytes.len());
                buffer.extend_from_slice(bytes);
            }
            Self::Offsets { group, offsets } => put_offsets(buffer, group, offsets),
            Self::CreateTopic {
                topic,
                name,
                partitions,
                config,
            } => {
                put_head(buffer, CREATE_TOPIC, *topic);
                wire::put_str(buffer, name);
                wire::put_u32(buffer, *partitions);
                wire::put_config(buffer, config);
            }
            Self::DeleteTopic { topic } => put_head(buffer, DELETE_TOPIC, *topic),
            Self::AlterTopic { topic, config } => {
                put_head(buffer, ALTER_TOPIC, *topic);
                wire::put_config(buffer, config);
            }
            Self::Partitions { topic, partitions } => {
                put_head(buffer, PARTITIONS, *topic);
                wire::put_u32(buffer, *partitions);
            }
            Self::MoveStart {
                topic,
                partition,
                start,
            } => {
                put_head(buffer, MOVE_START, *topic);
                wire::put_u32(buffer, *partition);
                wire::put_i64(buffer, *start);
            }
            Self::DeleteGroup { group } => {
                wire::put_u8(buffer, DELETE_GROUP);
                wire::put_str(buffer, group);
            }
            Self::Compacted {
                topic,
                partition,
                bases,
                bytes,
                max_timestamp,
                cleaned_to,
            } => {
                put_head(buffer, COMPACTED, *topic);
                wire::put_u32(buffer, *partition);
                wire::put_u32(buffer, bases.len() as u32);
                for base in bases {
                    wire::put_i64(buffer, *base);
                }
                wire::put_u64(buffer, *bytes);
                wire::put_i64(buffer, *max_timestamp);
                wire::put_i64(buffer, *cleaned_to);
            }
            Self::Rotate => wire::put_u8(buffer, ROTATE),
        }
    }

    /// The next operation; `None` when the bytes are none.
    fn take(take: &mut Take<'a>) -> Option<Self> {
        let kind = take.u8()?;
        match kind {
            OFFSETS => return take_offsets(take),
            DELETE_GROUP => return Some(Self::DeleteGroup { group: take.str()? }),
            ROTATE => return Some(Self::Rotate),
            _ => {}
        }
        let topic = take.id()?;
        Some(match kind {
            BATCHES => Self::Batches {
                topic,
                partition: take.u32()?,
                roll: take.u8()? != 0,
                now_ms: take.i64()?,
                bytes: take.bytes()?,
            },
            CREATE_TOPIC => Self::CreateTopic {
                topic,
                name: take.str()?,
                partitions: take.u32()?,
                config: take.config()?,
            },
            DELETE_TOPIC => Self::DeleteTopic { topic },
            ALTER_TOPIC => Self::AlterTopic {
                topic,
                config: take.config()?,
            },
            PARTITIONS => Self::Partitions {
                topic,
                partitions: take.u32()?,
            },
            MOVE_START => Self::MoveStart {
                topic,
                partition: take.u32()?,
                start: take.i64()?,
            },
            COMPACTED => Self::Compacted {
                topic,
                partition: take.u32()?,
                bases: {
                    let count = take.count(8)?;
                    (0..count).map(|_| take.i64()).collect::<Option<Vec<_>>>()?
                },
                bytes: take.u64()?,
                max_timestamp: take.i64()?,
                cleaned_to: take.i64()?,
            },
            _ => return None,
        })
    }
}

fn put_head(buffer: &mut Vec<u8>, kind: u8, topic: TopicId) {
    wire::put_u8(buffer, kind);
    wire::put_id(buffer, topic);
}

fn put_offsets(
    buffer: &mut Vec<u8>,
    group: &str,
    offsets: &[(TopicPartition, Option<CommittedOffset>)],
) {
    wire::put_u8(buffer, OFFSETS);
    wire::put_str(buffer, group);
    wire::put_u32(buffer, offsets.len() as u32);
    for (partition, committed) in offsets {
        wire::put_str(buffer, &partition.topic);
        wire::put_u32(buffer, partition.partition);
        wire::put_u8(buffer, u8::from(committed.is_some()));
        if let Some(committed) = committed {
            wire::put_committed(buffer, committed);
        }
    }
}

fn take_offsets<'a>(take: &mut Take<'a>) -> Option<Op<'a>> {
    let group = take.str()?;
    let count = take.count(9)?;
    let mut offsets = Vec::with_capacity(count);
    for _ in 0..count {
        let partition = TopicPartition::new(take.str()?, take.u32()?);
        let committed = match take.u8()? {
            0 => None,
            _ => Some(take.committed()?),
        };
        offsets.push((partition, committed));
    }
    Some(Op::Offsets { group, offsets })
}

/// The operations of a payload, in order; the inner `None` marks bytes that are none, and ends the walk.
pub(super) fn ops(payload: &[u8]) -> impl Iterator<Item = Option<Op<'_>>> {
    let mut take = Take::new(payload);
    std::iter::from_fn(move || {
        if take.is_empty() {
            return None;
        }
        let op = Op::take(&mut take);
        if op.is_none() {
            take = Take::new(&[]);
        }
        Some(op)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_survives_and_no_cut_panics() {
        let topic = TopicId(77);
        let written = [
            Op::Batches {
                topic,
                partition: 1,
                roll: true,
                now_ms: 5,
                bytes: b"batches",
            },
            Op::Offsets {
                group: "g",
                offsets: vec![
                    (TopicPartition::new("t", 0), Some(CommittedOffset::at(9))),
                    (TopicPartition::new("t", 1), None),
                ],
            },
            Op::CreateTopic {
                topic,
                name: "t",
                partitions: 2,
                config: TopicConfig::from([("a".into(), "b".into())]),
            },
            Op::DeleteTopic { topic },
            Op::AlterTopic {
                topic,
                config: TopicConfig::new(),
            },
            Op::Partitions {
                topic,
                partitions: 4,
            },
            Op::MoveStart {
                topic,
                partition: 0,
                start: 12,
            },
            Op::DeleteGroup { group: "g" },
            Op::Compacted {
                topic,
                partition: 0,
                bases: vec![0, 7],
                bytes: 100,
                max_timestamp: 3,
                cleaned_to: 12,
            },
            Op::Rotate,
        ];
        let mut buffer = Vec::new();
        for op in &written {
            op.put(&mut buffer);
        }
        let read: Vec<_> = ops(&buffer).collect();
        assert_eq!(read, written.clone().map(Some));
        for len in 0..buffer.len() {
            assert!(ops(&buffer[..len]).flatten().count() < written.len());
        }
    }
}
