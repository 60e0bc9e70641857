//! Kafka's record batch, format v2: written by [`BatchBuilder`], checked by [`BatchView`], walked without copies by [`Records`].
//! Not a compressor: a compressed batch is recognised and refused here; the Kafka client unpacks it first.
//! Invariant: a batch whose CRC holds is walked to its last record or reported as damaged; it never panics.

use crate::record::take_bytes;
use crate::varint::{self, NUMBERS_BYTES, Numbers, put_small, small, zigzag};
use crate::{AppendRecord, HeadersRef, RecordRef};

/// Bytes before the first record (`DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
pub const HEADER_LEN: usize = 61;
/// Bytes before the part that `batch_length` counts.
pub const PREFIX_LEN: usize = 12;
const MAGIC: u8 = 2;
const CRC_START: usize = 21;
const COMPRESSION_MASK: i16 = 0x07;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Counts whose number has at most three bytes.
const COUNT_SMALL_MAX: u32 = (1 << 20) - 1;
/// Keys whose length is a number of one byte.
const KEY_SMALL_BYTES: usize = 1 << 6;
/// With such a value and such a key a record's length is a number of at most two bytes.
const VALUE_SMALL_BYTES: usize = (1 << 13) - 128;

/// Builds one batch after the other, each in memory of its own.
#[derive(Debug)]
pub struct BatchBuilder {
    /// Scrap behind `len`: records are written into bytes that are there already, which costs no check for each number.
    buffer: Vec<u8>,
    /// The room the batch before had: the next one is as large, more or less.
    expected: usize,
    len: usize,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self {
            buffer: Vec::new(),
            expected: 0,
            len: HEADER_LEN,
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
        self.len
    }

    /// Adds a record.
    #[inline]
    pub fn append(&mut self, record: &AppendRecord<'_>) {
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let (key_len, value_len) = (record.key.map(<[u8]>::len), record.value.map(<[u8]>::len));
        let bytes = key_len.unwrap_or(0) + value_len.unwrap_or(0) + record.headers.bytes.len();
        let needed = self.len + bytes + 4 * NUMBERS_BYTES;
        if self.buffer.len() < needed {
            self.grow(needed);
        }
        let time = zigzag(record.timestamp.wrapping_sub(self.base_timestamp));
        match (record.key, record.value) {
            (Some(key), Some(value))
                if time < 1 << 7
                    && self.count <= COUNT_SMALL_MAX
                    && key.len() < KEY_SMALL_BYTES
                    && value.len() < VALUE_SMALL_BYTES
                    && record.headers.count == 0 =>
            {
                self.append_small(key, value, time);
            }
            _ => self.append_any(record),
        }
        self.count += 1;
    }

    /// A record without headers whose numbers in front of the key take eight bytes at most, the record's length included.
    #[inline(always)]
    fn append_small(&mut self, key: &[u8], value: &[u8], time: u64) {
        let count = small(u64::from(self.count) << 1);
        let value_len = small((value.len() as u64) << 1);
        let len = 4 + count.1 + key.len() + value_len.1 + value.len();
        let length = small((len as u64) << 1);
        // Behind the length: attributes, which are zero, time, count and the key's length.
        let key_len = (key.len() as u64) << (17 + 8 * count.1);
        let head = (time << 8 | count.0 << 16 | key_len) << (8 * length.1);
        let (buffer, at) = (self.buffer.as_mut_slice(), &mut self.len);
        put_small(buffer, at, (length.0 | head, length.1 + 3 + count.1));
        copy(buffer, at, key);
        put_small(buffer, at, value_len);
        copy(buffer, at, value);
        // No headers.
        put_small(buffer, at, (0, 1));
    }

