//! What the other side of a join has kept, as one side looks it up. Not a view for other threads.
//! Invariant: partners come by time, then in the order in which they were kept.

use crate::Result;
use crate::task::{Buffer, Context, Scratch};
use headwater_store::{Direction, KeyRange, ReadBytes, window};
use std::ops::ControlFlow;
use std::sync::Arc;

pub(crate) struct OtherSide {
    pub(crate) store: usize,
    /// The changelog's name.
    pub(crate) topic: Arc<str>,
    pub(crate) retention_ms: i64,
    /// The mark with the largest time kept.
    pub(crate) observed: usize,
    pub(crate) from: Scratch,
    pub(crate) to: Scratch,
    pub(crate) found: Scratch,
}

/// Partners in bytes: `time (8) | length (4) | value`, one after the other.
pub(crate) struct Partners(Buffer);

impl Partners {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &[u8])> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (time, tail) = rest.split_first_chunk::<8>()?;
            let (len, tail) = tail.split_first_chunk::<4>()?;
            let (value, tail) = tail.split_at(u32::from_be_bytes(*len) as usize);
            rest = tail;
            Some((i64::from_be_bytes(*time), value))
        })
    }
}

impl OtherSide {
    /// Those of `key` between two times, both included, that are not beyond retention.
    pub(crate) fn fetch(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        (from_ms, to_ms): (i64, i64),
    ) -> Result<Partners> {
        let mut found = self.found.take();
        // What upstream tasks may still send must meet what it would have met in order.
        let observed = ctx.state.marks.get(self.observed);
        let observed = ctx.state.closing.settled(observed);
        let expired = observed.saturating_sub(self.retention_ms);
        let from_ms = from_ms.max(expired.saturating_add(1));
        if to_ms < from_ms {
            return Ok(Partners(found));
        }
        let (mut from, mut to) = (self.from.take(), self.to.take());
        window::key(key, from_ms, 0, &mut from);
        window::key(key, to_ms, u32::MAX, &mut to);
        let store = ctx.state.store(self.store);
        let (mut buffer, mut failure) = (Vec::new(), None);
        let front = if store.timestamped { 8 } else { 0 };
        let range = KeyRange::inclusive(&from, &to);
        store.bytes.scan_key(
            key,
            range,
            from_ms..=to_ms,
            Direction::Forward,
            &mut |bytes, value| {
                // Keys that begin with this one lie between the bounds too.
                if let Some((found_key, time, _)) = window::parse(bytes)
                    && found_key == key
                    && (from_ms..=to_ms).contains(&time)
                {
                    let value = match store.kept.unpacked(&store.name, value, &mut buffer) {
                        Ok(value) => value.get(front..).unwrap_or_default(),
                        Err(error) => {
                            failure = Some(error);
                            return ControlFlow::Break(());
                        }
                    };
                    found.extend_from_slice(&time.to_be_bytes());
                    found.extend_from_slice(&(value.len() as u32).to_be_bytes());
                    found.extend_from_slice(value);
                }
                ControlFlow::Continue(())
            },
        )?;
        self.from.give(from);
        self.to.give(to);
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(Partners(found)),
        }
    }

    /// Gives the buffer of what was fetched back.
    pub(crate) fn give(&self, partners: Partners) {
        self.found.give(partners.0);
    }
}
