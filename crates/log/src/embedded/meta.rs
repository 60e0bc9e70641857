//! The meta file: everything but records as of one journal sequence number, replaced atomically. Not the journal, which follows it.
//! Invariant: a segment listed here is durable up to the bytes listed, and stays where it is until a newer meta file is durable.

use super::{
    partition::PartitionRecord,
    segment::SegmentRecord,
    state::Positions,
    wire::{self, Take},
};
use crate::{Error, Result, TopicConfig, TopicId, TopicPartition};
use headwater_world::{Disk, OpenMode};
use std::{collections::BTreeMap, path::Path, sync::Arc};

const MAGIC: [u8; 8] = *b"HWMETA\0\0";
const FORMAT_VERSION: u32 = 1;
/// Bytes before the body.
const HEADER_LEN: usize = 20;
pub(super) const FILE: &str = "meta";
const NEW_FILE: &str = "meta.new";

/// The log without its records, as of `sequence`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Snapshot {
    /// Drawn when the directory was created; ties the journal's entries to it.
    pub(super) log_id: u64,
    /// Every entry up to this one is contained.
    pub(super) sequence: u64,
    pub(super) topics: Vec<TopicRecord>,
    pub(super) groups: BTreeMap<Arc<str>, Positions>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TopicRecord {
    pub(super) id: TopicId,
    pub(super) name: Arc<str>,
    pub(super) config: TopicConfig,
    pub(super) partitions: Vec<PartitionRecord>,
}

impl Snapshot {
    /// Replaces the meta file: a crash leaves the old one or this one.
    pub(super) fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        let (path, new_path) = (dir.join(FILE), dir.join(NEW_FILE));
        let bytes = self.encode();
        let file = disk
            .open(&new_path, OpenMode::ReadWrite)
            .map_err(|error| Error::io(&new_path, "create the meta file", &error))?;
        file.set_len(0)
            .and_then(|()| file.write_all_at(&bytes, 0))
            .and_then(|()| file.sync())
            .map_err(|error| Error::io(&new_path, "write the meta file", &error))?;
        disk.rename(&new_path, &path)
            .and_then(|()| disk.sync_dir(dir))
            .map_err(|error| Error::io(&path, "replace the meta file", &error))
    }

    /// The stored snapshot; `None` when there is none.
    pub(super) fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let io = |error| Error::io(&path, "read the meta file", &error);
        if !disk.exists(&path).map_err(io)? {
            return Ok(None);
        }
        let file = disk.open(&path, OpenMode::Read).map_err(io)?;
        let len = file.len().map_err(io)?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, 0).map_err(io)?;
        Self::decode(&bytes)
            .map(Some)
            .map_err(|message| Error::Corrupt {
                path,
                position: 0,
                message: format!("{message}; restore the directory from a backup"),
            })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        wire::put_u32(&mut bytes, FORMAT_VERSION);
        wire::put_u32(&mut bytes, 0);
        wire::put_u32(&mut bytes, 0);
        wire::put_u64(&mut bytes, self.log_id);
        wire::put_u64(&mut bytes, self.sequence);
        wire::put_u32(&mut bytes, self.topics.len() as u32);
        for topic in &self.topics {
            wire::put_id(&mut bytes, topic.id);
            wire::put_str(&mut bytes, &topic.name);
            wire::put_config(&mut bytes, &topic.config);
            wire::put_u32(&mut bytes, topic.partitions.len() as u32);
            for partition in &topic.partitions {
                put_partition(&mut bytes, partition);
            }
        }
        wire::put_u32(&mut bytes, self.groups.len() as u32);
        for (group, positions) in &self.groups {
            wire::put_str(&mut bytes, group);
            wire::put_u32(&mut bytes, positions.len() as u32);
            for (partition, committed) in positions {
                wire::put_str(&mut bytes, &partition.topic);
                wire::put_u32(&mut bytes, partition.partition);
                wire::put_committed(&mut bytes, committed);
            }
        }
        let len = (bytes.len() - HEADER_LEN) as u32;
        bytes[12..16].copy_from_slice(&len.to_be_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..16]), &bytes[HEADER_LEN..]);
        bytes[16..20].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let short = || {
            format!(
                "the meta file has {} bytes and no sound header",
                bytes.len()
            )
        };
        let mut head = Take::new(bytes.get(..HEADER_LEN).ok_or_else(short)?);
        if head.slice(8) != Some(&MAGIC[..]) {
            return Err("this is no meta file".into());
        }
        let (version, len, stored) = (head.u32(), head.u32(), head.u32());
        if version != Some(FORMAT_VERSION) {
            return Err(format!(
                "format version {} instead of {FORMAT_VERSION}",
                version.unwrap_or_default()
            ));
        }
        let body = &bytes[HEADER_LEN..];
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..16]), body);
        if len != u32::try_from(body.len()).ok() || stored != Some(crc) {
            return Err(format!(
                "CRC {crc:08x} over {} bytes instead of {:08x} over {}",
                body.len(),
                stored.unwrap_or_default(),
                len.unwrap_or_default()
            ));
        }
        take_snapshot(&mut Take::new(body)).ok_or_else(|| "a sound CRC over wrong fields".into())
    }
}

