//! What waits for the log's turn: commits, changes, questions. Bounded; a full queue answers `Unavailable`.
//! Not a scheduler. Invariant: requests of one client are served in the order submitted.

use super::client::Mailbox;
use crate::{CommitRequest, Offset, Request, Ticket, TopicPartition};
use std::{collections::VecDeque, sync::Arc};

/// Sealed batches for one partition, each with its number of records.
pub(super) type Sealed = (TopicPartition, Vec<(Vec<u8>, u32)>);

/// Something for the turn to do.
pub(super) enum Work {
    Commit(Box<Commit>),
    /// A request that changes the log without records.
    Change(Request),
    /// A question: answered by the client itself once everything before it is done.
    Ask,
    /// Records before an offset have outlived their retention.
    Expire(Vec<(TopicPartition, Offset)>),
    /// A compaction wrote its file.
    Compacted(Box<super::compaction::Outcome>),
}

/// A commit with what was appended for it.
pub(super) struct Commit {
    pub(super) request: CommitRequest,
    pub(super) batches: Vec<Sealed>,
    /// Bytes of `batches`.
    pub(super) bytes: usize,
    /// Grows when the client is handed a failed commit; see [`Mailbox::refuses`].
    pub(super) generation: u64,
    /// The transactional id and which of its clients this is; a later client fences earlier ones.
    pub(super) producer: Option<(Arc<str>, u64)>,
}

/// A request with the place its answer goes to.
pub(super) struct Submission {
    pub(super) mailbox: Option<Arc<Mailbox>>,
    pub(super) ticket: Ticket,
    pub(super) work: Work,
}

/// Requests in order.
pub(super) struct Queue {
    waiting: VecDeque<Submission>,
    max: usize,
    /// The log closes once the queue is empty.
    pub(super) closing: bool,
}

impl Queue {
    pub(super) fn new(max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            max: max.max(1),
            closing: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a request, or hands it back because the queue is full.
    pub(super) fn push(&mut self, submission: Submission) -> Result<(), Box<Submission>> {
        if self.waiting.len() >= self.max {
            return Err(Box::new(submission));
        }
        self.waiting.push_back(submission);
        Ok(())
    }

    /// Adds a request of the log's own.
    pub(super) fn push_own(&mut self, submission: Submission) {
        self.waiting.push_back(submission);
    }

    /// The next group: one change alone, or commits and questions up to `bytes_max` of batches.
    pub(super) fn take(&mut self, bytes_max: usize) -> Vec<Submission> {
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            match &next.work {
                Work::Commit(commit) => {
                    if bytes > 0 && bytes + commit.bytes > bytes_max {
                        break;
                    }
                    bytes += commit.bytes;
                }
                Work::Ask => {}
                Work::Change(_) | Work::Expire(_) | Work::Compacted(_) => {
                    if group.is_empty() {
                        group.extend(self.waiting.pop_front());
                    }
                    break;
                }
            }
            group.extend(self.waiting.pop_front());
        }
        group
    }
}
