//! Holding a table's updates back until a time limit or until their windows have closed (`KTableSuppressProcessor`).
//! Not an aggregation: of each key the last update leaves. Invariant: what is held back is in the buffer's store with each
//! commit, so that a restart loses none of it and sends none of it twice.

mod buffer;
pub(crate) mod row;

pub(crate) use buffer::Buffer;
pub(crate) use row::Row as HeldRow;

use super::ObservedTime;
use crate::format::FormatOf;
use crate::task::{Advance, Context, Outputs, ReceiveRecord, Row, Rows, Scratch};
use crate::{Change, Error, Headers, Position, Record, Result};
use row::{Origin, Values};
use std::{rc::Rc, sync::Arc};

/// What happens when a bound is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    EmitEarly,
    ShutDown,
}

/// When rows leave, and how many may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// A row leaves once stream time is this far beyond its time.
    pub(crate) wait_ms: i64,
    pub(crate) records_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) when_full: WhenFull,
    /// Windows that ended without a result have sent none before either: their tombstones say nothing.
    pub(crate) drops_tombstones: bool,
}

pub(crate) struct Suppression<K, V, T> {
    pub(crate) name: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) key: FormatOf<K>,
    pub(crate) value: FormatOf<V>,
    pub(crate) rule: Rule,
    /// An update says what downstream has, and not what was there before the last update, as in Kafka Streams: where updates are
    /// undone, such as in a grouped table, values would be taken off that were never put on.
    pub(crate) sends_prior: bool,
    /// A full buffer stops the application whatever becomes of records that fail.
    pub(crate) full_stops: bool,
    pub(crate) buffer: Rc<Buffer>,
    /// The time of a row: `(key, timestamp)`.
    pub(crate) time: T,
    pub(crate) observed_time: ObservedTime,
    pub(crate) outputs: Outputs<K, Change<V>>,
    pub(crate) key_bytes: Scratch,
    pub(crate) old_bytes: Scratch,
    pub(crate) new_bytes: Scratch,
}

/// A suppression as its node and the task's clock share it.
pub(crate) struct Shared<K, V, T>(pub(crate) Rc<Suppression<K, V, T>>);

impl<K, V, T> Advance for Suppression<K, V, T>
where
    K: Clone + 'static,
    V: Clone + 'static,
    T: Fn(&K, i64) -> i64,
{
    fn advance(&self, ctx: &mut Context<'_>) -> Result<()> {
        self.release_due(ctx)
    }
}

impl<K, V, T> ReceiveRecord<K, Change<V>> for Shared<K, V, T>
where
    K: Clone + 'static,
    V: Clone + 'static,
    T: Fn(&K, i64) -> i64,
{
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, Change<V>>) -> Result<()> {
        let Self(suppression) = self;
        suppression.observed_time.observe(ctx, record.timestamp);
        suppression.hold(ctx, &record)?;
        suppression.release_due(ctx)?;
        if !suppression.is_full() {
            return Ok(());
        }
        match suppression.rule.when_full {
            WhenFull::EmitEarly => suppression.release(ctx, None),
            WhenFull::ShutDown => Err(suppression.full()),
        }
    }
}

