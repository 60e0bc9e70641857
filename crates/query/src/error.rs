//! Why a question has no answer, by what the asker can do about it. Not the errors of the layers below: those are told in words.
//! Invariant: no variant stands for "perhaps": where the state is not known there is no value.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The result of a question.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no answer. It travels between instances as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Error {
    /// The store's partition is restored, moves, or is nowhere, and stayed so until the deadline. Ask again (503).
    NotReady(String),
    /// The deadline passed before what was waited for became visible (504). The value asked about may still come.
    TimedOut(String),
    /// Too many wait in this process; ask again later, or elsewhere (503).
    Overloaded(String),
    /// The topology has no store of this name (404).
    UnknownStore(String),
    /// The question can never be answered: types, a token or a page position that is damaged or of another store, a limit (400).
    Refused(String),
    /// Another instance could not be asked, or answered nonsense (502).
    Peer(String),
    /// The store failed, or holds what its formats cannot read (500).
    Store(String),
}

impl Error {
    /// True when the same question may be answered a moment later.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::NotReady(_) | Self::Peer(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady(why) => write!(f, "not ready: {why}"),
            Self::TimedOut(what) => write!(f, "not in time: {what}"),
            Self::Overloaded(why) => write!(f, "overloaded: {why}"),
            Self::UnknownStore(store) => write!(f, "there is no store '{store}'"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Peer(why) => write!(f, "another instance: {why}"),
            Self::Store(why) => write!(f, "store: {why}"),
        }
    }
}

impl std::error::Error for Error {}
