//! Tumbling and hopping windows. Invariant: they are aligned to the epoch and hold `[start, end)`.

use super::{Windowing, WindowsKind, millis};
use std::time::Duration;

/// Tumbling or hopping windows (`TimeWindows`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindows {
    pub(crate) size_ms: i64,
    pub(crate) advance_ms: i64,
    pub(crate) grace_ms: i64,
}

impl TimeWindows {
    /// Windows of `size` that follow one another, without grace: a record is late as soon as its window has ended.
    pub fn of(size: Duration) -> Self {
        let size_ms = millis(size);
        Self {
            size_ms,
            advance_ms: size_ms,
            grace_ms: 0,
        }
    }

    /// A window each `advance`, so that windows overlap.
    pub fn advance_by(mut self, advance: Duration) -> Self {
        self.advance_ms = millis(advance);
        self
    }

    /// Accepts records until stream time passes the window's end by `grace`.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace_ms = millis(grace);
        self
    }
}

impl Windowing for TimeWindows {
    fn size_ms(&self) -> i64 {
        self.size_ms
    }

    fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64> {
        let first =
            (timestamp - self.size_ms + self.advance_ms).max(0) / self.advance_ms * self.advance_ms;
        let advance = self.advance_ms;
        std::iter::successors(Some(first), move |start| start.checked_add(advance))
            .take_while(move |start| *start <= timestamp)
    }

    fn kind(&self) -> WindowsKind {
        WindowsKind::Time(*self)
    }

    fn problem(&self) -> Option<String> {
        if self.size_ms <= 0 {
            return Some("a window's size must be at least 1 ms".into());
        }
        if self.advance_ms <= 0 || self.advance_ms > self.size_ms {
            return Some(format!(
                "windows of {} ms cannot advance by {} ms: use 1 to the size",
                self.size_ms, self.advance_ms
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hopping_windows_overlap_and_start_at_the_epoch() {
        let windows =
            TimeWindows::of(Duration::from_millis(10)).advance_by(Duration::from_millis(4));
        assert_eq!(windows.starts(13).collect::<Vec<_>>(), [4, 8, 12]);
        assert_eq!(windows.starts(3).collect::<Vec<_>>(), [0]);
        assert_eq!(windows.starts(-1).count(), 0);
        assert!((2..=3).contains(&windows.starts(i64::MAX).count()));
    }
}
