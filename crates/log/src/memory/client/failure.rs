//! What a failed commit does to its client, at the moment the client hears of it. Not how it failed: see
//! [`crate::memory::request`]. Invariant: nothing computed from a commit that failed reaches the log.

use super::MemoryClient;
use crate::memory::hit::Moment;
use crate::{Completion, Error, Response, Ticket};

impl MemoryClient {
    /// What a commit submitted now is to end with, when an earlier one failed and the client has not heard of it.
    pub(super) fn unheard_failure(&self) -> Option<Error> {
        self.done.iter().find_map(|done| match &done.result {
            Err(error) if self.is_commit(done.ticket) => Some(after(error)),
            _ => None,
        })
    }

    fn is_commit(&self, ticket: Ticket) -> bool {
        self.committing_bytes.iter().any(|(it, _)| *it == ticket)
    }

    /// What it is the answer to, before it is handed out.
    pub(super) fn moment_of(&self, done: &Completion) -> Moment {
        match (&done.result, self.is_commit(done.ticket)) {
            (_, true) => Moment::End,
            (Ok(Response::Receipt(_) | Response::Aborted), false) => Moment::Settlement,
            _ => Moment::Question,
        }
    }

    /// What a completion does to the client at the moment the caller learns of it.
    pub(super) fn hand_out(&mut self, done: &Completion) {
        if let Ok(Response::Receipt(_) | Response::Aborted) = done.result {
            self.in_doubt = false;
        }
        if !self.is_commit(done.ticket) {
            return;
        }
        self.committing_bytes
            .retain(|(ticket, _)| *ticket != done.ticket);
        let Err(error) = &done.result else {
            return;
        };
        // What was appended meanwhile was computed from what has failed.
        self.take_batches();
        match error {
            Error::UnknownOutcome | Error::TimedOut(_) => self.in_doubt = true,
            Error::Fenced(reason) => self.start_over(reason.clone()),
            _ => {}
        }
    }

    /// A member whose commit was fenced joins anew; a producer that was fenced cannot.
    fn start_over(&mut self, reason: String) {
        let key = self.writer.key;
        if let Some(member) = &mut self.member {
            self.shared.with(|state| {
                let fenced = key
                    .is_some_and(|key| matches!(state.check_producer(key), Err(Error::Fenced(_))));
                match fenced {
                    true => member.stop(state, reason),
                    false => member.start_over(state),
                }
            });
        }
    }
}

/// What the commits after a failed one end with.
pub(super) fn after(error: &Error) -> Error {
    match error {
        Error::UnknownOutcome | Error::TimedOut(_) => Error::UnknownOutcome,
        Error::Fenced(reason) => Error::Fenced(reason.clone()),
        other => Error::Aborted(format!("the commit before it failed: {other}")),
    }
}
