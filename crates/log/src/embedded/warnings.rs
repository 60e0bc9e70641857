//! Things a person should know: on stderr, and kept for whoever asks. Not errors: those go to who made the request.
//! Invariant: every warning of the log passes here.

use super::{core::lock, options::WARNINGS_MAX};
use std::sync::Mutex;

/// Things a person should know, on stderr and kept.
#[derive(Default)]
pub(super) struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    pub(super) fn add(&self, message: String) {
        eprintln!("headwater: {message}");
        let mut kept = lock(&self.0);
        if kept.len() < WARNINGS_MAX {
            kept.push(message);
        }
    }

    pub(super) fn all(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}
