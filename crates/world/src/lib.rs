//! The outside, behind small traits: clock, disk, randomness, executor; a real set and a simulated, seeded one.
//! Not a runtime: nothing here knows logs, stores or streams.
//! Invariant: below the runtime only this crate reads a clock, a random source or, through [`Disk`], a file.
#![forbid(unsafe_code)]

mod clock;
mod disk;
mod executor;
mod random;
mod real;
mod simulated;

pub use clock::Clock;
pub use disk::{Disk, DiskLock, File, OpenMode};
pub use executor::{BoxFuture, Executor, SPAWNED_FUTURES_MAX};
pub use random::{Random, SeededRandom};
pub use simulated::{
    CrashMode, SIMULATION_START_MS, SimulatedClock, SimulatedDisk, SimulatedExecutor, Simulation,
};

use std::sync::Arc;

/// The four outsides, shared by everything in one process (or one simulated process).
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where futures of `map_async` run.
    pub executor: Arc<dyn Executor>,
}
