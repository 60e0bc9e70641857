//! Tells handlers whose answers have no end that the server stops. Not the stop. Invariant: whoever listens hears of it, also late.

use tokio::sync::watch;

/// An extension of every request of a [`super::Server`]: an answer that goes on for ever ends when this says so.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    pub(super) fn new(stopped: watch::Receiver<bool>) -> Self {
        Self(stopped)
    }

    /// True once the server is to stop.
    pub(super) fn is_told(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the server is to stop, or is gone.
    pub async fn wait(mut self) {
        drop(self.0.wait_for(|stopped| *stopped).await);
    }
}
