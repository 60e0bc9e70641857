//! Kafka's record batch, format v2: written by [`BatchBuilder`], checked by [`BatchView`], walked without copies by [`Records`].
//! Not a compressor: a compressed batch is recognised and refused here; the Kafka client unpacks it first.
//! Invariant: a batch whose CRC holds is walked to its last record or reported as damaged; it never panics.

use crate::record::{put_bytes, take_bytes};
use crate::{AppendRecord, HeadersRef, RecordRef, varint};

/// Bytes before the first record (`DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
pub const HEADER_LEN: usize = 61;
/// Bytes before the part that `batch_length` counts.
pub const PREFIX_LEN: usize = 12;
const MAGIC: u8 = 2;
const CRC_START: usize = 21;
const COMPRESSION_MASK: i16 = 0x07;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Builds one batch; the buffer is reused from batch to batch.
#[derive(Debug)]
pub struct BatchBuilder {
    buffer: Vec<u8>,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self {
            buffer: vec![0; HEADER_LEN],
            count: 0,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
        }
    }
}

impl BatchBuilder {
    /// How many records it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch's size so far in bytes, header included.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Adds a record.
    #[inline]
    pub fn append(&mut self, record: &AppendRecord<'_>) {
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let timestamp_delta = record.timestamp.wrapping_sub(self.base_timestamp);
        let offset_delta = i64::from(self.count);
        let length = 1
            + varint::len(timestamp_delta)
            + varint::len(offset_delta)
            + bytes_len(record.key)
            + bytes_len(record.value)
            + varint::len(record.headers.count as i64)
            + record.headers.bytes.len();
        let buffer = &mut self.buffer;
        buffer.reserve(length + 5);
        varint::put(buffer, length as i64);
        buffer.push(0);
        varint::put(buffer, timestamp_delta);
        varint::put(buffer, offset_delta);
        put_bytes(buffer, record.key);
        put_bytes(buffer, record.value);
        varint::put(buffer, record.headers.count as i64);
        buffer.extend_from_slice(record.headers.bytes);
        self.count += 1;
    }

    /// Completes the header with base offset 0, no producer and `transactional` false, and hands the bytes out;
    /// the builder starts anew. Whoever gives the batch its place calls [`set_base_offset`].
    pub fn finish(&mut self) -> Vec<u8> {
        self.finish_as(-1, -1, -1, false)
    }

    /// As [`BatchBuilder::finish`], with a producer's identity in the header (Kafka's idempotent and transactional produce).
    pub fn finish_as(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        sequence: i32,
        transactional: bool,
    ) -> Vec<u8> {
        let capacity = self.buffer.len();
        self.write_header(
            producer_id,
            producer_epoch,
            sequence,
            if transactional { TRANSACTIONAL } else { 0 },
        );
        let mut next = Vec::with_capacity(capacity);
        next.resize(HEADER_LEN, 0);
        self.count = 0;
        self.max_timestamp = i64::MIN;
        std::mem::replace(&mut self.buffer, next)
    }

    /// Forgets the records.
    pub fn clear(&mut self) {
        self.buffer.truncate(HEADER_LEN);
        self.count = 0;
        self.max_timestamp = i64::MIN;
    }

    fn write_header(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        sequence: i32,
        attributes: i16,
    ) {
        let length = (self.buffer.len() - PREFIX_LEN) as i32;
        let buffer = &mut self.buffer;
        buffer[0..8].copy_from_slice(&0i64.to_be_bytes());
        buffer[8..12].copy_from_slice(&length.to_be_bytes());
        buffer[12..16].copy_from_slice(&0i32.to_be_bytes());
        buffer[16] = MAGIC;
        buffer[21..23].copy_from_slice(&attributes.to_be_bytes());
        buffer[23..27].copy_from_slice(&(self.count as i32 - 1).to_be_bytes());
        buffer[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        buffer[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        buffer[43..51].copy_from_slice(&producer_id.to_be_bytes());
        buffer[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
        buffer[53..57].copy_from_slice(&sequence.to_be_bytes());
        buffer[57..61].copy_from_slice(&(self.count as i32).to_be_bytes());
        let crc = crc32c::crc32c(&buffer[CRC_START..]);
        buffer[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}

fn bytes_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::len(bytes.len() as i64) + bytes.len())
}

/// Gives a batch its first offset; the CRC does not cover it.
pub fn set_base_offset(batch: &mut [u8], offset: i64) {
    batch[0..8].copy_from_slice(&offset.to_be_bytes());
}

/// Why bytes are not a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The bytes end before the batch does: a torn tail, or more is to come.
    Incomplete,
    /// The bytes are there and wrong.
    Wrong(String),
}

/// One whole batch with a sound header.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the start of `bytes`, with lengths and format checked but not the CRC.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Damage> {
        let Some(header) = bytes.get(..HEADER_LEN) else {
            return Err(Damage::Incomplete);
        };
        let length = i32::from_be_bytes(array(&header[8..12]));
        let Some(total) = usize::try_from(length)
            .ok()
            .map(|length| length + PREFIX_LEN)
            .filter(|total| *total >= HEADER_LEN)
        else {
            return Err(Damage::Wrong(format!("batch length {length}")));
        };
        if header[16] != MAGIC {
            return Err(Damage::Wrong(format!(
                "format version {} instead of {MAGIC}",
                header[16]
            )));
        }
        let Some(bytes) = bytes.get(..total) else {
            return Err(Damage::Incomplete);
        };
        let view = Self { bytes };
        if view.count() < 0 || view.last_offset_delta() < 0 {
            return Err(Damage::Wrong(format!(
                "{} records, last offset delta {}",
                view.count(),
                view.last_offset_delta()
            )));
        }
        Ok(view)
    }

