//! What can go wrong in a store. Not the verdict: the runtime decides the fate of each.
//! Invariant: every message names the path or the store, and the way out.

use std::{fmt, io, path::PathBuf};

/// A result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, by what the caller can do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation: fix the disk or the permissions, then start again.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The engine failed in a way that is neither damage nor a file operation: report it; a restart is safe.
    Engine {
        /// The store's directory.
        path: PathBuf,
        /// What the engine said.
        message: String,
    },
    /// The call asks for what the store does not do: change the call or the store's options.
    Refused {
        /// The store.
        store: String,
        /// Why, and what to do instead.
        message: String,
    },
    /// Bytes on disk are damaged: wipe the store and restore it from its changelog.
    Corrupt {
        /// The damaged directory or file.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// Bytes of a key or value do not have the store's layout: the writer is wrong, or the store is another one's.
    Format {
        /// The store.
        store: String,
        /// What was expected.
        message: String,
    },
}

impl Error {
    /// True when wiping the store and restoring it from its changelog is the way out.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => {
                write!(
                    f,
                    "{}: {source}; check the disk and its permissions, then start again",
                    path.display()
                )
            }
            Self::Engine { path, message } => {
                write!(
                    f,
                    "the store in {} failed: {message}; restart to continue from its last checkpoint",
                    path.display()
                )
            }
            Self::Refused { store, message } => write!(f, "store {store}: {message}"),
            Self::Corrupt { path, message } => {
                write!(
                    f,
                    "{} is damaged: {message}; it has to be wiped and restored from its changelog",
                    path.display()
                )
            }
            Self::Format { store, message } => write!(
                f,
                "store {store}: {message}; check which store writes these bytes"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
