//! What follows when a worker ends by an error or a panic (`StreamsUncaughtExceptionHandler`, KIP-671). Not what becomes of a record that
//! fails: that is a policy on sources and operators. Invariant: a group that has no place for the process is never asked twice.

use crate::Error;
use std::fmt;
use std::sync::Arc;

/// What follows (`StreamThreadExceptionResponse`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UncaughtResponse {
    /// Another worker takes the place of the one that failed. What failed is processed again, and fails again if that is in the record:
    /// after a pause.
    ReplaceThread,
    /// All workers of this process stop; [`crate::Running::stop`] tells the error.
    #[default]
    ShutdownClient,
    /// All workers of all processes stop: those of this one as above, the others with [`Error::Group`]. Kafka Streams' instances in a
    /// streams group too.
    ShutdownApplication,
}

/// Decides what follows. It is called on the worker's thread, and must not wait.
#[derive(Clone)]
pub struct UncaughtHandler(Arc<dyn Fn(&Error) -> UncaughtResponse + Send + Sync>);

impl UncaughtHandler {
    /// Decides by the error.
    pub fn new(decide: impl Fn(&Error) -> UncaughtResponse + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// A group that refuses a worker, or was stopped, ends the process whatever is decided.
    pub(crate) fn response(&self, error: &Error) -> UncaughtResponse {
        match error {
            Error::Group(_) => UncaughtResponse::ShutdownClient,
            error => (self.0)(error),
        }
    }
}

impl From<UncaughtResponse> for UncaughtHandler {
    fn from(response: UncaughtResponse) -> Self {
        Self::new(move |_| response)
    }
}

impl Default for UncaughtHandler {
    fn default() -> Self {
        UncaughtResponse::default().into()
    }
}

impl fmt::Debug for UncaughtHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UncaughtHandler")
    }
}
