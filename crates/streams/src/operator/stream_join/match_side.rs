//! One side of a join of streams (`KStreamKStreamJoin`): each record looks for partners on the other side. Not what keeps the
//! record: that is in front.
//! Invariant: within a record first what has waited in vain is emitted, then what it meets; it waits only if it meets nothing.

use super::other_side::Partners;
use super::unmatched::ClosedValue;
use super::{JoinOf, OtherSide, Unmatched};
use crate::dsl::JoinWindows;
use crate::format::FormatOf;
use crate::operator::{decode, encode_key};
use crate::task::{Advance, Context, Input, Meta, Outputs, Receive, ReceiveRecord, Scratch, Step};
use crate::{Error, Headers, Position, Record, Result};
use std::{rc::Rc, sync::Arc};

/// `T` are the values of this side, `O` those of the other.
pub(crate) struct MatchSide<K, T, O, J> {
    pub(crate) key: FormatOf<K>,
    pub(crate) value: FormatOf<T>,
    pub(crate) other_value: FormatOf<O>,
    /// As this side sees them.
    pub(crate) windows: JoinWindows,
    pub(crate) other: OtherSide,
    /// Whether this side's records that meet nothing are results.
    pub(crate) keeps_unmatched: bool,
    /// Of left and outer joins.
    pub(crate) unmatched: Option<Unmatched>,
    /// Takes values of either side that have met nothing.
    pub(crate) found: Input<K, Found<T, O>>,
    pub(crate) joiner: JoinOf<K, T, O, J>,
    pub(crate) outputs: Outputs<K, J>,
    pub(crate) key_bytes: Scratch,
    pub(crate) value_bytes: Scratch,
}

/// The record that closed windows, or none.
struct Cause<'a> {
    headers: &'a Headers,
    position: Position,
    timestamp: i64,
}

/// Shares a side between the edge that feeds it and the task that tells it the time.
pub(crate) struct SharedSide<K, T, O, J>(pub(crate) Rc<MatchSide<K, T, O, J>>);

impl<K: Clone, T, O, J: Clone> ReceiveRecord<K, T> for SharedSide<K, T, O, J> {
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, T>) -> Result<()> {
        self.0.receive_record(ctx, record)
    }
}

/// Upstream tasks have reached a later time: no record need come for windows to close.
impl<K: Clone, T, O, J: Clone> Advance for MatchSide<K, T, O, J> {
    fn advance(&self, ctx: &mut Context<'_>) -> Result<()> {
        let Some(unmatched) = &self.unmatched else {
            return Ok(());
        };
        let stream_time = unmatched.closing_time(ctx);
        let cause = Cause {
            headers: &Headers::default(),
            position: Position::NONE,
            timestamp: stream_time,
        };
        self.emit_closed(ctx, unmatched, &cause, stream_time)
    }
}

/// A value that has met nothing while its window was open.
pub(crate) enum Found<T, O> {
    This(T),
    Other(O),
}

/// Joins such values with nothing. An operator of its own, so that one that fails is passed over alone.
pub(crate) struct JoinNothing<K, T, O, J> {
    pub(crate) joiner: JoinOf<K, T, O, J>,
    pub(crate) outputs: Outputs<K, J>,
}

impl<K: Clone, T, O, J: Clone> Receive<K, Found<T, O>> for JoinNothing<K, T, O, J> {
    fn receive(
        &self,
        ctx: &mut Context<'_>,
        key: K,
        value: Option<Found<T, O>>,
        meta: &mut Meta,
    ) -> Step {
        let joined = match &value {
            Some(Found::This(value)) => (self.joiner)(&key, Some(value), None),
            Some(Found::Other(value)) => (self.joiner)(&key, None, Some(value)),
            None => return Ok(()),
        };
        self.outputs.pass(ctx, key, joined, meta)
    }
}

impl<K: Clone, T, O, J: Clone> ReceiveRecord<K, T> for MatchSide<K, T, O, J> {
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, T>) -> Result<()> {
        let time = record.timestamp;
        let mut stream_time = time;
        if let Some(unmatched) = &self.unmatched {
            unmatched.observe(ctx, time);
            stream_time = unmatched.closing_time(ctx);
        }
        if record.value.is_none() {
            ctx.drop_record();
            return Ok(());
        }
        let mut key = self.key_bytes.take();
        if !encode_key(&self.key, &self.other.topic, &record.key, &mut key)? {
            self.key_bytes.give(key);
            return self.without_key(ctx, record);
        }
        if let Some(unmatched) = &self.unmatched
            && unmatched.closes_at(time, stream_time)
        {
            let cause = Cause {
                headers: &record.headers,
                position: record.position,
                timestamp: time,
            };
            self.emit_closed(ctx, unmatched, &cause, stream_time)?;
        }
        let partners = self.other.fetch(ctx, &key, self.windows.around(time))?;
        if !partners.is_empty() {
            self.meet(ctx, record, &key, &partners)?;
        } else if self.keeps_unmatched {
            self.wait(ctx, record, &key, stream_time)?;
        }
        self.other.give(partners);
        self.key_bytes.give(key);
        Ok(())
    }
}

