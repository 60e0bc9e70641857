//! How a question is to be answered: by when, how new, by whom. Not what is asked. Invariant: every question has a deadline.

use crate::Token;
use std::time::Duration;

/// How long a read waits unless it says otherwise.
const DEADLINE_MS_DEFAULT: u64 = 10_000;
/// The longest a read may wait.
const DEADLINE_MS_MAX: u64 = 300_000;

/// Who may answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Staleness {
    /// The owner of the partition only: what it has committed last.
    #[default]
    Owner,
    /// A standby too, where the owner cannot be asked at once: what may be old. A read with a token takes the owner.
    StandbyAllowed,
}

/// Options of a read.
#[derive(Clone, Debug)]
pub struct Read {
    pub(crate) deadline: Duration,
    pub(crate) token: Option<Token>,
    pub(crate) staleness: Staleness,
    pub(crate) partition: Option<u32>,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(DEADLINE_MS_DEFAULT),
            token: None,
            staleness: Staleness::default(),
            partition: None,
        }
    }
}

impl Read {
    /// Of the owner, within 10 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits so long at most, from the call on; five minutes at most.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(Duration::from_millis(DEADLINE_MS_MAX));
        self
    }

    /// Answers only once everything that `token` names, and what followed from it, is visible.
    pub fn after(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Who may answer.
    pub fn staleness(mut self, staleness: Staleness) -> Self {
        self.staleness = staleness;
        self
    }

    /// Asks this partition, instead of the one that the hash of the key names: for topics whose writers choose partitions
    /// themselves. Where the application itself is such a writer, a question for a key without it is [`crate::Error::Refused`], unless
    /// [`crate::Table::partitioned_by`] says it.
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }
}
