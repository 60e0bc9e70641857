//! Record batches of format 2, read where they lie and written in one go. Not compressed, no headers.
//! Invariant: a batch whose checksum is wrong is never walked.

use super::wire::{Cursor, Request};

/// Before the records, from the base offset on.
const HEAD_BYTES: usize = 61;
/// Of base offset, length, leader epoch, magic and checksum: what the checksum does not cover.
const UNCHECKED_BYTES: usize = 21;

/// A batch being read.
pub(super) struct Batch<'a> {
    base_offset: i64,
    base_timestamp_ms: i64,
    left: i32,
    records: Cursor<'a>,
}

/// A record in it.
pub(super) struct Record<'a> {
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
    pub(super) key: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The next whole and sound one.
    pub(super) fn next(cursor: &mut Cursor<'a>) -> Option<Self> {
        let mut head = *cursor;
        let base_offset = head.i64()?;
        let bytes = 12 + head.i32()? as usize;
        let whole = cursor.take(bytes)?;
        // The leader epoch and the magic.
        head.skip(5)?;
        let sum = head.i32()? as u32;
        if sum != crc32c::crc32c(whole.get(UNCHECKED_BYTES..)?) {
            return None;
        }
        // Attributes and the last offset.
        head.skip(6)?;
        let base_timestamp_ms = head.i64()?;
        // The last timestamp, the producer and its sequence.
        head.skip(8 + 8 + 2 + 4)?;
        Some(Self {
            base_offset,
            base_timestamp_ms,
            left: head.i32()?,
            records: Cursor::new(whole.get(HEAD_BYTES..)?),
        })
    }

    /// The next record, or none behind the last.
    #[inline]
    pub(super) fn next_record(&mut self) -> Option<Option<Record<'a>>> {
        if self.left == 0 {
            return Some(None);
        }
        self.left -= 1;
        let records = &mut self.records;
        records.varint()?;
        records.skip(1)?;
        let timestamp_ms = self.base_timestamp_ms + records.varint()?;
        let offset = self.base_offset + records.varint()?;
        let key_bytes = usize::try_from(records.varint()?).ok()?;
        let key = records.take(key_bytes)?;
        let value_bytes = usize::try_from(records.varint()?).ok()?;
        records.skip(value_bytes)?;
        // Headers: none.
        records.varint()?;
        Some(Some(Record {
            offset,
            timestamp_ms,
            key,
        }))
    }
}

/// A batch being written.
pub(super) struct OpenBatch {
    records: Vec<u8>,
    count: i32,
    first_timestamp_ms: i64,
    last_timestamp_ms: i64,
}

impl OpenBatch {
    pub(super) const fn new() -> Self {
        Self {
            records: Vec::new(),
            count: 0,
            first_timestamp_ms: 0,
            last_timestamp_ms: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(super) fn append(&mut self, timestamp_ms: i64, key: &[u8], value: &[u8]) {
        if self.count == 0 {
            self.first_timestamp_ms = timestamp_ms;
            self.last_timestamp_ms = timestamp_ms;
        }
        self.last_timestamp_ms = self.last_timestamp_ms.max(timestamp_ms);
        let (time, offset) = (
            timestamp_ms - self.first_timestamp_ms,
            i64::from(self.count),
        );
        let (key_bytes, value_bytes) = (key.len() as i64, value.len() as i64);
        let lengths = varint_bytes(time)
            + varint_bytes(offset)
            + varint_bytes(key_bytes)
            + varint_bytes(value_bytes);
        let to = &mut self.records;
        // Attributes and the number of headers are a byte each.
        put_varint(to, (1 + lengths + key.len() + value.len() + 1) as i64);
        to.push(0);
        put_varint(to, time);
        put_varint(to, offset);
        put_varint(to, key_bytes);
        to.extend_from_slice(key);
        put_varint(to, value_bytes);
        to.extend_from_slice(value);
        to.push(0);
        self.count += 1;
    }

    /// Appends the batch and its length.
    pub(super) fn write_into(self, request: &mut Request) {
        let mut body = Request(Vec::with_capacity(self.records.len() + HEAD_BYTES));
        body.i16(0);
        body.i32(self.count - 1);
        body.i64(self.first_timestamp_ms);
        body.i64(self.last_timestamp_ms);
        body.i64(-1);
        body.i16(-1);
        body.i32(-1);
        body.i32(self.count);
        body.0.extend_from_slice(&self.records);
        let checked = body.0;
        request.i32((UNCHECKED_BYTES + checked.len()) as i32);
        request.i64(0);
        request.i32((4 + 1 + 4 + checked.len()) as i32);
        request.i32(-1);
        request.i8(2);
        request.i32(crc32c::crc32c(&checked) as i32);
        request.0.extend_from_slice(&checked);
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

#[inline]
fn varint_bytes(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[inline]
fn put_varint(to: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        to.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}
