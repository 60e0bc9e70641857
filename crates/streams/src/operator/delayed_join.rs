//! A join of a stream with a table of versions that waits for the table (`KStreamKTableJoinProcessor` with a buffer,
//! `RocksDBTimeOrderedKeyValueBuffer`, KIP-923): records lie in a store until stream time has passed theirs by the grace.
//! Not a window: each record leaves once. Invariant: what waits is in the store and its changelog, in the order of its time.
//!
//! ```text
//! key: 0 (1) | timestamp (8) | key | sequence number (4)      value: as a suppressed row, with the new value only
//! ```

use super::suppress::row::{self, Origin, Row, Values};
use super::{ObservedTime, TableJoin};
use crate::format::FormatOf;
use crate::task::{
    Advance, Context, Meta, Punctuate, Punctuation, ReceiveRecord, Scratch, caught, fail,
};
use crate::topology::OnError;
use crate::{Error, Headers, Position, Record, Result};
use headwater_log::HeadersRef;
use headwater_store::{Direction, KeyRange};
use std::ops::{Bound, ControlFlow};
use std::{cell::Cell, rc::Rc, sync::Arc};

/// The first byte of every key (`TimeFirstWindowKeySchema`).
const TIME_FIRST: u8 = 0;
/// `0 (1) | timestamp (8)`.
const PREFIX_BYTES: usize = 9;
const SEQUENCE_BYTES: usize = 4;
/// The producer stamps changelog records, as Kafka Streams leaves it to do.
const NO_TIMESTAMP: i64 = -1;
/// Rows that one scan of the store copies.
const ROWS_PER_SCAN_MAX: usize = 64;

pub(crate) struct DelayedJoin<K, V, R, O> {
    pub(crate) join: TableJoin<K, V, R, O>,
    pub(crate) store: usize,
    /// The operator's name; formats are told it as their topic.
    pub(crate) name: Arc<str>,
    pub(crate) value: FormatOf<V>,
    pub(crate) grace_ms: i64,
    pub(crate) on_error: OnError,
    /// Kafka Streams' own semantics: a null key is an error.
    pub(crate) java: bool,
    /// Of the records that came to wait.
    pub(crate) observed_time: ObservedTime,
    /// No row has an earlier time.
    pub(crate) first_time: Cell<i64>,
    /// Of the row put last, so that equal records of equal time lie side by side.
    pub(crate) sequence: Cell<u32>,
    /// Rows are leaving: what comes in the midst of it only joins the queue.
    pub(crate) releasing: Cell<bool>,
    pub(crate) key_bytes: Scratch,
    pub(crate) value_bytes: Scratch,
    pub(crate) row: Scratch,
}

/// Shares one operator between the edge that feeds it and the task that opens it and tells it the time.
pub(crate) struct DelayedJoinNode<K, V, R, O>(pub(crate) Rc<DelayedJoin<K, V, R, O>>);

/// The time and the key's bytes in a row's key; `None` for what is no such key.
pub(crate) fn parse_key(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (prefix, rest) = bytes.split_at_checked(PREFIX_BYTES)?;
    let time = i64::from_be_bytes(*prefix[1..].first_chunk()?);
    let key = rest.get(..rest.len().checked_sub(SEQUENCE_BYTES)?)?;
    (prefix[0] == TIME_FIRST).then_some((time, key))
}

impl<K, V, R, O> ReceiveRecord<K, V> for DelayedJoinNode<K, V, R, O>
where
    K: Clone,
    O: Clone,
{
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let Self(delayed) = self;
        if !delayed.join.takes(&record.key, record.value.as_ref()) {
            ctx.drop_record();
            return Ok(());
        }
        if delayed.join.key.is_null(&record.key) {
            // No update of the table can change its answer.
            return match delayed.java {
                true => Err(Error::failed("key cannot be null")),
                false => delayed.answer(ctx, record),
            };
        }
        if record.timestamp < delayed.due(ctx) {
            return delayed.answer(ctx, record);
        }
        delayed.observed_time.observe(ctx, record.timestamp);
        delayed.put(ctx, &record)?;
        delayed.release(ctx)
    }
}

