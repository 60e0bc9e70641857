//! Sliding windows. Invariant: a window holds both its ends, and there is one for each set of records within the difference.

use super::{Windowing, WindowsKind, millis};
use std::time::Duration;

/// Windows that slide over the records (`SlidingWindows`): for each set of records that lie at most `difference` apart there is
/// one window that holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindows {
    pub(crate) difference_ms: i64,
    pub(crate) grace_ms: i64,
}

impl SlidingWindows {
    /// Records at most `difference` apart share a window. No grace.
    pub fn of(difference: Duration) -> Self {
        Self {
            difference_ms: millis(difference),
            grace_ms: 0,
        }
    }

    /// Accepts records until stream time passes the window's end by more than `grace`.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace_ms = millis(grace);
        self
    }
}

impl Windowing for SlidingWindows {
    fn size_ms(&self) -> i64 {
        self.difference_ms
    }

    fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    /// The window that ends with the record; the others depend on its neighbours.
    fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64> {
        (timestamp >= 0)
            .then_some((timestamp - self.difference_ms).max(0))
            .into_iter()
    }

    fn kind(&self) -> WindowsKind {
        WindowsKind::Sliding(*self)
    }
}
