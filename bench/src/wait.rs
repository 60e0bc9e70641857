//! Waiting for an application that runs in this process. Not what it is waited for.
//! Invariant: one that fails, or takes too long, is stopped, and there is no figure.

use anyhow::{Result, bail};
use headwater::Running;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// What an application that is given up may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// The application, once it is `done`; `failure` says that it was not.
pub(crate) fn until(
    running: Running,
    seconds_max: u64,
    failure: &str,
    done: impl Fn(&Running) -> Result<bool>,
) -> Result<Running> {
    let begin = Instant::now();
    while !done(&running)? {
        if running.failed() || begin.elapsed() > Duration::from_secs(seconds_max) {
            running.stop(STOP_WAIT)?;
            bail!("{failure}");
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(running)
}
