//! A stream joined with itself over one store (`KStreamKStreamSelfJoin`, KIP-862). Not for left and outer joins.
//! Invariant: a record meets the earlier ones as left and as right side, and itself once.

use super::{JoinOf, OtherSide};
use crate::dsl::JoinWindows;
use crate::format::FormatOf;
use crate::operator::{decode, encode_key};
use crate::task::{Context, Outputs, ReceiveRecord, Scratch};
use crate::{Record, Result};
use std::cell::Cell;

pub(crate) struct SelfJoin<K, V, O> {
    pub(crate) key: FormatOf<K>,
    pub(crate) value: FormatOf<V>,
    pub(crate) windows: JoinWindows,
    pub(crate) kept: OtherSide,
    pub(crate) joiner: JoinOf<K, V, V, O>,
    pub(crate) outputs: Outputs<K, O>,
    /// Java: a record at the edge of retention does not meet itself.
    pub(crate) expires_early: bool,
    pub(crate) observed_time: Cell<i64>,
    pub(crate) key_bytes: Scratch,
}

impl<K: Clone, V: Clone, O: Clone> ReceiveRecord<K, V> for SelfJoin<K, V, O> {
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let mut key = self.key_bytes.take();
        let has_key = encode_key(&self.key, &self.kept.topic, &record.key, &mut key)?;
        let Some(value) = record.value.as_ref().filter(|_| has_key) else {
            self.key_bytes.give(key);
            ctx.drop_record();
            return Ok(());
        };
        let time = record.timestamp;
        // Made first: should the closure fail on it, nothing is sent, as in Java.
        let with_itself = (self.joiner)(&record.key, Some(value), Some(value));
        let mut with_itself = Some(with_itself).filter(|_| self.meets_itself(ctx, time));
        let earlier = self.kept.fetch(ctx, &key, self.windows.around(time))?;
        for (other_time, bytes) in earlier.iter() {
            let other = decode(&self.value, &self.kept.topic, bytes)?;
            let joined = (self.joiner)(&record.key, Some(value), Some(&other));
            self.send(ctx, &record, joined, time.max(other_time))?;
        }
        self.kept.give(earlier);
        let windows = self.windows.reversed();
        let later = self.kept.fetch(ctx, &key, windows.around(time))?;
        for (other_time, bytes) in later.iter() {
            // By time: itself before what is later.
            if time < other_time
                && let Some(joined) = with_itself.take()
            {
                self.send(ctx, &record, joined, time)?;
            }
            let other = decode(&self.value, &self.kept.topic, bytes)?;
            let joined = (self.joiner)(&record.key, Some(&other), Some(value));
            self.send(ctx, &record, joined, time.max(other_time))?;
        }
        self.kept.give(later);
        self.key_bytes.give(key);
        match with_itself {
            Some(joined) => self.outputs.send(ctx, record.with_value(joined)),
            None => Ok(()),
        }
    }
}

impl<K: Clone, V, O: Clone> SelfJoin<K, V, O> {
    fn meets_itself(&self, ctx: &Context<'_>, time: i64) -> bool {
        let mut observed = self.observed_time.get().max(time);
        self.observed_time.set(observed);
        if !self.expires_early {
            observed = observed.max(ctx.state.marks.get(self.kept.observed));
        }
        let observed = ctx.state.closing.settled(observed);
        let expired = observed.saturating_sub(self.windows.retention_ms());
        if self.expires_early {
            time > expired.saturating_add(1)
        } else {
            time > expired
        }
    }

    fn send(
        &self,
        ctx: &mut Context<'_>,
        record: &Record<K, V>,
        joined: Option<O>,
        timestamp: i64,
    ) -> Result<()> {
        let joined = Record {
            key: record.key.clone(),
            value: joined,
            timestamp,
            headers: record.headers.clone(),
            position: record.position,
        };
        self.outputs.send(ctx, joined)
    }
}
