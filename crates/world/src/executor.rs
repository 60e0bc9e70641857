//! Where the futures of `map_async` run. Not a general async runtime: no timers, no I/O.
//! Invariant: a spawned future is polled until it ends or the executor is dropped.

use std::{
    future::Future,
    io::{Error, ErrorKind},
    pin::Pin,
};

/// A boxed future without output.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Futures an executor holds at once, running or waiting. Operators bound their own futures far below it:
/// reaching it means that something spawns without a limit.
pub const SPAWNED_FUTURES_MAX: usize = 16_384;

/// Runs futures in the background.
pub trait Executor: Send + Sync {
    /// Starts `future`; an error means the executor is shut down or its bounded queue is full.
    fn spawn(&self, future: BoxFuture) -> std::io::Result<()>;
}

/// `WouldBlock`: a later spawn may succeed, once a future has ended.
pub(crate) fn full() -> Error {
    Error::new(
        ErrorKind::WouldBlock,
        format!("the executor holds {SPAWNED_FUTURES_MAX} futures already"),
    )
}
