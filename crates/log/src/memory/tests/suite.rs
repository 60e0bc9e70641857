//! The memory log under the suite: plain, with offsets as on Kafka, and slow.
//! Not its faults: they lose what the suite expects. Invariant: all three keep the same contract.

use crate::{Faults, Log, MemoryLog, log_suite, suite::Harness};
use headwater_world::{Clock, Simulation, World};
use std::{sync::Arc, time::Duration};

struct Memory {
    simulation: Simulation,
    log: Arc<MemoryLog>,
}

impl Memory {
    fn new(faults: Faults) -> Self {
        let simulation = World::simulated(1);
        let log = MemoryLog::with_faults(&simulation.world, faults);
        Self { simulation, log }
    }
}

impl Harness for Memory {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.log) as Arc<dyn Log>
    }
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.simulation.clock) as Arc<dyn Clock>
    }
    fn advance(&self, ms: u64) {
        self.simulation.clock.advance(Duration::from_millis(ms));
    }
}

mod plain {
    use super::*;
    log_suite!(Memory::new(Faults::default()));
}

mod kafka_like {
    use super::*;
    log_suite!(Memory::new(Faults {
        kafka_like: true,
        ..Faults::default()
    }));
}

mod slow {
    use super::*;
    log_suite!(Memory::new(Faults {
        seed: 7,
        kafka_like: true,
        delay_polls_max: 3,
        ..Faults::default()
    }));
}