impl<K, V, T> Suppression<K, V, T>
where
    K: Clone + 'static,
    V: Clone + 'static,
    T: Fn(&K, i64) -> i64,
{
    fn release_due(&self, ctx: &mut Context<'_>) -> Result<()> {
        let observed = self.observed_time.get(ctx);
        let time = ctx.state.closing.settled(observed);
        self.release(ctx, Some(time.saturating_sub(self.rule.wait_ms)))
    }

    fn hold(&self, ctx: &mut Context<'_>, record: &Record<K, Change<V>>) -> Result<()> {
        let Some(change) = &record.value else {
            return Ok(());
        };
        let mut key = self.key_bytes.take();
        if !super::encode_key(&self.key, &self.topic, &record.key, &mut key)? {
            ctx.drop_record();
            return Ok(());
        }
        let (mut old, mut new) = (self.old_bytes.take(), self.new_bytes.take());
        let has_old = self.encode(change.old.as_ref(), &mut old)?;
        let has_new = self.encode(change.new.as_ref(), &mut new)?;
        let Position {
            topic,
            partition,
            offset,
        } = record.position;
        let topics = ctx.state.topics.clone();
        let origin = Origin {
            timestamp: record.timestamp,
            offset,
            topic: topics.get(topic as usize).map_or("", |topic| topic),
            partition,
            headers: record.headers.as_ref(),
        };
        let time = (self.time)(&record.key, record.timestamp);
        let values = (
            has_old.then_some(old.as_slice()),
            has_new.then_some(new.as_slice()),
        );
        self.buffer.put(ctx, &key, time, &origin, values)?;
        self.key_bytes.give(key);
        self.old_bytes.give(old);
        self.new_bytes.give(new);
        Ok(())
    }

    /// Appends a value's bytes; false for null.
    fn encode(&self, value: Option<&V>, bytes: &mut Vec<u8>) -> Result<bool> {
        let Some(value) = value.filter(|value| !self.value.is_null(value)) else {
            return Ok(false);
        };
        self.value
            .encode(&self.topic, &mut Headers::default(), value, bytes)
            .map_err(|error| Error::format(&self.topic, &error))?;
        Ok(true)
    }

    fn is_full(&self) -> bool {
        self.buffer.len() > self.rule.records_max || self.buffer.counted() > self.rule.bytes_max
    }

    /// Sends on what is due at `time`; without one, the first rows until the bounds hold.
    fn release(&self, ctx: &mut Context<'_>, time: Option<i64>) -> Result<()> {
        while time.is_some() || self.is_full() {
            let Some(key) = self.buffer.first(ctx, time)? else {
                break;
            };
            let record = self
                .buffer
                .with(ctx, &key, |ctx, row| self.record(ctx, &key, row))?;
            // It leaves only when it has been sent: until then the table's rows are as they were.
            if let Some(record) = record.flatten() {
                self.outputs.send(ctx, record)?;
            }
            self.buffer.remove(&key);
        }
        Ok(())
    }

    /// The record of a row; `None` when nothing is to be sent.
    fn record(
        &self,
        ctx: &Context<'_>,
        key: &[u8],
        row: &HeldRow<'_>,
    ) -> Result<Option<Record<K, Change<V>>>> {
        let Values { prior, old, new } = row.values;
        if self.rule.drops_tombstones && new.is_none() {
            return Ok(None);
        }
        let error = |error| Error::format(&self.topic, &error);
        let value = |bytes: Option<&[u8]>| {
            let headers = row.headers.as_ref();
            let decode = |bytes| self.value.decode(&self.topic, headers, bytes);
            bytes.map(decode).transpose().map_err(error)
        };
        let key = self.key.decode(&self.topic, row.headers.as_ref(), key);
        let change = Change {
            new: value(new)?,
            old: value(if self.sends_prior { prior } else { old })?,
            is_latest: true,
        };
        Ok(Some(Record {
            key: key.map_err(error)?,
            value: Some(change),
            timestamp: row.timestamp,
            headers: row.headers.clone(),
            position: row.position(&ctx.state.topics),
        }))
    }

    #[cold]
    fn full(&self) -> Error {
        let bound = |name: &str, is: usize, max: usize, unit: &str| match max {
            usize::MAX => format!("{is} {unit}"),
            max => format!("{is} {unit} of {name}({max})"),
        };
        let rows = bound(
            "max_records",
            self.buffer.len(),
            self.rule.records_max,
            "rows",
        );
        let bytes = bound(
            "max_bytes",
            self.buffer.counted(),
            self.rule.bytes_max,
            "bytes",
        );
        Error::Processor {
            // Named here it is no failure of a record, which policies pass over. In Kafka Streams it is one.
            node: match self.full_stops {
                true => self.name.to_string(),
                false => String::new(),
            },
            reason: format!(
                "its buffer is full: it holds {rows} and {bytes}; give Suppress a higher bound or a shorter time, or let rows leave \
                 early with Suppress::emit_early_when_full. Memory needs no such bound: see Suppress::memory_bytes_max"
            ),
        }
    }
}

/// The rows of a suppressed table as downstream knows them: of what is held back, the prior ones.
pub(crate) struct SuppressedRows<K, V> {
    pub(crate) topic: Arc<str>,
    pub(crate) key: FormatOf<K>,
    pub(crate) value: FormatOf<V>,
    pub(crate) buffer: Rc<Buffer>,
    pub(crate) parent: Rc<dyn Rows<K, V>>,
    pub(crate) key_bytes: Scratch,
}

impl<K, V> Rows<K, V> for SuppressedRows<K, V> {
    fn get(&self, ctx: &mut Context<'_>, key: &K) -> Result<Option<Row<V>>> {
        let mut bytes = self.key_bytes.take();
        if !super::encode_key(&self.key, &self.topic, key, &mut bytes)? {
            return Ok(None);
        }
        let prior = self.buffer.with(ctx, &bytes, |_, row| {
            let headers = row.headers.as_ref();
            let decode = |prior| self.value.decode(&self.topic, headers, prior);
            let prior = row.values.prior.map(decode).transpose();
            prior.map_err(|error| Error::format(&self.topic, &error))
        })?;
        self.key_bytes.give(bytes);
        match prior {
            // The time of the prior row is not known.
            Some(prior) => Ok(prior.map(|value| Row {
                value,
                timestamp: -1,
            })),
            None => self.parent.get(ctx, key),
        }
    }
}
