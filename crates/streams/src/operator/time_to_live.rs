//! The sweep that deletes a table's rows that have outlived their time. Not what readers see: to them such a row is gone already.
//! Invariant: a pass visits every row that was there when it began; a row that is live when it is visited stays.

use super::materialized::Materialized;
use crate::format::FormatOf;
use crate::task::{BeforeCommit, Context};
use crate::{Error, Result};
use headwater_log::HeadersRef;
use headwater_store::{Direction, KeyRange};
use std::cell::{Cell, RefCell};
use std::ops::{Bound, ControlFlow};

/// Rows that one commit's sweep reads.
const SWEEP_ROWS_MAX: usize = 16_384;
/// A pass begins once the oldest row has outlived its time by this part of it: rows that end one by one are not worth a pass each.
const LATENESS_DIVISOR: i64 = 8;

/// Sweeps one store.
pub(crate) struct Sweep<K, V> {
    rows: Materialized<K, V>,
    key: FormatOf<K>,
    limit_ms: i64,
    /// The key that the pass has come to; `None` between passes.
    reached: RefCell<Option<Vec<u8>>>,
    /// The oldest live row that this pass has met.
    oldest: Cell<i64>,
    /// Stream time at which the next pass begins.
    due: Cell<i64>,
}

impl<K: Clone + 'static, V: Clone + 'static> Sweep<K, V> {
    pub(crate) fn new(rows: Materialized<K, V>, key: FormatOf<K>, limit_ms: i64) -> Self {
        Self {
            rows,
            key,
            limit_ms,
            reached: RefCell::default(),
            oldest: Cell::new(i64::MAX),
            due: Cell::new(i64::MIN),
        }
    }

    /// Copies the rows that have outlived their time, of as many as one sweep reads; `None` as the key to go on from at the end.
    fn ended(
        &self,
        ctx: &mut Context<'_>,
        from: &[u8],
    ) -> Result<(Vec<EndedRow>, Option<Vec<u8>>)> {
        let range = KeyRange {
            from: Bound::Included(from),
            to: Bound::Unbounded,
        };
        let (mut ended, mut next, mut read) = (Vec::new(), None, 0);
        let ctx = &*ctx;
        ctx.scan(
            self.rows.store(),
            range,
            Direction::Forward,
            &mut |key, local| {
                if read == SWEEP_ROWS_MAX {
                    next = Some(key.to_vec());
                    return ControlFlow::Break(());
                }
                read += 1;
                let timestamp = local
                    .first_chunk::<8>()
                    .map(|time| i64::from_be_bytes(*time));
                match timestamp {
                    Some(timestamp) if self.rows.is_live(ctx, timestamp) => {
                        self.oldest.set(self.oldest.get().min(timestamp));
                    }
                    _ => ended.push((key.to_vec(), local.to_vec())),
                }
                ControlFlow::Continue(())
            },
        )?;
        Ok((ended, next))
    }

    fn pass_ended(&self, stream_time: i64) {
        let oldest = self.oldest.replace(i64::MAX).min(stream_time);
        let lateness = self.limit_ms / LATENESS_DIVISOR;
        self.due.set(
            oldest
                .saturating_add(self.limit_ms)
                .saturating_add(lateness.max(1)),
        );
    }
}

/// A row's key and its bytes in the store.
type EndedRow = (Vec<u8>, Vec<u8>);

impl<K: Clone + 'static, V: Clone + 'static> BeforeCommit for Sweep<K, V> {
    fn before_commit(&self, ctx: &mut Context<'_>) -> Result<()> {
        let stream_time = ctx.state.stream_time;
        let reached = self.reached.take();
        if reached.is_none() && stream_time < self.due.get() {
            return Ok(());
        }
        let (ended, next) = self.ended(ctx, &reached.unwrap_or_default())?;
        for (key_bytes, local) in ended {
            let row = self.rows.decode(&local)?;
            let topic = self.rows.topic();
            let key = self.key.decode(topic, HeadersRef::NONE, &key_bytes);
            let key = key.map_err(|error| Error::format(topic, &error))?;
            self.rows.expire(ctx, &key_bytes, key, row)?;
        }
        if next.is_none() {
            self.pass_ended(stream_time);
        }
        *self.reached.borrow_mut() = next;
        Ok(())
    }
}