impl<K, V, R, O> DelayedJoin<K, V, R, O>
where
    K: Clone,
    O: Clone,
{
    /// Rows up to this time have waited long enough.
    fn due(&self, ctx: &Context<'_>) -> i64 {
        let observed = self.observed_time.get(ctx);
        let time = ctx.state.closing.settled(observed);
        time.saturating_sub(self.grace_ms)
    }

    fn answer(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let (key, value, mut meta) = record.into_parts();
        Ok(self.join.answer(ctx, key, value, &mut meta)?)
    }

    fn put(&self, ctx: &mut Context<'_>, record: &Record<K, V>) -> Result<()> {
        let Some(value) = &record.value else {
            return Ok(());
        };
        let sequence = self.sequence.get().wrapping_add(1) & 0x7fff_ffff;
        self.sequence.set(sequence);
        let error = |error| Error::format(&self.name, &error);
        let mut key = self.key_bytes.take();
        key.push(TIME_FIRST);
        key.extend_from_slice(&record.timestamp.to_be_bytes());
        let mut headers = Headers::default();
        let encoded = self
            .join
            .key
            .encode(&self.name, &mut headers, &record.key, &mut key);
        encoded.map_err(error)?;
        key.extend_from_slice(&sequence.to_be_bytes());
        let mut bytes = self.value_bytes.take();
        let encoded = self
            .value
            .encode(&self.name, &mut headers, value, &mut bytes);
        encoded.map_err(error)?;
        let Position {
            topic,
            partition,
            offset,
        } = record.position;
        let mut row = self.row.take();
        {
            let topics = &ctx.state.topics;
            let origin = Origin {
                timestamp: record.timestamp,
                offset,
                topic: topics.get(topic as usize).map_or("", |topic| topic),
                partition,
                headers: record.headers.as_ref(),
            };
            let values = Values {
                new: Some(&bytes),
                ..Values::default()
            };
            row::encode(&mut row, &origin, values, 0);
        }
        ctx.write(self.store, &key, Some(&row), NO_TIMESTAMP)?;
        let first = self.first_time.get().min(record.timestamp);
        self.first_time.set(first);
        self.key_bytes.give(key);
        self.value_bytes.give(bytes);
        self.row.give(row);
        Ok(())
    }

    /// Joins what has waited long enough, by time.
    fn release(&self, ctx: &mut Context<'_>) -> Result<()> {
        if self.releasing.get() || self.due(ctx) < self.first_time.get() {
            return Ok(());
        }
        self.releasing.set(true);
        let released = self.release_due(ctx);
        self.releasing.set(false);
        released
    }

    fn release_due(&self, ctx: &mut Context<'_>) -> Result<()> {
        loop {
            let rows = self.take_due(ctx)?;
            for (key, row) in &rows {
                self.emit(ctx, key, row)?;
                // It leaves only when it has been answered.
                ctx.write(self.store, key, None, NO_TIMESTAMP)?;
            }
            if rows.len() < ROWS_PER_SCAN_MAX {
                return Ok(());
            }
        }
    }

    /// Copies the first rows that are due, and notes when the next one is.
    fn take_due(&self, ctx: &mut Context<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let due = self.due(ctx);
        let mut first = [0; PREFIX_BYTES];
        first[1..].copy_from_slice(&self.first_time.get().max(0).to_be_bytes());
        let range = KeyRange {
            from: Bound::Included(&first),
            to: Bound::Unbounded,
        };
        let (mut rows, mut next) = (Vec::new(), i64::MAX);
        ctx.scan(self.store, range, Direction::Forward, &mut |key, row| {
            let time = parse_key(key).map_or(i64::MIN, |(time, _)| time);
            if time > due || rows.len() == ROWS_PER_SCAN_MAX {
                next = time;
                return ControlFlow::Break(());
            }
            rows.push((key.to_vec(), row.to_vec()));
            ControlFlow::Continue(())
        })?;
        self.first_time.set(next);
        Ok(rows)
    }

    /// Joins one row. A closure that fails on it meets the policy here: the record at hand is another.
    fn emit(&self, ctx: &mut Context<'_>, key: &[u8], bytes: &[u8]) -> Result<()> {
        let record = self.record(ctx, key, bytes)?;
        if self.on_error.aborts() {
            return self.answer(ctx, record);
        }
        let failed = Meta::of(&record);
        let Err(error) = caught(|| self.answer(ctx, record)) else {
            return Ok(());
        };
        ctx.state.failed.forget();
        fail(ctx, &self.on_error, &self.name, error, &failed)
    }

    fn record(&self, ctx: &Context<'_>, key: &[u8], bytes: &[u8]) -> Result<Record<K, V>> {
        let error = |error| Error::format(&self.name, &error);
        let found = parse_key(key).zip(Row::decode(bytes));
        let Some(((_, key), row)) = found else {
            return Err(self.damaged(ctx));
        };
        let headers: HeadersRef<'_> = row.headers.as_ref();
        let key = self.join.key.decode(&self.name, headers, key);
        let value = row.values.new;
        let value = value.map(|bytes| self.value.decode(&self.name, headers, bytes));
        Ok(Record {
            key: key.map_err(error)?,
            value: value.transpose().map_err(error)?,
            timestamp: row.timestamp,
            position: row.position(&ctx.state.topics),
            headers: row.headers,
        })
    }

    #[cold]
    fn damaged(&self, ctx: &Context<'_>) -> Error {
        let store = ctx.state.stores[self.store].as_ref();
        Error::Store(headwater_store::Error::Format {
            store: store.map_or("", |store| &store.name).into(),
            message: "it holds a row that no join with grace wrote; reset the store's changelog"
                .into(),
        })
    }
}

impl<K, V, R, O> Advance for DelayedJoin<K, V, R, O>
where
    K: Clone,
    O: Clone,
{
    fn advance(&self, ctx: &mut Context<'_>) -> Result<()> {
        self.release(ctx)
    }
}

/// After a restart it knows what waits. Kafka Streams numbers from 1 again, and may overwrite a row that waits.
impl<K, V, R, O> Punctuate for DelayedJoin<K, V, R, O> {
    fn open(&self, ctx: &mut Context<'_>, _: usize) -> Result<()> {
        let (mut first, mut sequence) = (i64::MAX, 0);
        ctx.scan(
            self.store,
            KeyRange::ALL,
            Direction::Forward,
            &mut |key, _| {
                first = first.min(parse_key(key).map_or(i64::MIN, |(time, _)| time));
                let number = key.last_chunk().map_or(0, |last| u32::from_be_bytes(*last));
                sequence = sequence.max(number);
                ControlFlow::Continue(())
            },
        )?;
        self.first_time.set(first);
        self.sequence.set(sequence);
        Ok(())
    }

    fn punctuate(&self, _: &mut Context<'_>, _: Punctuation) -> Result<()> {
        Ok(())
    }

    fn close(&self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}
