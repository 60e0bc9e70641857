//! Ctrl-c and SIGTERM as a flag. Not a handler of its own work: the runtime looks at the flag.
//! Invariant: the handler is installed once per process, however many applications run.

use crate::{Error, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<std::result::Result<(), String>> = OnceLock::new();

/// True once the process was asked to end, if [`crate::run`], [`crate::run_with`] or [`watch_signals`] has been called.
pub fn stop_requested() -> bool {
    REQUESTED.load(Ordering::Acquire)
}

/// Begins to watch for ctrl-c and SIGTERM, for those who [`crate::start`] and wait themselves; answers [`stop_requested`].
pub fn watch_signals() -> Result<fn() -> bool> {
    let installed = INSTALLED.get_or_init(|| {
        ctrlc::set_handler(|| REQUESTED.store(true, Ordering::Release))
            .map_err(|error| error.to_string())
    });
    match installed {
        Ok(()) => Ok(stop_requested),
        Err(error) => Err(Error::System(format!("cannot watch for ctrl-c: {error}"))),
    }
}
