//! Time as the rest of the workspace sees it. Not a timer: nothing here sleeps or wakes.
//! Invariant: `elapsed` never goes back; `now_ms` may, as wall clocks do.

use std::time::Duration;

/// The wall clock and a monotonic one.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
    /// Time since an arbitrary fixed point; never goes back.
    fn elapsed(&self) -> Duration;
}
