//! One partition, read record by record. Not a subscription: it ends at the offset it was given.
//! Invariant: at most one chunk is held, and the client reads this partition only while a chunk is awaited.

use crate::data::Data;
use anyhow::{Result, bail};
use headwater::log::{ChunkCursor, Offset, RecordRef, Slot, TopicPartition};
use std::time::Duration;

/// How long one chunk may take: longer than a slow disk needs.
const CHUNK_MS_MAX: u64 = 30_000;

/// A record with its own bytes.
pub(crate) struct Found {
    pub(crate) offset: Offset,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Reads a partition up to an end.
pub(crate) struct Reader {
    partition: TopicPartition,
    slot: Slot,
    position: Offset,
    end: Offset,
    cursor: Option<ChunkCursor>,
    head: Option<Found>,
}

impl Reader {
    pub(crate) fn new(
        data: &mut Data,
        partition: TopicPartition,
        from: Offset,
        end: Offset,
    ) -> Self {
        Self {
            slot: data.client().slot(&partition),
            partition,
            position: from,
            end,
            cursor: None,
            head: None,
        }
    }

    /// The next record, once [`Reader::fill`] has looked for it.
    pub(crate) fn head(&self) -> Option<&Found> {
        self.head.as_ref()
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self) -> Option<Found> {
        let found = self.head.take()?;
        self.position = found.offset + 1;
        Some(found)
    }

    /// Behind the last record taken.
    pub(crate) fn position(&self) -> Offset {
        self.position
    }

    /// Looks for the next record; afterwards there is none only at the end.
    pub(crate) fn fill(&mut self, data: &mut Data) -> Result<()> {
        while self.head.is_none() && self.position < self.end {
            let Some(cursor) = &mut self.cursor else {
                self.cursor = Some(self.fetch(data)?);
                continue;
            };
            match cursor.next_record()? {
                Some(record) if record.offset < self.end => self.head = Some(Found::from(record)),
                Some(_) => self.position = self.end,
                None => {
                    self.position = cursor.chunk().next_offset.min(self.end);
                    self.cursor = None;
                }
            }
        }
        Ok(())
    }

    fn fetch(&self, data: &mut Data) -> Result<ChunkCursor> {
        let clock = data.world().clock.clone();
        let deadline = clock.elapsed() + Duration::from_millis(CHUNK_MS_MAX);
        let client = data.client();
        client.read_from(self.slot, self.position);
        loop {
            client.poll();
            if let Some(chunk) = client.fetch()? {
                client.stop_reading(self.slot);
                return Ok(ChunkCursor::new(chunk));
            }
            if clock.elapsed() >= deadline {
                bail!(
                    "{} gave no records at offset {} within {CHUNK_MS_MAX} ms; check the log with `headwater verify`",
                    self.partition,
                    self.position
                );
            }
            std::thread::park_timeout(Duration::from_micros(200));
        }
    }
}

impl From<RecordRef<'_>> for Found {
    fn from(record: RecordRef<'_>) -> Self {
        let headers = record.headers.iter();
        Self {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers
                .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }
}
