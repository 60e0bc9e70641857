//! A clock moved by hand. Not a timer: advancing it wakes nobody.
//! Invariant: time stands still between two calls of [`SimulatedClock::advance`].

use crate::Clock;
use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// What the wall clock of a fresh simulation shows: 2023-11-14, a date that looks like production
/// and is no multiple of a round window size.
pub const SIMULATION_START_MS: i64 = 1_700_000_000_000;

const NANOS_PER_MS: i128 = 1_000_000;

/// A clock that moves only when told to.
pub struct SimulatedClock(Mutex<Time>);

struct Time {
    /// Nanoseconds, so that many short advances add up.
    wall_ns: i128,
    elapsed: Duration,
}

impl SimulatedClock {
    /// A clock at [`SIMULATION_START_MS`] with nothing elapsed.
    pub fn new() -> Self {
        Self(Mutex::new(Time {
            wall_ns: i128::from(SIMULATION_START_MS) * NANOS_PER_MS,
            elapsed: Duration::ZERO,
        }))
    }

    /// Moves the wall clock and the monotonic one forward together.
    pub fn advance(&self, by: Duration) {
        let mut time = self.lock();
        time.elapsed = time.elapsed.saturating_add(by);
        // At most 2^94 ns, far from the ends of an i128.
        time.wall_ns += i128::try_from(by.as_nanos()).unwrap_or(i128::MAX >> 8);
    }

    /// Sets the wall clock alone, back or forth, as an operator or NTP does; `elapsed` does not move.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.lock().wall_ns = i128::from(wall_ms) * NANOS_PER_MS;
    }

    fn lock(&self) -> MutexGuard<'_, Time> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for SimulatedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimulatedClock {
    fn now_ms(&self) -> i64 {
        let wall_ms = self.lock().wall_ns.div_euclid(NANOS_PER_MS);
        i64::try_from(wall_ms).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }
}