    /// As [`BatchView::parse`], and the CRC must hold.
    pub fn check(bytes: &'a [u8]) -> Result<Self, Damage> {
        let view = Self::parse(bytes)?;
        let (stored, found) = (
            u32::from_be_bytes(array(&view.bytes[17..21])),
            crc32c::crc32c(&view.bytes[CRC_START..]),
        );
        if stored == found {
            Ok(view)
        } else {
            Err(Damage::Wrong(format!(
                "CRC {found:08x} instead of {stored:08x}"
            )))
        }
    }

    /// All its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
    /// The offset of its first record (also when compaction removed it).
    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(array(&self.bytes[0..8]))
    }
    /// The offset after its last record.
    pub fn next_offset(&self) -> i64 {
        self.base_offset() + i64::from(self.last_offset_delta()) + 1
    }
    fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(array(&self.bytes[23..27]))
    }
    /// The largest timestamp in it.
    pub fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(array(&self.bytes[35..43]))
    }
    fn base_timestamp(&self) -> i64 {
        i64::from_be_bytes(array(&self.bytes[27..35]))
    }
    /// The number of records.
    pub fn count(&self) -> i32 {
        i32::from_be_bytes(array(&self.bytes[57..61]))
    }
    /// The producer's id, -1 without one.
    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(array(&self.bytes[43..51]))
    }
    fn attributes(&self) -> i16 {
        i16::from_be_bytes(array(&self.bytes[21..23]))
    }
    /// True for transaction markers, which hold no data.
    pub fn is_control(&self) -> bool {
        self.attributes() & CONTROL != 0
    }
    /// True for a transaction's data.
    pub fn is_transactional(&self) -> bool {
        self.attributes() & TRANSACTIONAL != 0
    }
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub fn compression(&self) -> u8 {
        (self.attributes() & COMPRESSION_MASK) as u8
    }
    /// A walk over the records of an uncompressed batch.
    pub fn records(&self) -> Records<'a> {
        Records {
            bytes: self.bytes,
            position: Position::at_start(self),
        }
    }
}

/// A place inside a batch, without borrowing it, so that a cursor can own both bytes and place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    byte: usize,
    left: i32,
    base_offset: i64,
    base_timestamp: i64,
}

impl Position {
    pub(crate) fn at_start(batch: &BatchView<'_>) -> Self {
        Self {
            byte: HEADER_LEN,
            left: batch.count(),
            base_offset: batch.base_offset(),
            base_timestamp: batch.base_timestamp(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// The next record of `bytes` (the whole batch); `None` at the end, `Some(Err)` when the bytes are wrong.
    #[inline]
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8]) -> Option<Result<RecordRef<'a>, Damage>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        match self.take(bytes) {
            Some(record) => Some(Ok(record)),
            None => {
                self.left = 0;
                Some(Err(Damage::Wrong(format!(
                    "a record does not fit its batch at byte {}",
                    self.byte
                ))))
            }
        }
    }

    #[inline]
    fn take<'a>(&mut self, bytes: &'a [u8]) -> Option<RecordRef<'a>> {
        let mut at = self.byte;
        let length = usize::try_from(varint::take(bytes, &mut at)?).ok()?;
        let end = at.checked_add(length)?;
        let bytes = bytes.get(..end)?;
        at += 1; // record attributes, unused in format v2
        let timestamp = self
            .base_timestamp
            .wrapping_add(varint::take(bytes, &mut at)?);
        let offset = self.base_offset.wrapping_add(varint::take(bytes, &mut at)?);
        let key = take_bytes(bytes, &mut at)?;
        let value = take_bytes(bytes, &mut at)?;
        let count = usize::try_from(varint::take(bytes, &mut at)?).ok()?;
        let headers = HeadersRef {
            count,
            bytes: &bytes[at..],
        };
        self.byte = end;
        Some(RecordRef {
            offset,
            timestamp,
            key,
            value,
            headers,
        })
    }
}

/// A walk over one batch.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    position: Position,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        self.position.next(self.bytes)
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}
