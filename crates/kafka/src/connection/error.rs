//! How a request to a broker can end without an answer. Not the errors inside answers: those are codes.
//! Invariant: `NotSent` means that no byte of the request left this process.

use crate::protocol::Malformed;
use headwater_log::Error;
use std::fmt;

/// A request without an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RequestError {
    /// The connection ended first: the broker may or may not have done what was asked.
    Disconnected(String),
    /// No answer by the deadline; as uncertain.
    TimedOut(String),
    /// It never left: no broker, no connection.
    NotSent(String),
    /// The broker does not speak what is needed.
    Unsupported(String),
    /// The broker refused us or we refuse it; the settings must change.
    Authentication(String),
    /// An answer that is not what the protocol says.
    Malformed(String),
}

impl RequestError {
    /// The same request may succeed later, as far as the connection goes.
    pub(crate) fn is_retriable(&self) -> bool {
        matches!(
            self,
            Self::Disconnected(_) | Self::TimedOut(_) | Self::NotSent(_) | Self::Malformed(_)
        )
    }

    /// As the log's callers see it, with what was tried.
    pub(crate) fn to_log(&self, tried: &str) -> Error {
        match self {
            Self::TimedOut(_) => Error::TimedOut(format!("{tried}: {self}")),
            Self::Unsupported(_) | Self::Authentication(_) => {
                Error::Invalid(format!("{tried}: {self}"))
            }
            Self::Disconnected(_) | Self::NotSent(_) | Self::Malformed(_) => {
                Error::Unavailable(format!("{tried}: {self}"))
            }
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(what)
            | Self::TimedOut(what)
            | Self::NotSent(what)
            | Self::Unsupported(what)
            | Self::Authentication(what) => f.write_str(what),
            Self::Malformed(what) => write!(f, "the broker's answer cannot be read: {what}"),
        }
    }
}

impl From<Malformed> for RequestError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}

/// A connection that could not be opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OpenError {
    /// Nobody listens, or nobody answers: later perhaps.
    Away(String),
    /// Somebody listens and speaks another protocol, as far as can be told from a connection that was closed.
    Mismatch(String),
    /// As in [`RequestError`].
    Unsupported(String),
    /// As in [`RequestError`].
    Authentication(String),
}

impl From<OpenError> for RequestError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Away(what) | OpenError::Mismatch(what) => Self::NotSent(what),
            OpenError::Unsupported(what) => Self::Unsupported(what),
            OpenError::Authentication(what) => Self::Authentication(what),
        }
    }
}
