//! Where in a client's conversation with the log each fault fell, so that a campaign can show what it has not tried. Not the dice.
//! Invariant: counting draws no number, so a seed has the same course whether anybody looks or not.

use super::state::State;
use std::collections::BTreeMap;

/// A fault, as the client it happened to would see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hit {
    /// What was asked never took effect.
    LostRequest,
    /// What was asked took effect, and the client does not hear of it. Between two steps of a commit a lost request is this as well:
    /// the step before took effect.
    LostAnswer,
    /// An answer or an assignment is to come a second time.
    RepeatedAnswer,
    /// A commit was refused because another is the owner.
    FencedCommit,
}

/// Where a client stood when a fault fell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Its batches were on their way.
    Flush,
    /// Its offsets were.
    Offsets,
    /// The end of its transaction was, or the whole of a commit that has one step only.
    End,
    /// An abort, or the question how a commit ended.
    Settlement,
    /// Another question, or a change of the log.
    Question,
    /// The group told it a new list of tasks.
    Assignment,
}

/// What happened since somebody looked, and which client is at what.
#[derive(Default)]
pub(super) struct Hits {
    counts: BTreeMap<(Hit, Moment), usize>,
    /// Clients with a commit, an abort or a settlement under way, by number.
    standing: BTreeMap<u64, (String, Moment)>,
}

impl State {
    pub(super) fn hit(&mut self, hit: Hit, moment: Moment) {
        *self.hits.counts.entry((hit, moment)).or_default() += 1;
    }

    pub(super) fn take_hits(&mut self) -> BTreeMap<(Hit, Moment), usize> {
        std::mem::take(&mut self.hits.counts)
    }

    /// What a client's commit is at; `None` without one.
    pub(super) fn stands(&mut self, client: u64, id: &str, moment: Option<Moment>) {
        let Some(moment) = moment else {
            self.hits.standing.remove(&client);
            return;
        };
        let standing = self.hits.standing.entry(client);
        standing.or_insert_with(|| (id.to_owned(), moment)).1 = moment;
    }

    pub(super) fn standing(&self, id: &str) -> Option<Moment> {
        let mut standing = self.hits.standing.values();
        let found = standing.find(|(client, _)| client == id);
        found.map(|(_, moment)| *moment)
    }
}
