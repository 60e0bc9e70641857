//! Keeps the records of one side of a join for the other side to find (`KStreamJoinWindow`): `key | time (8) | number (4)`.
//! Not the join. Invariant: a record goes on first and is kept afterwards.

use crate::Result;
use crate::format::FormatOf;
use crate::operator::encode_key;
use crate::task::{Context, Outputs, ReceiveRecord, Scratch};
use crate::{Error, Headers, Record};
use headwater_store::{Direction, KeyRange};
use std::ops::ControlFlow;
use std::{cell::Cell, sync::Arc};

/// Numbers of duplicates stay positive in Java's int.
const NUMBER_MASK: u32 = 0x7fff_ffff;

pub(crate) struct Keep<K, V> {
    pub(crate) key: FormatOf<K>,
    pub(crate) value: FormatOf<V>,
    pub(crate) store: usize,
    /// The changelog's name.
    pub(crate) topic: Arc<str>,
    /// The mark with the largest time kept.
    pub(crate) observed: usize,
    /// Values have their time in front.
    pub(crate) timestamped: bool,
    /// The mark with the number given last: records of equal key and time stay in their order across a restart.
    pub(crate) last_number: usize,
    /// Java: a restart numbers from 1 again, over records with equal key and time.
    pub(crate) overwrites: bool,
    /// Java's store in memory takes the time of tombstones too.
    pub(crate) observes_tombstones: bool,
    pub(crate) outputs: Outputs<K, V>,
    pub(crate) number: Cell<u32>,
    /// The largest time kept before this start; `None` until the first record.
    pub(crate) restored: Cell<Option<i64>>,
    pub(crate) key_bytes: Scratch,
    pub(crate) value_bytes: Scratch,
}

impl<K: Clone, V: Clone> ReceiveRecord<K, V> for Keep<K, V> {
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let mut key = self.key_bytes.take();
        if !encode_key(&self.key, &self.topic, &record.key, &mut key)? {
            self.key_bytes.give(key);
            return self.outputs.send(ctx, record);
        }
        let mut value = self.value_bytes.take();
        // Its failure counts after the record has gone on, where Java meets it.
        if self.timestamped {
            value.extend_from_slice(&record.timestamp.to_be_bytes());
        }
        let present = self.encode(record.value.as_ref(), &mut value);
        let (time, headers) = (record.timestamp, record.headers.clone());
        self.outputs.send(ctx, record)?;
        let value_bytes = present?.then_some(value.as_slice());
        self.keep(ctx, &mut key, value_bytes, time, &headers)?;
        self.key_bytes.give(key);
        self.value_bytes.give(value);
        Ok(())
    }
}

impl<K, V> Keep<K, V> {
    fn encode(&self, value: Option<&V>, bytes: &mut Vec<u8>) -> Result<bool> {
        let Some(value) = value.filter(|value| !self.value.is_null(value)) else {
            return Ok(false);
        };
        self.value
            .encode(&self.topic, &mut Headers::default(), value, bytes)
            .map_err(|error| Error::format(&self.topic, &error))?;
        Ok(true)
    }

    /// The largest time kept before this start, -1 without any. Java leaves no mark of it: then any time may have been.
    fn begin(&self, ctx: &mut Context<'_>) -> Result<i64> {
        let mut restored = ctx.state.marks.get(self.observed);
        if restored < 0 {
            let store = &ctx.state.store(self.store).bytes;
            store.scan(KeyRange::ALL, Direction::Forward, &mut |_, _| {
                restored = i64::MAX;
                ControlFlow::Break(())
            })?;
        }
        if !self.overwrites {
            let last = ctx.state.marks.get(self.last_number);
            self.number.set(u32::try_from(last).unwrap_or(0));
        }
        self.restored.set(Some(restored));
        Ok(restored)
    }

    /// `key` becomes the store's key. A tombstone leaves nothing but its record in the changelog.
    fn keep(
        &self,
        ctx: &mut Context<'_>,
        key: &mut Vec<u8>,
        value: Option<&[u8]>,
        time: i64,
        headers: &Headers,
    ) -> Result<()> {
        let restored = match self.restored.get() {
            Some(restored) => restored,
            None => self.begin(ctx)?,
        };
        if value.is_some() || self.observes_tombstones {
            let observed = ctx.state.marks.get(self.observed).max(time);
            ctx.state.marks.set(self.observed, observed);
            let settled = ctx.state.closing.settled(observed);
            ctx.state.store(self.store).observed_time = settled;
        }
        let plain = key.len();
        loop {
            let number = (self.number.get() + 1) & NUMBER_MASK;
            self.number.set(number);
            key.truncate(plain);
            key.extend_from_slice(&time.to_be_bytes());
            key.extend_from_slice(&number.to_be_bytes());
            // Only records kept before this start may have the number.
            if time > restored || self.overwrites || !ctx.holds(self.store, key)? {
                break;
            }
        }
        if !self.overwrites {
            let number = i64::from(self.number.get());
            ctx.state.marks.set(self.last_number, number);
        }
        let headers = (headers, headers.as_ref());
        Ok(ctx.write_with_headers(self.store, key, value, time, headers)?)
    }
}
