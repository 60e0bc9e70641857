//! Session windows. Invariant: a session holds both its ends, and two sessions of a key are more than the gap apart.

use super::millis;
use std::time::Duration;

/// Sessions of activity (`SessionWindows`): records of a key at most `gap` apart belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWindows {
    pub(crate) gap_ms: i64,
    pub(crate) grace_ms: i64,
}

impl SessionWindows {
    /// Sessions that end after `gap` without a record. No grace.
    pub fn of(gap: Duration) -> Self {
        Self {
            gap_ms: millis(gap),
            grace_ms: 0,
        }
    }

    /// Accepts records until stream time passes the session's end and gap by more than `grace`.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace_ms = millis(grace);
        self
    }

    /// Stream time has to pass a session's end by more than this to close it.
    pub(crate) fn close_ms(&self) -> i64 {
        self.gap_ms.saturating_add(self.grace_ms)
    }
}
