//! What a fetch returns: whole batches of one partition, owned, and a cursor that walks them without copies.
//! Not a buffer of decoded records. Invariant: a cursor yields only records at or after the position asked for,
//! and afterwards stands on [`Chunk::next_offset`] even when the chunk held no data records.

use crate::batch::{BatchView, Damage, Position};
use crate::{Error, Offset, RecordRef, Result, Slot, TopicPartition};

/// Whole batches of one partition.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The partition.
    pub partition: TopicPartition,
    /// The client's number for it.
    pub slot: Slot,
    /// The position that was asked for; batches may begin before it.
    pub position: Offset,
    /// The position after this chunk.
    pub next_offset: Offset,
    /// One past the last offset that this client's isolation may read, when the chunk was cut.
    pub end_offset: Offset,
    /// Uncompressed batches of format v2, one after the other, checked by the log that hands them out.
    pub bytes: Vec<u8>,
    /// Offset ranges (producer id, first, last) of aborted transactions, sorted by first; `last` is the marker's offset, or
    /// `next_offset - 1` when the marker lies beyond this chunk. Empty for logs that store only committed ones.
    pub aborted: Vec<(i64, Offset, Offset)>,
}

/// Walks a chunk.
#[derive(Debug)]
pub struct ChunkCursor {
    chunk: Chunk,
    batch: std::ops::Range<usize>,
    position: Position,
}

impl ChunkCursor {
    /// A cursor before the first record.
    pub fn new(chunk: Chunk) -> Self {
        Self {
            chunk,
            batch: 0..0,
            position: Position::default(),
        }
    }

    /// The chunk.
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// The chunk's buffer, for reuse.
    pub fn into_chunk(self) -> Chunk {
        self.chunk
    }

    /// The next record, or `None` at the end of the chunk. Control batches and aborted transactions are passed over.
    #[inline(always)]
    pub fn next_record(&mut self) -> Result<Option<RecordRef<'_>>> {
        while self.position.is_done() {
            if !self.next_batch()? {
                return Ok(None);
            }
        }
        let at = self.batch.start;
        match (self.position).advance(&self.chunk.bytes[self.batch.clone()]) {
            Some(record) => Ok(Some(record)),
            None => Err(damaged(
                &self.chunk.partition,
                self.chunk.position,
                at,
                &self.position.damage(),
            )),
        }
    }

    /// True while the batch at hand holds another record; false says nothing about later batches.
    #[inline]
    pub fn has_next_in_batch(&self) -> bool {
        !self.position.is_done()
    }

    /// The record that [`ChunkCursor::next_record`] takes next.
    pub fn peek_record(&mut self) -> Result<Option<RecordRef<'_>>> {
        while self.position.is_done() {
            if !self.next_batch()? {
                return Ok(None);
            }
        }
        let mut ahead = self.position;
        let at = self.batch.start;
        match ahead.next(&self.chunk.bytes[self.batch.clone()]) {
            Some(Ok(record)) => Ok(Some(record)),
            Some(Err(damage)) => Err(damaged(
                &self.chunk.partition,
                self.chunk.position,
                at,
                &damage,
            )),
            None => Ok(None),
        }
    }

    /// Shows keys and timestamps of the next `records_max` records of the batch at hand, fewer at its end, and answers how many
    /// records these are. Nothing moves; what is damaged is reported when it is taken.
    #[inline]
    pub fn keys_ahead(&self, records_max: usize, mut visit: impl FnMut(&[u8], i64)) -> usize {
        let mut ahead = self.position;
        let bytes = &self.chunk.bytes[self.batch.clone()];
        let mut records = 0;
        while records < records_max && !ahead.is_done() {
            let Some(record) = ahead.advance(bytes) else {
                break;
            };
            if let Some(key) = record.key {
                visit(key, record.timestamp);
            }
            records += 1;
        }
        records
    }

    /// The leader's epoch in which the last batch before `position` was written, of those that were walked to so far; `None` when
    /// there is none, or its log has no epochs.
    pub fn leader_epoch_before(&self, position: Offset) -> Option<i32> {
        let epoch_of = |batch: &BatchView<'_>| Some(batch.leader_epoch()).filter(|it| *it >= 0);
        let before = |batch: &BatchView<'_>| batch.base_offset() < position;
        // Most often it is the one at hand.
        if let Ok(batch) = BatchView::parse(&self.chunk.bytes[self.batch.clone()])
            && before(&batch)
        {
            return epoch_of(&batch);
        }
        let (mut at, mut epoch) = (0, None);
        while at < self.batch.start {
            let batch = BatchView::parse(&self.chunk.bytes[at..]).ok()?;
            if !before(&batch) {
                break;
            }
            epoch = epoch_of(&batch);
            at += batch.bytes().len();
        }
        epoch
    }

    /// Moves to the next batch with its first wanted record next; false at the end of the chunk.
    fn next_batch(&mut self) -> Result<bool> {
        let start = self.batch.end;
        if start >= self.chunk.bytes.len() {
            return Ok(false);
        }
        let batch = BatchView::parse(&self.chunk.bytes[start..])
            .map_err(|damage| self.damaged(start, &damage))?;
        let aborted = batch.is_transactional()
            && self.chunk.aborted.iter().any(|(producer, first, last)| {
                *producer == batch.producer_id() && (*first..=*last).contains(&batch.base_offset())
            });
        if batch.compression() != 0 {
            return Err(self.damaged(
                start,
                &Damage::Wrong("a compressed batch where an unpacked one was promised".into()),
            ));
        }
        let mut position = Position::at_start(&batch);
        if batch.is_control() || aborted || batch.next_offset() <= self.chunk.position {
            position = Position::default();
        } else if batch.base_offset() < self.chunk.position {
            loop {
                let mut ahead = position;
                match ahead.next(batch.bytes()) {
                    Some(Ok(record)) if record.offset < self.chunk.position => position = ahead,
                    Some(Err(damage)) => return Err(self.damaged(start, &damage)),
                    _ => break,
                }
            }
        }
        self.batch = start..start + batch.bytes().len();
        self.position = position;
        Ok(true)
    }

    fn damaged(&self, at: usize, damage: &Damage) -> Error {
        damaged(&self.chunk.partition, self.chunk.position, at, damage)
    }
}

#[cold]
fn damaged(partition: &TopicPartition, fetched_at: Offset, byte: usize, damage: &Damage) -> Error {
    Error::Corrupt {
        path: partition.to_string().into(),
        position: byte as u64,
        message: format!("fetched at offset {fetched_at}: {damage:?}"),
    }
}
