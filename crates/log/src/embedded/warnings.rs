//! Things a person should know: on stderr, and kept for whoever asks. Not errors: those go to who made the request.
//! Invariant: every warning of the log passes here.

use super::{core::lock, options::WARNINGS_MAX};
use std::sync::Mutex;

/// Things a person should know, on stderr and kept.
#[derive(Default)]
pub(super) struct Warnings {
    kept: Mutex<Vec<String>>,
    /// Not on stderr: beside its owner a log ends with a torn entry whenever that one writes.
    quiet: bool,
}

impl Warnings {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            ..Self::default()
        }
    }

    pub(super) fn add(&self, message: String) {
        if !self.quiet {
            eprintln!("headwater: {message}");
        }
        let mut kept = lock(&self.kept);
        if kept.len() < WARNINGS_MAX {
            kept.push(message);
        }
    }

    pub(super) fn all(&self) -> Vec<String> {
        lock(&self.kept).clone()
    }
}
