//! What can go wrong with a log, named by what the caller can do about it.
//! Not a place for messages of one implementation: those are strings inside a variant.
//! Invariant: every error has one fate, decided in [`Error::fate`] and nowhere else.

use crate::{Offset, TopicPartition};
use std::{fmt, path::PathBuf};

/// The result of log operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the owner of a client does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The same call may succeed later.
    Retry,
    /// The caller is no longer the owner: it drops its tasks and joins anew.
    Fence,
    /// Durability or an invariant is broken, or the request can never succeed: stop.
    Fatal,
}

/// An error of a log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The log cannot answer now: a broker is away, a queue is full, a lock is briefly held.
    Unavailable(String),
    /// No answer within the deadline; a commit that ends so has an unknown outcome.
    TimedOut(String),
    /// The outcome of a commit is not known: [`crate::Request::Settle`] finds it.
    UnknownOutcome,
    /// The commit left no effect and this client is still the owner: the same work, replayed from the committed offsets, may
    /// succeed.
    Aborted(String),
    /// Another member or a newer epoch owns what this client tried to write.
    Fenced(String),
    /// No such topic.
    UnknownTopic(String),
    /// No such partition of an existing topic.
    UnknownPartition(TopicPartition),
    /// The topic is there already.
    TopicExists(String),
    /// The offset lies outside what the partition holds.
    OffsetOutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// What was asked for.
        offset: Offset,
        /// First offset held.
        start: Offset,
        /// One past the last offset held.
        end: Offset,
    },
    /// A record or a transaction is larger than a configured limit.
    TooLarge(String),
    /// A request that can never succeed as it stands: a bad name, a bad configuration value, a group with members.
    Invalid(String),
    /// Stored bytes are damaged.
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// Byte position in it.
        position: u64,
        /// What was expected and what was found.
        message: String,
    },
    /// The medium refused an operation.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried and what the system answered.
        message: String,
        /// The system's kind of error.
        kind: std::io::ErrorKind,
    },
    /// An earlier failure of durability closed the log for writing; reopening it recovers what is durable.
    Poisoned(String),
}

impl Error {
    /// The one place where an error of a log gets its fate.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Unavailable(_) | Self::TimedOut(_) | Self::UnknownOutcome | Self::Aborted(_) => {
                Fate::Retry
            }
            Self::Fenced(_) => Fate::Fence,
            _ => Fate::Fatal,
        }
    }

    /// An I/O error with the path it happened on and what was tried.
    pub fn io(path: impl Into<PathBuf>, tried: &str, error: &std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            message: format!("{tried}: {error}"),
            kind: error.kind(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(what) => write!(f, "the log is not available: {what}"),
            Self::TimedOut(what) => write!(f, "no answer in time: {what}"),
            Self::UnknownOutcome => write!(f, "the outcome of the last commit is not known"),
            Self::Aborted(why) => write!(f, "the commit was aborted: {why}"),
            Self::Fenced(why) => write!(f, "fenced: {why}"),
            Self::UnknownTopic(topic) => {
                write!(f, "topic '{topic}' does not exist; create it first")
            }
            Self::UnknownPartition(partition) => write!(f, "partition {partition} does not exist"),
            Self::TopicExists(topic) => write!(f, "topic '{topic}' exists already"),
            Self::OffsetOutOfRange {
                partition,
                offset,
                start,
                end,
            } => {
                write!(f, "{partition}: offset {offset} is outside {start}..{end}")
            }
            Self::TooLarge(what) => write!(f, "too large: {what}"),
            Self::Invalid(what) => write!(f, "invalid request: {what}"),
            Self::Corrupt {
                path,
                position,
                message,
            } => {
                write!(
                    f,
                    "{} is damaged at byte {position}: {message}",
                    path.display()
                )
            }
            Self::Io { path, message, .. } => write!(f, "{}: {message}", path.display()),
            Self::Poisoned(why) => write!(
                f,
                "the log is closed for writing after a failure ({why}); restart to recover"
            ),
        }
    }
}

impl std::error::Error for Error {}
