//! What stops an application, in one type. Not for branching on causes below: [`Error::fate`] decides what a worker does.
//! Invariant: the message names what to change, or which part of the outside failed.

use headwater_log::Fate;
use std::fmt;

/// The result of runtime operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a running application.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A setting has a name or value that cannot be honoured.
    Config(String),
    /// The state directory is held by another process, or cannot be used.
    StateDir(String),
    /// The topology or one of its processors.
    Streams(headwater_streams::Error),
    /// The log.
    Log(headwater_log::Error),
    /// A store.
    Store(headwater_store::Error),
    /// The group refuses this member for good.
    Group(String),
    /// A deadline passed.
    TimedOut(String),
    /// A worker ended by a panic; the message names it.
    Worker(String),
}

impl Error {
    /// Retry, fence or fatal.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Streams(error) => error.fate(),
            Self::Log(error) => error.fate(),
            _ => Fate::Fatal,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(message)
            | Self::StateDir(message)
            | Self::Group(message)
            | Self::Worker(message) => f.write_str(message),
            Self::TimedOut(what) => write!(f, "not done in time: {what}"),
            Self::Streams(error) => write!(f, "{error}"),
            Self::Log(error) => write!(f, "{error}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<headwater_streams::Error> for Error {
    fn from(error: headwater_streams::Error) -> Self {
        match error {
            headwater_streams::Error::Log(error) => Self::Log(error),
            headwater_streams::Error::Store(error) => Self::Store(error),
            error => Self::Streams(error),
        }
    }
}

impl From<headwater_log::Error> for Error {
    fn from(error: headwater_log::Error) -> Self {
        Self::Log(error)
    }
}

impl From<headwater_store::Error> for Error {
    fn from(error: headwater_store::Error) -> Self {
        Self::Store(error)
    }
}
