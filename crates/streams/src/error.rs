//! What can go wrong in a topology, named by what the caller can do.
//! Not the errors of user data: those follow the policy of their source and become [`Error::BadData`] only where it says fail.
//! Invariant: an error of the log below keeps its fate.

use crate::format::FormatError;
use headwater_log::Fate;
use std::fmt;

/// The result of topology operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a topology or a task.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The topology cannot work; the message names the operator, topic or store and the way out.
    Topology(String),
    /// A record cannot be read or written with the format given.
    BadData {
        /// The topic, or the changelog of the store.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset; -1 for records that are being written.
        offset: i64,
        /// What does not fit.
        reason: String,
    },
    /// A processor of the application failed.
    Processor {
        /// The operator's name, and where the record was read.
        node: String,
        /// What it said.
        reason: String,
    },
    /// A record failed that is to be quarantined ([`crate::OnError::Quarantine`]): who runs the task aborts, and opens it again with
    /// the record among [`crate::Task::set_poisoned`].
    Poisoned {
        /// Where it was read.
        partition: headwater_log::TopicPartition,
        /// Its offset.
        offset: i64,
        /// What failed, and how.
        reason: String,
    },
    /// The log below.
    Log(headwater_log::Error),
    /// A store below.
    Store(headwater_store::Error),
}

impl Error {
    /// Retry, fence or fatal; decided by the log's error where there is one.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Log(error) => error.fate(),
            _ => Fate::Fatal,
        }
    }

    /// What a processor answers to stop the application: `.map_err(Error::failed)?`. The task adds the operator's name and the
    /// record's position.
    pub fn failed(reason: impl fmt::Display) -> Self {
        Self::Processor {
            node: String::new(),
            reason: reason.to_string(),
        }
    }

    /// Names the operator, and the record where there is one, in an error that a processor made.
    pub(crate) fn in_node(self, name: &str, place: impl FnOnce() -> String) -> Self {
        match self {
            Self::Processor { node, reason } if node.is_empty() => Self::Processor {
                node: format!("{name}{}", place()),
                reason,
            },
            other => other,
        }
    }

    #[cold]
    pub(crate) fn format(topic: &str, error: &FormatError) -> Self {
        Self::BadData {
            topic: topic.into(),
            partition: 0,
            offset: -1,
            reason: error.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topology(message) => write!(f, "{message}"),
            Self::BadData {
                topic,
                offset: -1,
                reason,
                ..
            } => write!(f, "cannot write a record for '{topic}': {reason}"),
            Self::BadData {
                topic,
                partition,
                offset,
                reason,
            } => {
                write!(
                    f,
                    "cannot read {topic}-{partition} at offset {offset}: {reason}; Topic::on_bad_data(BadData::Skip) passes over such records"
                )
            }
            Self::Processor { node, reason } => write!(f, "{node} failed: {reason}"),
            Self::Poisoned {
                partition,
                offset,
                reason,
            } => write!(
                f,
                "the record at {partition} offset {offset} is quarantined: {reason}"
            ),
            Self::Log(error) => write!(f, "{error}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Box<Error>> for Error {
    #[cold]
    fn from(error: Box<Error>) -> Self {
        *error
    }
}

impl From<headwater_store::Error> for Box<Error> {
    #[cold]
    fn from(error: headwater_store::Error) -> Self {
        Box::new(error.into())
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