fn take_snapshot(take: &mut Take<'_>) -> Option<Snapshot> {
    let mut snapshot = Snapshot {
        log_id: take.u64()?,
        sequence: take.u64()?,
        ..Snapshot::default()
    };
    for _ in 0..take.count(28)? {
        let (id, name, config) = (take.id()?, take.str()?.into(), take.config()?);
        let count = take.count(28)?;
        let partitions = (0..count)
            .map(|_| take_partition(take))
            .collect::<Option<_>>()?;
        snapshot.topics.push(TopicRecord {
            id,
            name,
            config,
            partitions,
        });
    }
    for _ in 0..take.count(8)? {
        let group = take.str()?.into();
        let mut positions = Positions::new();
        for _ in 0..take.count(24)? {
            let partition = TopicPartition::new(take.str()?, take.u32()?);
            positions.insert(partition, take.committed()?);
        }
        snapshot.groups.insert(group, positions);
    }
    take.is_empty().then_some(snapshot)
}

fn put_partition(bytes: &mut Vec<u8>, partition: &PartitionRecord) {
    wire::put_i64(bytes, partition.start);
    wire::put_i64(bytes, partition.end);
    wire::put_i64(bytes, partition.cleaned_to);
    wire::put_u32(bytes, partition.segments.len() as u32);
    for segment in &partition.segments {
        wire::put_i64(bytes, segment.base);
        wire::put_i64(bytes, segment.end);
        wire::put_u64(bytes, segment.bytes);
        wire::put_i64(bytes, segment.max_timestamp);
        wire::put_i64(bytes, segment.opened_ms);
        wire::put_u8(
            bytes,
            u8::from(segment.compacted) | (u8::from(segment.cleaned) << 1),
        );
    }
}

fn take_partition(take: &mut Take<'_>) -> Option<PartitionRecord> {
    let mut partition = PartitionRecord {
        start: take.i64()?,
        end: take.i64()?,
        cleaned_to: take.i64()?,
        segments: Vec::new(),
    };
    for _ in 0..take.count(41)? {
        let (base, end, bytes) = (take.i64()?, take.i64()?, take.u64()?);
        let (max_timestamp, opened_ms, flags) = (take.i64()?, take.i64()?, take.u8()?);
        partition.segments.push(SegmentRecord {
            base,
            end,
            bytes,
            max_timestamp,
            opened_ms,
            compacted: flags & 1 != 0,
            cleaned: flags & 2 != 0,
        });
    }
    Some(partition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommittedOffset;

    #[test]
    fn a_snapshot_survives_and_every_flipped_bit_is_noticed() {
        let segment = SegmentRecord {
            base: 3,
            end: 9,
            bytes: 100,
            max_timestamp: 5,
            opened_ms: 6,
            compacted: true,
            cleaned: false,
        };
        let snapshot = Snapshot {
            log_id: 1,
            sequence: 2,
            topics: vec![TopicRecord {
                id: TopicId(9),
                name: "t".into(),
                config: TopicConfig::from([("a".into(), "b".into())]),
                partitions: vec![PartitionRecord {
                    start: 4,
                    end: 9,
                    cleaned_to: 0,
                    segments: vec![segment],
                }],
            }],
            groups: BTreeMap::from([(
                "g".into(),
                Positions::from([(TopicPartition::new("t", 0), CommittedOffset::at(7))]),
            )]),
        };
        let bytes = snapshot.encode();
        assert_eq!(Snapshot::decode(&bytes).unwrap(), snapshot);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Snapshot::decode(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Snapshot::decode(&bytes[..len]).is_err());
        }
    }
}
