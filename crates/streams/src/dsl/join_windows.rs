//! How far apart in time two records of a join may lie (`JoinWindows`). Not windows with borders of their own: each record
//! spans its own.
//! Invariant: a record of time `t` meets those of the other side in `[t - before, t + after]`, both ends included.

use crate::window::millis;
use std::time::Duration;

/// The time difference that a join of streams bridges. A bare `Duration` is one without grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinWindows {
    pub(crate) before_ms: i64,
    pub(crate) after_ms: i64,
    pub(crate) grace_ms: i64,
}

impl JoinWindows {
    /// Records of the other side at most `difference` earlier or later, without grace
    /// (`JoinWindows.ofTimeDifferenceWithNoGrace`).
    pub fn of(difference: Duration) -> Self {
        let difference_ms = millis(difference);
        Self::of_ms(difference_ms, difference_ms)
    }

    /// Records of the other side at most `before_ms` earlier and `after_ms` later. One of the two may be negative: with
    /// `(-3, 10)` the other record is 3 to 10 ms later. Their sum may not.
    pub fn of_ms(before_ms: i64, after_ms: i64) -> Self {
        Self {
            before_ms,
            after_ms,
            grace_ms: 0,
        }
    }

    /// Records of the other side at most so much earlier; `after` stays.
    pub fn before(mut self, difference: Duration) -> Self {
        self.before_ms = millis(difference);
        self
    }

    /// Records of the other side at most so much later; `before` stays.
    pub fn after(mut self, difference: Duration) -> Self {
        self.after_ms = millis(difference);
        self
    }

    /// How much longer than the window records are kept for those that come out of order, in stream time. Left and outer joins
    /// answer "no match" only then.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace_ms = millis(grace);
        self
    }

    /// What makes them impossible.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.before_ms.saturating_add(self.after_ms) < 0 {
            return Some(format!(
                "a window from {} ms before to {} ms after ends before it begins; before and after must not add up to less than 0",
                self.before_ms, self.after_ms
            ));
        }
        None
    }

    pub(crate) fn size_ms(&self) -> i64 {
        self.before_ms.saturating_add(self.after_ms)
    }

    pub(crate) fn retention_ms(&self) -> i64 {
        self.size_ms().saturating_add(self.grace_ms)
    }

    /// As the right side sees them.
    pub(crate) fn reversed(self) -> Self {
        Self {
            before_ms: self.after_ms,
            after_ms: self.before_ms,
            ..self
        }
    }

    /// A record of `time` on this side may still meet one of a stream that stands at `stream_time`.
    #[inline]
    pub(crate) fn is_open(&self, time: i64, stream_time: i64) -> bool {
        time.saturating_add(self.after_ms)
            .saturating_add(self.grace_ms)
            >= stream_time
    }

    /// The times on the other side that a record of `time` on this side meets.
    #[inline]
    pub(crate) fn around(&self, time: i64) -> (i64, i64) {
        let from = time.saturating_sub(self.before_ms).max(0);
        (from, time.saturating_add(self.after_ms).max(0))
    }
}

impl From<Duration> for JoinWindows {
    fn from(difference: Duration) -> Self {
        Self::of(difference)
    }
}
