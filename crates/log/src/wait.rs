//! Waiting for a completion, for tools, start-up and tests. Not for the worker's loop, which never waits for one answer.
//! Invariant: it returns by its deadline.

use crate::{Client, Completion, Error, Request, Response, Result};
use headwater_world::Clock;
use std::time::Duration;

/// 30 s: longer than a broker's leader change, short enough for a person to wait for.
pub const fn call_deadline_default_ms() -> u64 {
    30_000
}

/// Submits `request` and polls until it ends or `deadline_ms` have passed. Completions of other requests are dropped:
/// use it only on a client without requests in flight.
pub fn call(
    client: &mut dyn Client,
    clock: &dyn Clock,
    request: Request,
    deadline_ms: u64,
) -> Result<Response> {
    let name = format!("{request:?}");
    let ticket = client.submit(request);
    let deadline = clock.elapsed() + Duration::from_millis(deadline_ms);
    loop {
        match client.poll() {
            Some(Completion {
                ticket: done,
                result,
            }) if done == ticket => return result,
            Some(_) => {}
            None if clock.elapsed() >= deadline => {
                let end = name
                    .char_indices()
                    .nth(200)
                    .map_or(name.len(), |(at, _)| at);
                return Err(Error::TimedOut(format!(
                    "{} after {deadline_ms} ms",
                    &name[..end]
                )));
            }
            // Short, since a simulated clock does not move while a thread is parked.
            None => std::thread::park_timeout(Duration::from_micros(200)),
        }
    }
}
