//! The one error type of the facade. Not for branching beyond [`Error::fate`].
//! Invariant: every error of the crates below turns into this one with `?`.

use headwater_log::Fate;
use std::fmt;

/// The result of everything an application calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, told by the part that noticed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The runtime, or a store below it.
    Runtime(headwater_runtime::Error),
    /// The log.
    Log(headwater_log::Error),
    /// The topology or a processor.
    Streams(headwater_streams::Error),
    /// The operating system.
    System(String),
}

impl Error {
    /// Retry, fence or fatal.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Runtime(error) => error.fate(),
            Self::Log(error) => error.fate(),
            Self::Streams(error) => error.fate(),
            Self::System(_) => Fate::Fatal,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => write!(f, "{error}"),
            Self::Log(error) => write!(f, "{error}"),
            Self::Streams(error) => write!(f, "{error}"),
            Self::System(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

impl From<headwater_runtime::Error> for Error {
    fn from(error: headwater_runtime::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<headwater_log::Error> for Error {
    fn from(error: headwater_log::Error) -> Self {
        Self::Log(error)
    }
}

impl From<headwater_streams::Error> for Error {
    fn from(error: headwater_streams::Error) -> Self {
        Self::Streams(error)
    }
}
