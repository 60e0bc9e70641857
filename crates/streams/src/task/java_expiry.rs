//! Which rows of a window or session store Kafka Streams' own stores hide or have thrown away, for `Semantics::Java`: they go by
//! the times of the rows written, not by what the operator has seen, and their rules differ by kind of store.
//! Not how our stores expire. Invariant: a hidden row never shows again.

use crate::topology::Kept;
use crate::window::EmitStrategy;
use headwater_store::{Layout, session, window};

/// Whether a store is ordered by time first (`EmitStrategy.onWindowClose` of a persistent store), which has bounds of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreOrder {
    KeyFirst,
    TimeFirst,
}

impl StoreOrder {
    /// Of the store of an aggregation that emits so; a `plain` one is the application's own.
    pub(crate) fn of(emit: EmitStrategy, plain: bool) -> Self {
        match emit {
            _ if plain => Self::KeyFirst,
            EmitStrategy::OnWindowUpdate => Self::KeyFirst,
            EmitStrategy::OnWindowClose => Self::TimeFirst,
        }
    }
}

/// What `observedStreamTime` of a store does to its rows.
#[derive(Clone, Debug)]
pub(crate) struct JavaExpiry {
    session: bool,
    retention_ms: i64,
    segment_interval_ms: i64,
    in_memory: bool,
    order: StoreOrder,
    /// The record cache has an index entry beside each row's own, see `java_index`.
    indexed: bool,
    /// The latest time of a row written; -1 before the first.
    written_time: i64,
}

impl JavaExpiry {
    /// `None` for layouts without windows.
    pub(crate) fn new(
        layout: &Layout,
        in_memory: bool,
        order: StoreOrder,
        kept: Kept,
    ) -> Option<Self> {
        let (session, retention_ms, segment_interval_ms) = match *layout {
            Layout::Window {
                retention_ms,
                segment_interval_ms,
            } => (false, retention_ms, segment_interval_ms),
            Layout::Session {
                retention_ms,
                segment_interval_ms,
            } => (true, retention_ms, segment_interval_ms),
            _ => return None,
        };
        let order = match in_memory {
            true => StoreOrder::KeyFirst,
            false => order,
        };
        Some(Self {
            session,
            retention_ms,
            segment_interval_ms,
            in_memory,
            order,
            indexed: order == StoreOrder::TimeFirst && !session && kept == Kept::WithHeaders,
            written_time: -1,
        })
    }

    /// Windows are read segment by segment, and by key within one: so they are stored, on disk.
    pub(crate) fn closes_by_key(&self) -> bool {
        !self.in_memory && self.order == StoreOrder::KeyFirst
    }

    /// Sessions that are stored so cannot be read by their ends.
    pub(crate) fn refuses_close(&self) -> bool {
        self.session && self.closes_by_key()
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// Index entries are cached beside rows.
    pub(crate) fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// How much longer a cached key is than the row's: a segment's number, and in front of times that come first what tells them
    /// from an index (`PrefixedWindowKeySchemas`).
    pub(crate) fn cached_prefix_len(&self) -> usize {
        match self.order {
            StoreOrder::TimeFirst => 9,
            StoreOrder::KeyFirst => 8,
        }
    }

    pub(crate) fn order(&self) -> StoreOrder {
        self.order
    }

    /// The segment of cached rows of `time` (`segmentIntervalMs` of the store's supplier).
    pub(crate) fn cached_segment(&self, time: i64) -> i64 {
        match self.in_memory {
            true => time,
            false => time / self.segment_interval_ms,
        }
    }

    pub(crate) fn written_time(&self) -> i64 {
        self.written_time
    }

    /// A row is written; false when the store throws it away.
    pub(crate) fn write(&mut self, key: &[u8]) -> bool {
        let Some(time) = self.time(key) else {
            return true;
        };
        self.written_time = self.written_time.max(time);
        if self.in_memory {
            time > self.expired()
        } else {
            self.is_live(time)
        }
    }

    /// Reads by key and time do not see the row.
    pub(crate) fn hides(&self, key: &[u8]) -> bool {
        let Some(time) = self.time(key) else {
            return false;
        };
        match self.order {
            StoreOrder::TimeFirst if !self.session => time < self.expired(),
            _ => time <= self.expired(),
        }
    }

    /// The read of closed windows does not see the row: that of sessions asks for no more than a segment that is there.
    pub(crate) fn hides_from_close(&self, key: &[u8]) -> bool {
        match self.time(key) {
            Some(time) if self.session && !self.in_memory => !self.is_live(time),
            _ => self.hides(key),
        }
    }

    fn expired(&self) -> i64 {
        self.written_time.saturating_sub(self.retention_ms)
    }

    fn is_live(&self, time: i64) -> bool {
        time / self.segment_interval_ms >= self.expired() / self.segment_interval_ms
    }

    fn time(&self, key: &[u8]) -> Option<i64> {
        if self.session {
            session::parse(key).map(|(_, _, end)| end)
        } else {
            window::parse(key).map(|(_, start, _)| start)
        }
    }
}
