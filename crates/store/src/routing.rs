//! Which segment a key belongs to. Not the segments themselves.
//! Invariant: the segment follows from the key alone, and a later time never has a smaller segment.

use crate::{Error, Layout, Result, session, versioned, window};
use std::ops::RangeInclusive;

/// The segment of keys without a time; it never expires.
pub(crate) const TIMELESS: i64 = i64::MIN;

/// From key to segment.
#[derive(Clone, Debug)]
pub(crate) struct Routing {
    layout: Layout,
    interval_ms: i64,
}

impl Routing {
    pub(crate) fn new(layout: &Layout) -> Self {
        let interval_ms = match *layout {
            Layout::KeyValue | Layout::Lru { .. } => 0,
            Layout::Window {
                segment_interval_ms,
                ..
            }
            | Layout::Session {
                segment_interval_ms,
                ..
            } => segment_interval_ms,
            Layout::Versioned {
                history_retention_ms,
            } => versioned_interval_ms(history_retention_ms),
        };
        Self {
            layout: layout.clone(),
            interval_ms,
        }
    }

    /// False when all keys are in one place and nothing expires.
    pub(crate) fn is_segmented(&self) -> bool {
        self.interval_ms > 0
    }

    /// The time of a key: `Ok(None)` for keys without one, an error when the key does not have the layout.
    fn time_of(&self, key: &[u8], store: &str) -> Result<Option<i64>> {
        let time_ms = match self.layout {
            Layout::KeyValue | Layout::Lru { .. } => return Ok(None),
            Layout::Window { .. } => window::parse(key).map(|(_, start_ms, _)| start_ms),
            Layout::Session { .. } => session::parse(key).map(|(_, _, end_ms)| end_ms),
            Layout::Versioned { .. } if versioned::is_latest(key) => return Ok(None),
            Layout::Versioned { .. } => versioned::parse_history(key).map(|(_, to_ms, _)| to_ms),
        };
        time_ms.map(Some).ok_or_else(|| Error::Format {
            store: store.to_owned(),
            message: format!(
                "a key of {} bytes does not have the {} layout",
                key.len(),
                Layout::name(self.layout.tag())
            ),
        })
    }

    /// The segment of a key; an error when the key does not have the layout. [`TIMELESS`] for unsegmented stores.
    pub(crate) fn segment_of(&self, key: &[u8], store: &str) -> Result<i64> {
        let time_ms = self.time_of(key, store)?;
        Ok(time_ms.map_or(TIMELESS, |time_ms| time_ms.div_euclid(self.interval_ms)))
    }

    /// The segment of a key and its time; keys without a time are as new as can be.
    pub(crate) fn place_of(&self, key: &[u8], store: &str) -> Result<(i64, i64)> {
        let time_ms = self.time_of(key, store)?;
        Ok(time_ms.map_or((TIMELESS, i64::MAX), |time_ms| {
            (time_ms.div_euclid(self.interval_ms), time_ms)
        }))
    }

    /// The segments that may hold entries of these times; [`TIMELESS`] is always asked as well.
    pub(crate) fn segments_of(&self, times: &RangeInclusive<i64>) -> RangeInclusive<i64> {
        if self.is_segmented() {
            times.start().div_euclid(self.interval_ms)..=times.end().div_euclid(self.interval_ms)
        } else {
            i64::MIN..=i64::MAX
        }
    }

    /// The first time after a segment.
    pub(crate) fn end_of(&self, segment: i64) -> i64 {
        segment.saturating_add(1).saturating_mul(self.interval_ms)
    }

    /// The first segment that is not beyond retention.
    pub(crate) fn first_live(&self, stream_time_ms: i64) -> i64 {
        match self.layout.retention_ms() {
            Some(retention_ms) if self.is_segmented() => stream_time_ms
                .saturating_sub(retention_ms)
                .div_euclid(self.interval_ms),
            _ => TIMELESS,
        }
    }
}

/// Kafka Streams' segment interval of versioned stores.
fn versioned_interval_ms(history_retention_ms: i64) -> i64 {
    let (parts, least_ms) = match history_retention_ms {
        i64::MIN..60_001 => (3, 2_000),
        60_001..300_001 => (5, 20_000),
        300_001..3_600_001 => (12, 60_000),
        _ => (24, 300_000),
    };
    (history_retention_ms / parts).max(least_ms)
}