impl<K: Clone, T, O, J: Clone> MatchSide<K, T, O, J> {
    /// A record without a key meets nothing (KIP-962).
    fn without_key(&self, ctx: &mut Context<'_>, record: Record<K, T>) -> Result<()> {
        if !self.keeps_unmatched {
            ctx.drop_record();
            return Ok(());
        }
        self.alone(ctx, record)
    }

    /// Sends what becomes of a record that meets nothing.
    fn alone(&self, ctx: &mut Context<'_>, record: Record<K, T>) -> Result<()> {
        let joined = (self.joiner)(&record.key, record.value.as_ref(), None);
        self.outputs.send(ctx, record.with_value(joined))
    }

    fn meet(
        &self,
        ctx: &mut Context<'_>,
        record: Record<K, T>,
        key: &[u8],
        partners: &Partners,
    ) -> Result<()> {
        let time = record.timestamp;
        let mut partners = partners.iter().peekable();
        while let Some((other_time, bytes)) = partners.next() {
            if let Some(unmatched) = &self.unmatched {
                unmatched.matched(ctx, key, other_time, time)?;
            }
            let other = decode(&self.other_value, &self.other.topic, bytes)?;
            let joined = (self.joiner)(&record.key, record.value.as_ref(), Some(&other));
            let timestamp = time.max(other_time);
            if partners.peek().is_none() {
                let mut joined = record.with_value(joined);
                joined.timestamp = timestamp;
                return self.outputs.send(ctx, joined);
            }
            let joined = Record {
                key: record.key.clone(),
                value: joined,
                timestamp,
                headers: record.headers.clone(),
                position: record.position,
            };
            self.outputs.send(ctx, joined)?;
        }
        Ok(())
    }

    /// A record that has met nothing waits for what may still come, unless it is too late for that.
    fn wait(
        &self,
        ctx: &mut Context<'_>,
        record: Record<K, T>,
        key: &[u8],
        stream_time: i64,
    ) -> Result<()> {
        let waits = self
            .unmatched
            .as_ref()
            .filter(|unmatched| !unmatched.is_late(record.timestamp, stream_time));
        let Some(unmatched) = waits else {
            return self.alone(ctx, record);
        };
        let Some(value) = &record.value else {
            return Ok(());
        };
        let mut bytes = self.value_bytes.take();
        self.value
            .encode(&unmatched.topic, &mut Headers::default(), value, &mut bytes)
            .map_err(|error| Error::format(&unmatched.topic, &error))?;
        unmatched.add(ctx, key, record.timestamp, &bytes)?;
        self.value_bytes.give(bytes);
        Ok(())
    }

    /// Sends what has waited in vain, in the order of time, side and key. A row goes once its last value was sent, so that
    /// the changelog never says so before the output does.
    fn emit_closed(
        &self,
        ctx: &mut Context<'_>,
        unmatched: &Unmatched,
        cause: &Cause<'_>,
        stream_time: i64,
    ) -> Result<()> {
        let Some(closed) = unmatched.closed(ctx, stream_time)? else {
            return Ok(());
        };
        let mut emitted: Option<&[u8]> = None;
        for value in closed.values() {
            unmatched.emitting(&value);
            self.emit(ctx, unmatched, cause, &value)?;
            if let Some(before) = emitted.filter(|before| *before != value.store_key) {
                unmatched.delete(ctx, before, cause.timestamp)?;
            }
            emitted = Some(value.store_key);
        }
        if let Some(last) = emitted {
            unmatched.delete(ctx, last, cause.timestamp)?;
        }
        unmatched.emitted(closed);
        Ok(())
    }

    fn emit(
        &self,
        ctx: &mut Context<'_>,
        unmatched: &Unmatched,
        cause: &Cause<'_>,
        value: &ClosedValue<'_>,
    ) -> Result<()> {
        let topic: &Arc<str> = &unmatched.topic;
        let found = if value.left == unmatched.left {
            Found::This(decode(&self.value, topic, value.value)?)
        } else {
            Found::Other(decode(&self.other_value, topic, value.value)?)
        };
        let closed = Record {
            key: decode(&self.key, topic, value.key())?,
            value: Some(found),
            timestamp: value.time,
            headers: cause.headers.clone(),
            position: cause.position,
        };
        let (key, value, mut meta) = closed.into_parts();
        Ok(self.found.receive(ctx, key, value, &mut meta)?)
    }
}
