//! From the bytes of a fetch answer to chunks: CRCs checked, batches unpacked, ranges of aborted transactions found.
//! Not the records: nobody looks at those here but at a marker's. Invariant: chunks are cut between batches, and positions move
//! by what the batches' headers say.

use crate::{compression, protocol::fetch::AbortedTransaction};
use headwater_log::{
    Chunk, Error, Offset, Result, Slot, TopicPartition,
    batch::{BatchView, Damage},
};
use std::collections::{BTreeMap, VecDeque};

/// Bytes that one compressed batch may unpack to.
const UNPACKED_BYTES_MAX: usize = 256 << 20;

/// What is to be cut.
pub(crate) struct Uncut<'a> {
    pub(crate) partition: &'a TopicPartition,
    pub(crate) slot: Slot,
    pub(crate) position: Offset,
    pub(crate) end_offset: Offset,
    pub(crate) records: &'a [u8],
    /// From the broker: producer ids with the first offset of a transaction that was aborted; `None` reads everything.
    pub(crate) aborted: Option<Vec<AbortedTransaction>>,
    pub(crate) chunk_bytes_max: usize,
}

/// The chunks, and where to go on.
pub(crate) struct Cut {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) position: Offset,
    /// Leader epoch of the last batch.
    pub(crate) last_epoch: Option<i32>,
}

/// Which transactions are being read that will turn out aborted.
struct Ranges {
    /// By first offset.
    ahead: VecDeque<AbortedTransaction>,
    /// Begun and not ended: producer id to first offset.
    open: BTreeMap<i64, Offset>,
    /// Ended in this chunk.
    ended: Vec<(i64, Offset, Offset)>,
}

