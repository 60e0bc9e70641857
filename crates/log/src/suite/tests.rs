//! The embedded log under the suite, on a simulated disk and on this machine's. Not its files, crashes or speed: see its own tests.
//! Invariant: a behaviour that fails here or on the memory log alone is a difference between the two, and a fault of one.

use super::Harness;
use crate::{
    Log,
    embedded::{EmbeddedLog, EmbeddedOptions},
    log_suite,
};
use headwater_world::{Clock, SimulatedClock, World};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

struct Embedded {
    world: World,
    clock: Option<Arc<SimulatedClock>>,
    path: PathBuf,
    log: Mutex<Option<Arc<EmbeddedLog>>>,
    /// Removed when the test is over.
    _directory: Option<tempfile::TempDir>,
}

impl Embedded {
    fn simulated() -> Self {
        let simulation = World::simulated(1);
        Self {
            world: simulation.world.clone(),
            clock: Some(simulation.clock),
            path: "/log".into(),
            log: Mutex::new(None),
            _directory: None,
        }
    }

    fn real() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            world: World::real(),
            clock: None,
            path: directory.path().join("log"),
            log: Mutex::new(None),
            _directory: Some(directory),
        }
    }
}

impl Harness for Embedded {
    fn log(&self) -> Arc<dyn Log> {
        let mut log = self.log.lock().unwrap();
        let open = || {
            let options = EmbeddedOptions::default();
            EmbeddedLog::open(&self.path, self.world.clone(), options).unwrap()
        };
        Arc::clone(log.get_or_insert_with(open)) as Arc<dyn Log>
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.world.clock)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "on a real clock time passes by waiting"
    )]
    fn advance(&self, ms: u64) {
        match &self.clock {
            Some(clock) => clock.advance(Duration::from_millis(ms)),
            None => std::thread::sleep(Duration::from_millis(ms)),
        }
    }

    fn reopen(&self) -> Option<Arc<dyn Log>> {
        let log = self.log.lock().unwrap().take()?;
        assert_eq!(Arc::strong_count(&log), 1, "a client still holds the log");
        drop(log);
        Some(self.log())
    }
}

mod simulated {
    use super::*;
    log_suite!(Embedded::simulated());
}

mod real {
    use super::*;
    log_suite!(Embedded::real());
}
