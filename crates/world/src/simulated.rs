//! A world that repeats: a clock moved by hand, a disk that can lose power, seeded numbers, futures polled in seeded order.
//! Not a cluster: one [`Simulation`] is one process; several may share a clock.
//! Invariant: the same seed and the same calls give the same results; nothing here looks at the machine.

mod clock;
mod disk;
mod executor;
#[cfg(test)]
mod tests;

pub use clock::{SIMULATION_START_MS, SimulatedClock};
pub use disk::{CrashMode, SimulatedDisk};
pub use executor::SimulatedExecutor;

use crate::{SeededRandom, World};
use std::sync::Arc;

/// One simulated process: its [`World`], and the handles by which a test moves that world.
pub struct Simulation {
    /// What the code under test gets.
    pub world: World,
    /// The clock of `world`.
    pub clock: Arc<SimulatedClock>,
    /// The disk of `world`.
    pub disk: Arc<SimulatedDisk>,
    /// The random source of `world`.
    pub random: Arc<SeededRandom>,
    /// The executor of `world`; nothing runs until the test says so.
    pub executor: Arc<SimulatedExecutor>,
}

impl World {
    /// A fresh simulated process: an empty disk, a clock at [`SIMULATION_START_MS`].
    pub fn simulated(seed: u64) -> Simulation {
        World::simulated_on(Arc::new(SimulatedDisk::new()), seed)
    }

    /// A simulated process over `disk`, for example the image a crash has left; its clock starts afresh.
    ///
    /// [`Simulation::restart`] keeps the clock.
    pub fn simulated_on(disk: Arc<SimulatedDisk>, seed: u64) -> Simulation {
        World::simulated_with(Arc::new(SimulatedClock::new()), disk, seed)
    }

    /// A simulated process over `clock` and `disk`; processes of one simulated cluster share the clock.
    pub fn simulated_with(
        clock: Arc<SimulatedClock>,
        disk: Arc<SimulatedDisk>,
        seed: u64,
    ) -> Simulation {
        let random = Arc::new(SeededRandom::new(seed));
        // Another stream than `random`: how often the code under test draws must not change the order of polls.
        let executor = Arc::new(SimulatedExecutor::new(!seed));
        let world = World {
            clock: clock.clone(),
            disk: disk.clone(),
            random: random.clone(),
            executor: executor.clone(),
        };
        Simulation {
            world,
            clock,
            disk,
            random,
            executor,
        }
    }
}

impl Simulation {
    /// The process that starts after this one crashed: what `mode` leaves of the disk, the same clock, no futures, no locks.
    pub fn restart(&self, mode: CrashMode, seed: u64) -> Simulation {
        let disk = Arc::new(self.disk.crash(mode));
        World::simulated_with(Arc::clone(&self.clock), disk, seed)
    }
}