impl Ranges {
    fn new(aborted: Option<Vec<AbortedTransaction>>) -> Self {
        let mut aborted = aborted.unwrap_or_default();
        aborted.sort_by_key(|transaction| transaction.first_offset);
        Self {
            ahead: aborted.into(),
            open: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    fn pass(&mut self, batch: &BatchView<'_>) {
        while let Some(next) = self.ahead.front()
            && next.first_offset < batch.next_offset()
        {
            self.open.insert(next.producer_id, next.first_offset);
            self.ahead.pop_front();
        }
        if batch.is_control()
            && is_abort(batch)
            && let Some(first) = self.open.remove(&batch.producer_id())
        {
            self.ended
                .push((batch.producer_id(), first, batch.base_offset()));
        }
    }

    /// The ranges of a chunk that ends at `next`; those still open go on in the next one.
    fn take(&mut self, next: Offset) -> Vec<(i64, Offset, Offset)> {
        let mut ranges = std::mem::take(&mut self.ended);
        let open = self.open.iter();
        ranges.extend(open.map(|(producer, first)| (*producer, *first, next - 1)));
        ranges.sort_by_key(|(_, first, _)| *first);
        ranges
    }
}

/// A control batch holds one record, whose key is a version and a type: 0 aborts, 1 commits.
fn is_abort(batch: &BatchView<'_>) -> bool {
    let Some(Ok(record)) = batch.records().next() else {
        return false;
    };
    matches!(record.key, Some([_, _, 0, 0, ..]))
}

/// Cuts; `spare` gives buffers for so many bytes.
pub(crate) fn cut(uncut: Uncut<'_>, mut spare: impl FnMut(usize) -> Vec<u8>) -> Result<Cut> {
    let mut ranges = Ranges::new(uncut.aborted);
    let mut chunks = Vec::new();
    let mut begun = uncut.position;
    let mut position = uncut.position;
    let mut last_epoch = None;
    let mut bytes = Vec::new();
    let mut unpacked = Vec::new();
    let mut at = 0;
    let mut finish =
        |begun: &mut Offset, next: Offset, bytes: &mut Vec<u8>, ranges: &mut Ranges| {
            chunks.push(Chunk {
                partition: uncut.partition.clone(),
                slot: uncut.slot,
                position: *begun,
                next_offset: next,
                end_offset: uncut.end_offset,
                bytes: std::mem::take(bytes),
                aborted: ranges.take(next),
            });
            *begun = next;
        };
    while at < uncut.records.len() {
        let batch = match BatchView::check(&uncut.records[at..]) {
            Ok(batch) => batch,
            // The broker cuts the last batch where the limit is.
            Err(Damage::Incomplete) => break,
            Err(damage) => return Err(damaged(uncut.partition, position, at, &damage)),
        };
        at += batch.bytes().len();
        if batch.next_offset() <= uncut.position {
            continue;
        }
        let whole = match batch.compression() {
            0 => batch.bytes(),
            _ => {
                unpacked.clear();
                compression::unpack(batch.bytes(), UNPACKED_BYTES_MAX, &mut unpacked)
                    .map_err(|damage| damaged(uncut.partition, position, at, &damage))?;
                &unpacked[..]
            }
        };
        if !bytes.is_empty() && bytes.len() + whole.len() > uncut.chunk_bytes_max {
            finish(&mut begun, position, &mut bytes, &mut ranges);
        }
        if bytes.capacity() == 0 {
            // All that the chunk can become, and no more: growing by doubling would leave half of it unused.
            let rest = uncut.records.len() - at + batch.bytes().len();
            let room = whole.len().max(uncut.chunk_bytes_max.min(rest));
            bytes = spare(room);
            bytes.clear();
            bytes.reserve_exact(room);
        }
        ranges.pass(&batch);
        bytes.extend_from_slice(whole);
        position = batch.next_offset();
        last_epoch = Some(i32::from_be_bytes([
            whole[12], whole[13], whole[14], whole[15],
        ]));
    }
    if !bytes.is_empty() {
        finish(&mut begun, position, &mut bytes, &mut ranges);
    }
    Ok(Cut {
        chunks,
        position,
        last_epoch,
    })
}

fn damaged(partition: &TopicPartition, position: Offset, byte: usize, damage: &Damage) -> Error {
    Error::Corrupt {
        path: partition.to_string().into(),
        position: byte as u64,
        message: format!("in an answer from offset {position} on: {damage:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_log::{
        AppendRecord, ChunkCursor,
        batch::{BatchBuilder, set_base_offset},
    };

    fn batch(base: Offset, producer: i64, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::default();
        for value in values {
            builder.append(&AppendRecord {
                value: Some(value.as_bytes()),
                ..AppendRecord::default()
            });
        }
        let mut bytes = builder.finish_as(producer, 0, 0, producer >= 0);
        set_base_offset(&mut bytes, base);
        bytes
    }

    fn abort_marker(base: Offset, producer: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::default();
        builder.append(&AppendRecord {
            key: Some(&[0, 0, 0, 0]),
            value: Some(&[0, 0, 0, 0, 0, 0]),
            ..AppendRecord::default()
        });
        let mut bytes = builder.finish_as(producer, 0, -1, true);
        bytes[22] |= 0x20;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        set_base_offset(&mut bytes, base);
        bytes
    }

    fn uncut<'a>(partition: &'a TopicPartition, records: &'a [u8], max: usize) -> Uncut<'a> {
        Uncut {
            partition,
            slot: Slot(0),
            position: 0,
            end_offset: 100,
            records,
            aborted: None,
            chunk_bytes_max: max,
        }
    }

    fn read(chunks: Vec<Chunk>) -> Vec<String> {
        let mut values = Vec::new();
        for chunk in chunks {
            let mut cursor = ChunkCursor::new(chunk);
            while let Some(record) = cursor.next_record().unwrap() {
                values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            }
        }
        values
    }

    #[test]
    fn chunks_are_cut_between_batches_and_the_torn_tail_is_dropped() {
        let name = TopicPartition::new("t", 0);
        let mut records = [batch(0, -1, &["a", "b"]), batch(2, -1, &["c"])].concat();
        let torn = batch(3, -1, &["d"]);
        records.extend_from_slice(&torn[..torn.len() - 1]);
        for max in [1, 1 << 20] {
            let cut = cut(uncut(&name, &records, max), Vec::with_capacity).unwrap();
            assert_eq!(cut.position, 3);
            assert_eq!(cut.chunks.len(), if max == 1 { 2 } else { 1 });
            assert_eq!(cut.chunks[0].position, 0);
            assert_eq!(read(cut.chunks), ["a", "b", "c"]);
        }
    }

    #[test]
    fn a_buffer_has_room_for_its_chunk_and_not_for_twice_as_much() {
        let name = TopicPartition::new("t", 0);
        let batches: Vec<_> = (0..10).map(|at| batch(at, -1, &["a"])).collect();
        let (records, one) = (batches.concat(), batches[0].len());
        for (max, batches_of_each) in [(1, 1), (5 * one, 5), (1 << 20, 10)] {
            let cut = cut(uncut(&name, &records, max), Vec::with_capacity).unwrap();
            for chunk in cut.chunks {
                assert_eq!(chunk.bytes.len(), batches_of_each * one);
                assert_eq!(chunk.bytes.capacity(), chunk.bytes.len());
            }
        }
    }

    #[test]
    fn aborted_transactions_are_passed_over_at_every_chunk_size() {
        let name = TopicPartition::new("t", 0);
        let records = [
            batch(0, 7, &["never"]),
            batch(1, 8, &["a"]),
            batch(2, 7, &["never either"]),
            abort_marker(3, 7),
            batch(4, 7, &["b"]),
        ]
        .concat();
        for max in [1, 150, 1 << 20] {
            let mut uncut = uncut(&name, &records, max);
            uncut.aborted = Some(vec![AbortedTransaction {
                producer_id: 7,
                first_offset: 0,
            }]);
            let cut = cut(uncut, Vec::with_capacity).unwrap();
            assert_eq!(cut.position, 5);
            assert_eq!(read(cut.chunks), ["a", "b"]);
        }
    }

    #[test]
    fn damage_is_named() {
        let name = TopicPartition::new("t", 0);
        let mut records = batch(0, -1, &["a"]);
        let last = records.len() - 1;
        records[last] ^= 1;
        let error = cut(uncut(&name, &records, 100), Vec::with_capacity)
            .err()
            .unwrap();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    }
}
