//! How often a member's transactional id was taken although its group still had it. Not who took it: a broker does so when a transaction
//! times out, and another program that uses the same id does it again and again. Invariant: of two that fight, one gives up.

/// Times in a row that a member starts over because of it.
const TAKINGS_MAX: u32 = 3;
/// A taking this long after the last one begins a new row.
const CALM_MS: u64 = 60_000;

/// Counts the takings of one membership.
#[derive(Debug, Default)]
pub(crate) struct Takings {
    in_a_row: u32,
    total: u32,
    last_ms: u64,
}

impl Takings {
    /// One more. An error when it is one too many in a row: it says why nobody goes on.
    pub(crate) fn count(&mut self, now_ms: u64, process: &str) -> Result<(), String> {
        if now_ms.saturating_sub(self.last_ms) > CALM_MS {
            self.in_a_row = 0;
        }
        self.last_ms = now_ms;
        self.in_a_row += 1;
        self.total += 1;
        if self.in_a_row <= TAKINGS_MAX {
            return Ok(());
        }
        Err(format!(
            "a later client took the transactional id of a worker of process {process} {} times, each within {CALM_MS} ms of the one \
             before; find the program that uses transactional ids with this process id: kafka-transactions.sh list",
            self.in_a_row
        ))
    }

    /// Of the whole membership.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }
}
