//! An incremental fetch session with one broker (KIP-227): only what changed is said again.
//! Not the fetching. Invariant: what the broker remembers of the session is what is remembered here, or the next request is whole.

use crate::protocol::{
    Uuid,
    fetch::{FetchPartition, FetchTopic, ForgottenTopic},
};
use std::{collections::BTreeMap, sync::Arc};

/// What is asked of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) topic: Arc<str>,
    pub(super) topic_id: Uuid,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    /// Of the last batch read, -1 when none was.
    pub(super) last_epoch: i32,
    pub(super) max_bytes: i32,
}

/// A session.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    /// 0 asks for a new session and gives up the old one.
    epoch: i32,
    known: BTreeMap<(Uuid, i32), Wanted>,
}

/// The parts of a request that the session decides.
#[derive(Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) session_id: i32,
    pub(super) session_epoch: i32,
    pub(super) topics: Vec<FetchTopic>,
    pub(super) forgotten: Vec<ForgottenTopic>,
}

impl Session {
    pub(super) fn ask(&mut self, wanted: &[Wanted]) -> Ask {
        let is_whole = self.epoch == 0;
        let before = std::mem::take(&mut self.known);
        self.known = wanted
            .iter()
            .map(|it| ((it.topic_id, it.partition), it.clone()))
            .collect();
        let is_changed =
            |it: &&Wanted| is_whole || before.get(&(it.topic_id, it.partition)) != Some(*it);
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        let gone = before
            .iter()
            .filter(|(key, _)| !self.known.contains_key(key));
        for ((topic_id, partition), it) in gone.filter(|_| !is_whole) {
            match forgotten
                .last_mut()
                .filter(|last| last.topic_id == *topic_id)
            {
                Some(last) => last.partitions.push(*partition),
                None => forgotten.push(ForgottenTopic {
                    topic: it.topic.to_string(),
                    topic_id: *topic_id,
                    partitions: vec![*partition],
                }),
            }
        }
        Ask {
            session_id: self.id,
            session_epoch: self.epoch,
            topics: topics(wanted.iter().filter(is_changed)),
            forgotten,
        }
    }

    /// A request without a session.
    pub(super) fn once(wanted: &[Wanted]) -> Ask {
        Ask {
            session_id: 0,
            session_epoch: -1,
            topics: topics(wanted.iter()),
            forgotten: Vec::new(),
        }
    }

    /// The broker answered without an error of the session.
    pub(super) fn answered(&mut self, session_id: i32) {
        if session_id == 0 {
            // The broker keeps no session for this client: every request is whole.
            *self = Self::default();
            return;
        }
        self.id = session_id;
        self.epoch = if self.epoch == i32::MAX {
            1
        } else {
            self.epoch + 1
        };
    }

    /// Whatever the broker remembers is not known: the next request is whole, and gives up what was.
    pub(super) fn reset(&mut self) {
        self.epoch = 0;
        self.known.clear();
    }
}

fn topics<'a>(wanted: impl Iterator<Item = &'a Wanted>) -> Vec<FetchTopic> {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for it in wanted {
        let partition = FetchPartition {
            partition: it.partition,
            current_leader_epoch: it.leader_epoch,
            fetch_offset: it.offset,
            last_fetched_epoch: it.last_epoch,
            partition_max_bytes: it.max_bytes,
            ..FetchPartition::default()
        };
        match topics
            .iter_mut()
            .find(|topic| topic.topic_id == it.topic_id)
        {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(FetchTopic {
                topic: it.topic.to_string(),
                topic_id: it.topic_id,
                partitions: vec![partition],
            }),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(partition: i32, offset: i64) -> Wanted {
        Wanted {
            topic: "t".into(),
            topic_id: Uuid(7),
            partition,
            offset,
            leader_epoch: 0,
            last_epoch: -1,
            max_bytes: 100,
        }
    }

    fn said(ask: &Ask) -> Vec<(i32, i64)> {
        let partitions = ask.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|it| (it.partition, it.fetch_offset))
            .collect()
    }

    #[test]
    fn only_what_changed_is_said_again() {
        let mut session = Session::default();
        let first = session.ask(&[wanted(0, 5), wanted(1, 0)]);
        assert_eq!((first.session_id, first.session_epoch), (0, 0));
        assert_eq!(said(&first), [(0, 5), (1, 0)]);
        session.answered(9);
        let second = session.ask(&[wanted(0, 8), wanted(1, 0)]);
        assert_eq!((second.session_id, second.session_epoch), (9, 1));
        assert_eq!((said(&second), second.forgotten.len()), (vec![(0, 8)], 0));
        session.answered(9);
        let third = session.ask(&[wanted(1, 0)]);
        assert_eq!((third.session_epoch, said(&third).len()), (2, 0));
        assert_eq!(third.forgotten[0].partitions, [0]);
    }

    #[test]
    fn after_a_loss_everything_is_said_and_the_old_session_given_up() {
        let mut session = Session::default();
        session.ask(&[wanted(0, 5)]);
        session.answered(9);
        session.ask(&[wanted(0, 5)]);
        session.reset();
        let ask = session.ask(&[wanted(0, 5)]);
        assert_eq!((ask.session_id, ask.session_epoch), (9, 0));
        assert_eq!(said(&ask), [(0, 5)]);
        assert_eq!(ask.forgotten, []);
        session.answered(0);
        assert_eq!(session.ask(&[wanted(0, 5)]).session_epoch, 0);
    }
}
