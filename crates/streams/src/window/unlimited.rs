//! One window without an end. Invariant: it never closes, so that its rows are kept for ever.

use super::{Windowing, WindowsKind, millis};
use std::time::Duration;

/// One window that begins at a time and never ends (`UnlimitedWindows`); earlier records fall into none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnlimitedWindows {
    start_ms: i64,
}

impl UnlimitedWindows {
    /// The window from the epoch on.
    pub fn of() -> Self {
        Self::default()
    }

    /// The window begins so long after the epoch.
    pub fn start_on(mut self, since_epoch: Duration) -> Self {
        self.start_ms = millis(since_epoch);
        self
    }
}

impl Windowing for UnlimitedWindows {
    fn size_ms(&self) -> i64 {
        i64::MAX
    }

    fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64> {
        (timestamp >= self.start_ms)
            .then_some(self.start_ms)
            .into_iter()
    }

    fn kind(&self) -> WindowsKind {
        WindowsKind::Unlimited
    }
}