    /// Any record, into room that is there.
    #[inline(never)]
    fn append_any(&mut self, record: &AppendRecord<'_>) {
        let (key, value) = (record.key, record.value);
        let (key_bytes, value_bytes) = (key.unwrap_or_default(), value.unwrap_or_default());
        let (mut length, mut head) = (Numbers::new(None), Numbers::new(Some(0)));
        let (mut middle, mut tail) = (Numbers::new(None), Numbers::new(None));
        head.put(record.timestamp.wrapping_sub(self.base_timestamp));
        head.put(i64::from(self.count));
        head.put(key.map_or(-1, |key| key.len() as i64));
        middle.put(value.map_or(-1, |value| value.len() as i64));
        tail.put(record.headers.count as i64);
        let numbers = head.len() + middle.len() + tail.len();
        let bytes = key_bytes.len() + value_bytes.len() + record.headers.bytes.len();
        length.put((numbers + bytes) as i64);
        let (buffer, at) = (self.buffer.as_mut_slice(), &mut self.len);
        length.copy(buffer, at);
        head.copy(buffer, at);
        copy(buffer, at, key_bytes);
        middle.copy(buffer, at);
        copy(buffer, at, value_bytes);
        tail.copy(buffer, at);
        copy(buffer, at, record.headers.bytes);
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let room = needed.max(2 * self.buffer.len()).max(self.expected);
        match self.buffer.is_empty() {
            // Pages that nobody writes are never made.
            true => self.buffer = vec![0; room],
            false => self.buffer.resize(room, 0),
        }
    }

    /// The bytes that [`BatchBuilder::reuse`] had best have room for; `None` while the builder has memory.
    pub fn wants_bytes(&self) -> Option<usize> {
        self.buffer.is_empty().then_some(self.expected)
    }

    /// Has the next batch written into memory that was used before, whatever that holds.
    pub fn reuse(&mut self, mut spare: Vec<u8>) {
        if self.buffer.is_empty() && spare.capacity() >= self.expected {
            // It has its pages; only what it lacks is cleared.
            spare.resize(spare.capacity(), 0);
            self.buffer = spare;
        }
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
        let mut batch = self.take();
        stamp(
            &mut batch,
            producer_id,
            producer_epoch,
            sequence,
            transactional,
        );
        batch
    }

    /// Hands the bytes out with a header that [`stamp`] is to complete: no producer, no CRC. The builder starts anew, without
    /// memory until there is a record: by then the memory of a batch that is acknowledged may be back, see
    /// [`BatchBuilder::reuse`].
    pub fn take(&mut self) -> Vec<u8> {
        self.expected = self.buffer.len();
        self.buffer.resize(self.len, 0);
        self.write_header();
        self.clear();
        std::mem::take(&mut self.buffer)
    }

    /// Forgets the records.
    pub fn clear(&mut self) {
        self.len = HEADER_LEN;
        self.count = 0;
        self.max_timestamp = i64::MIN;
    }

