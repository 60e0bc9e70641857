//! One input of a task: the chunks of one source partition that wait, and the position behind them.
//! Not a consumer. Invariant: `position` is the offset of the next record to process, also past records that hold no data.

use crate::task::Step;
use crate::{Error, Result, topology::AskedFor};
use headwater_log::{Chunk, ChunkCursor, Offset, RecordRef, TopicPartition};
use headwater_store::{KEYS_AHEAD_MAX, KeysAhead, window};
use std::{collections::VecDeque, sync::Arc};

/// An input as the runtime sees it.
#[derive(Clone, Debug)]
pub struct InputState {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to process.
    pub position: Offset,
    /// The next offset to fetch.
    pub fetch_position: Offset,
    /// Bytes that wait.
    pub queued_bytes: usize,
}

pub(crate) struct Input {
    pub(crate) partition: TopicPartition,
    pub(crate) topic: u32,
    pub(crate) position: Offset,
    pub(crate) fetch_position: Offset,
    pub(crate) queued_bytes: usize,
    /// The leader's epoch of the record before the chunks that wait.
    pub(crate) epoch_before: Option<i32>,
    /// The largest timestamp seen; -1 before the first.
    pub(crate) partition_time: i64,
    /// One past the last offset that could be read, as last heard; `None` while unknown.
    pub(crate) end: Option<Offset>,
    /// While it is at its end: how long others wait for it, by the wall clock.
    pub(crate) idle_until: Option<i64>,
    /// The event time of the record in front, once it has been asked for.
    pub(crate) head_time: Option<i64>,
    /// The position moved where no record was; taken by who asks.
    pub(crate) passed: bool,
    /// The chunk at hand, and those behind it.
    front: Option<ChunkCursor>,
    queue: VecDeque<ChunkCursor>,
    /// Stores that will be asked for the keys of its records, and how many records from here on have been announced to them.
    pub(crate) asks: Vec<(usize, AskedFor)>,
    pub(crate) announced: u32,
    row_key: Vec<u8>,
    /// Buffers to give back to the client.
    pub(crate) spent: Vec<Chunk>,
}

/// True when a position of `inputs` moved where no record was since this was asked before.
pub(crate) fn take_passed(inputs: &mut [Input]) -> bool {
    let mut passed = false;
    for input in inputs {
        passed |= std::mem::take(&mut input.passed);
    }
    passed
}

impl Input {
    pub(crate) fn new(
        topic_name: &Arc<str>,
        topic: u32,
        partition: u32,
        position: Offset,
        partition_time: i64,
    ) -> Self {
        Self {
            partition: TopicPartition::new(topic_name.clone(), partition),
            topic,
            position,
            fetch_position: position,
            queued_bytes: 0,
            epoch_before: None,
            partition_time,
            end: None,
            idle_until: None,
            head_time: None,
            passed: false,
            front: None,
            queue: VecDeque::new(),
            asks: Vec::new(),
            announced: 0,
            row_key: Vec::new(),
            spent: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, chunk: Chunk) {
        self.fetch_position = chunk.next_offset;
        self.queued_bytes += chunk.bytes.len();
        let cursor = ChunkCursor::new(chunk);
        match self.front {
            None => self.front = Some(cursor),
            Some(_) => self.queue.push_back(cursor),
        }
    }

    /// Drops what waits and continues at `position`.
    pub(crate) fn seek(&mut self, position: Offset) {
        self.front = None;
        self.queue.clear();
        self.head_time = None;
        self.queued_bytes = 0;
        self.epoch_before = None;
        self.position = position;
        self.fetch_position = position;
    }

    /// The leader's epoch of the record before `position`, where it is known.
    pub(crate) fn leader_epoch(&self) -> Option<i32> {
        let front = self.front.as_ref();
        let read = front.and_then(|cursor| cursor.leader_epoch_before(self.position));
        read.or(self.epoch_before)
    }

    /// The raw timestamp of the next record; `None` when nothing waits. Spent chunks are put aside.
    pub(crate) fn peek(&mut self) -> Result<Option<RecordRef<'_>>> {
        while let Some(cursor) = &mut self.front {
            if cursor.peek_record()?.is_some() {
                break;
            }
            let next = self.queue.pop_front();
            if let Some(spent) = std::mem::replace(&mut self.front, next) {
                let next = spent.chunk().next_offset;
                self.epoch_before = spent.leader_epoch_before(next).or(self.epoch_before);
                self.passed |= next > self.position;
                self.position = self.position.max(next);
                self.queued_bytes -= spent.chunk().bytes.len();
                self.spent.push(spent.into_chunk());
            }
        }
        match &mut self.front {
            Some(cursor) => Ok(cursor.peek_record()?),
            None => Ok(None),
        }
    }

    /// True when the chunk in front holds another record.
    #[inline]
    pub(crate) fn has_next(&self) -> bool {
        (self.front.as_ref()).is_some_and(ChunkCursor::has_next_in_batch)
    }

    /// What the next records will ask a store for, and how many records these are; of one batch at most.
    pub(crate) fn keys_ahead(&mut self, asked: AskedFor) -> (KeysAhead, usize) {
        let Self { front, row_key, .. } = self;
        let mut keys = KeysAhead::default();
        let push = |key: &[u8], timestamp: i64| match asked {
            AskedFor::Row | AskedFor::Rows => keys.push(key),
            AskedFor::Window(size_ms) => {
                window::key(key, timestamp / size_ms * size_ms, 0, row_key);
                keys.push(row_key);
            }
        };
        let cursor = front.as_ref();
        let records = cursor.map_or(0, |cursor| cursor.keys_ahead(KEYS_AHEAD_MAX, push));
        (keys, records)
    }

    /// Takes the record that `peek` showed.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Step<Option<RecordRef<'_>>> {
        match &mut self.front {
            Some(cursor) => {
                let record = cursor.next_record().map_err(Error::from)?;
                if let Some(record) = &record {
                    self.position = record.offset + 1;
                    self.head_time = None;
                }
                Ok(record)
            }
            None => Ok(None),
        }
    }

    /// True while others wait for what may still come, at most `idle_ms_max` after its end was reached.
    pub(crate) fn idles(&mut self, now_ms: i64, idle_ms_max: i64) -> bool {
        let until = *self
            .idle_until
            .get_or_insert(now_ms.saturating_add(idle_ms_max));
        now_ms < until
    }

    /// True when nothing waits although the log is known, or may be, further on.
    pub(crate) fn awaits_data(&self) -> bool {
        self.end.is_none_or(|end| self.fetch_position < end)
    }
}
