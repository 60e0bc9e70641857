//! What a transaction that has ended still owes: its markers in the partitions, and its positions in the group. As on Kafka, where
//! the coordinator answers once the end is decided and writes both after that.
//! Not the decision: see [`super::transaction`]. Invariant: of one producer nothing is written behind what is still owed.

use super::{state::State, transaction::Producing};
use crate::{CommittedOffset, TopicPartition};
use std::sync::Arc;

/// A part of an end that is yet to be written.
pub(super) struct Owed {
    due_ms: i64,
    decided_ms: i64,
    producer: Producing,
    commit: bool,
    what: What,
}

/// Where it is to be written.
pub(super) enum What {
    /// A marker, in this partition.
    Marker(TopicPartition),
    /// A position, in this group.
    Position(Arc<str>, TopicPartition, CommittedOffset),
}

impl State {
    /// Writes a part of an end, or owes it for as long as the faults say.
    pub(super) fn settle(&mut self, producer: Producing, commit: bool, now_ms: i64, what: What) {
        let owed = Owed {
            due_ms: now_ms + self.dice.marker_delay_ms(),
            decided_ms: now_ms,
            producer,
            commit,
            what,
        };
        match owed.due_ms > now_ms {
            true => self.owed.push(owed),
            false => self.write(owed),
        }
    }

    /// Writes what is due.
    pub(super) fn settle_due(&mut self, now_ms: i64) {
        self.settle_those(|owed| owed.due_ms <= now_ms);
    }

    /// Writes what a producer owes: Kafka refuses it (`CONCURRENT_TRANSACTIONS`) until that is done.
    pub(super) fn settle_all_of(&mut self, producer_id: i64) {
        self.settle_those(|owed| owed.producer.0 == producer_id);
    }

    fn settle_those(&mut self, which: impl Fn(&Owed) -> bool) {
        if self.owed.is_empty() {
            return;
        }
        let (now, later) = std::mem::take(&mut self.owed).into_iter().partition(which);
        self.owed = later;
        Vec::into_iter(now).for_each(|owed| self.write(owed));
    }

    fn write(&mut self, owed: Owed) {
        self.news = true;
        match owed.what {
            What::Marker(name) => {
                // A topic deleted meanwhile took its part of the transaction with it.
                if let Ok(partition) = self.partition_mut(&name) {
                    partition.end_transaction(owed.producer, owed.commit, owed.decided_ms);
                }
            }
            What::Position(group, name, at) if owed.commit => {
                self.positions.entry(group).or_default().insert(name, at);
            }
            What::Position(..) => {}
        }
    }

    /// True while positions of this group are owed.
    pub(super) fn owes_positions(&self, group: &str) -> bool {
        self.owed
            .iter()
            .any(|owed| matches!(&owed.what, What::Position(of, ..) if **of == *group))
    }
}