    fn write_header(&mut self) {
        let length = (self.buffer.len() - PREFIX_LEN) as i32;
        let buffer = &mut self.buffer;
        buffer[0..8].copy_from_slice(&0i64.to_be_bytes());
        buffer[8..12].copy_from_slice(&length.to_be_bytes());
        buffer[12..16].copy_from_slice(&0i32.to_be_bytes());
        buffer[16] = MAGIC;
        buffer[17..23].fill(0);
        buffer[23..27].copy_from_slice(&(self.count as i32 - 1).to_be_bytes());
        buffer[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        buffer[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        buffer[57..61].copy_from_slice(&(self.count as i32).to_be_bytes());
    }
}

/// Gives a whole batch its producer (-1, -1, -1 for none) and says whether it belongs to a transaction; then the CRC.
/// What it held of these before is replaced; the compression is kept.
pub fn stamp(
    batch: &mut [u8],
    producer_id: i64,
    producer_epoch: i16,
    sequence: i32,
    transactional: bool,
) {
    let compression = i16::from_be_bytes(array(&batch[21..23])) & COMPRESSION_MASK;
    let attributes = compression | if transactional { TRANSACTIONAL } else { 0 };
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
    batch[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Copies `bytes` to `at` and moves `at` past them.
#[inline(always)]
fn copy(buffer: &mut [u8], at: &mut usize, bytes: &[u8]) {
    let out = &mut buffer[*at..*at + bytes.len()];
    *at += bytes.len();
    // Short keys and values, headers and tombstones: a call of memcpy costs more than the copy.
    match bytes.len() {
        0 => {}
        8..=16 => copy_ends::<8>(out, bytes),
        17..=32 => copy_ends::<16>(out, bytes),
        _ => out.copy_from_slice(bytes),
    }
}

/// Copies the first and the last `N` bytes, which is all of `N` to `2 N` bytes.
#[inline(always)]
fn copy_ends<const N: usize>(out: &mut [u8], bytes: &[u8]) {
    if let (Some(first), Some(place)) = (bytes.first_chunk::<N>(), out.first_chunk_mut()) {
        *place = *first;
    }
    if let (Some(last), Some(place)) = (bytes.last_chunk::<N>(), out.last_chunk_mut()) {
        *place = *last;
    }
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
    /// The epoch of the partition's leader that wrote it; -1 where leaders have none.
    pub fn leader_epoch(&self) -> i32 {
        i32::from_be_bytes(array(&self.bytes[12..16]))
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
        let record = self.advance(bytes);
        Some(record.ok_or_else(|| self.damage()))
    }

    /// As [`Position::next`], before the end; `None` when the bytes are wrong.
    #[inline(always)]
    pub(crate) fn advance<'a>(&mut self, bytes: &'a [u8]) -> Option<RecordRef<'a>> {
        let record = self.take(bytes);
        self.left = match record {
            Some(_) => self.left - 1,
            None => 0,
        };
        record
    }

    /// What is wrong where [`Position::advance`] found no record.
    #[cold]
    pub(crate) fn damage(&self) -> Damage {
        Damage::Wrong(format!(
            "a record does not fit its batch at byte {}",
            self.byte
        ))
    }

    #[inline(always)]
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

#[cfg(test)]
mod tests {
    use super::{BatchBuilder, BatchView};
    use crate::{AppendRecord, Header, HeadersRef};

    /// Records around every limit of the short way to write one, among them some that take the long way.
    #[test]
    fn records_of_any_size_read_back_as_they_were_written() {
        let bytes = vec![7; 1 << 16];
        let mut headers = Vec::new();
        let (key, value) = (b"h".as_slice(), Some(b"v".as_slice()));
        HeadersRef::encode(&mut headers, Header { key, value });
        let lengths = [
            0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 8_063, 8_064, 65_536,
        ];
        let mut records = Vec::new();
        for key in lengths {
            for value in lengths {
                for (timestamp, count) in [(1_000, 0), (1_063, 1), (1_064, 0), (936, 0), (-1, 2)] {
                    let headers = headers.repeat(count);
                    records.push((timestamp, key, value, count, headers));
                }
            }
        }
        let appended = records
            .iter()
            .map(|(timestamp, key, value, count, headers)| AppendRecord {
                timestamp: *timestamp,
                key: Some(&bytes[..*key]).filter(|key| key.len() != 9),
                value: Some(&bytes[..*value]).filter(|value| value.len() != 9),
                headers: HeadersRef {
                    count: *count,
                    bytes: headers,
                },
            });
        let mut batch = BatchBuilder::default();
        appended.clone().for_each(|record| batch.append(&record));
        let written = batch.finish();
        let view = BatchView::check(&written).expect("the batch is whole");
        let mut read = view.records();
        for (offset, wanted) in appended.enumerate() {
            let found = read.next().expect("as many as written").expect("sound");
            assert_eq!(found.offset, offset as i64);
            assert_eq!((found.timestamp, found.key), (wanted.timestamp, wanted.key));
            assert_eq!((found.value, found.headers), (wanted.value, wanted.headers));
        }
        assert!(read.next().is_none());
    }
}
