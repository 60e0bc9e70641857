//! The file of `--phases`: a line for each phase the job enters, so that a test can kill it in the one it wants.
//! Not a log for people. Invariant: a line is handed to the system whole, before the job goes on.
//!
//! ```text
//! append | process | done
//! commit <number>                                     it took effect
//! checkpoint <task> <store> <changelog position>      state up to there is on disk
//! restore <task> <store> <from> <end>                 it begins
//! restored <task> <store> <records>
//! ```

use anyhow::{Context, Result};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
};

/// Where phases are told; nowhere without a file.
pub(crate) struct Phases(Option<Mutex<File>>);

impl Phases {
    /// Appends to `path`.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        Ok(Self(path.map(open).transpose()?.map(Mutex::new)))
    }

    /// Tells a phase.
    pub(crate) fn enter(&self, phase: &str) {
        if let Some(file) = &self.0 {
            let mut file = file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // One call of the system for one line; a test misses a line rather than the job its work.
            let _ = file.write_all(format!("{phase}\n").as_bytes());
        }
    }

    /// False where phases are told nowhere, and their text need not be made.
    pub(crate) fn wanted(&self) -> bool {
        self.0.is_some()
    }
}
