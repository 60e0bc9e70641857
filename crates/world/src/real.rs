//! The machine as it is: system clocks, `std::fs`, a seed from the operating system, a few threads.
//! Not configurable: a program that needs another outside builds its own [`World`].
//! Invariant: only this module and its children call `SystemTime::now`, `Instant::now` and `std::fs`.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is the one place where the traits meet the machine"
)]

mod disk;
mod executor;
#[cfg(test)]
mod tests;

pub(crate) use disk::RealDisk;
pub(crate) use executor::RealExecutor;

use crate::{Clock, SeededRandom, World};
use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

impl World {
    /// This machine: its clocks, its file system, a random seed of its own and a small thread pool for futures.
    ///
    /// Threads start with the first spawned future, not here.
    pub fn real() -> World {
        World {
            clock: Arc::new(RealClock {
                start: Instant::now(),
            }),
            disk: Arc::new(RealDisk),
            // `RandomState` draws its keys from the operating system; hashing nothing with them gives 64 of those bits.
            random: Arc::new(SeededRandom::new(RandomState::new().hash_one(()))),
            executor: Arc::new(RealExecutor::new()),
        }
    }
}

struct RealClock {
    start: Instant,
}

impl Clock for RealClock {
    fn now_ms(&self) -> i64 {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => -millis(before.duration()),
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
