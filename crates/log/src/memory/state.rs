//! All that the clients of a memory log share: topics, positions, producers, groups, and what is out of order.
//! Not a client's own side: open batches and requests under way are in [`super::client`].
//! Invariant: whatever a reader or a member may be waiting for sets `news`, and every client is woken.

use super::{
    fault::{Dice, Faults},
    hit::Hits,
    marker::Owed,
    partition::Partition,
    transaction::Producer,
};
use crate::{
    CommittedOffset, Coordinator, Error, NewTopic, Result, TopicConfig, TopicId, TopicInfo,
    TopicPartition, Topics,
};
use headwater_world::Random;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    task::Waker,
    time::Duration,
};

/// Time passes in steps of this: every timeout is given in ms, and a poll within the same one costs nothing.
const TICK: Duration = Duration::from_millis(1);

/// A group's committed positions.
pub(super) type Positions = BTreeMap<TopicPartition, CommittedOffset>;

/// One topic.
pub(super) struct Topic {
    pub(super) id: TopicId,
    pub(super) config: TopicConfig,
    pub(super) partitions: Vec<Partition>,
}

/// All of it.
pub(super) struct State {
    pub(super) dice: Dice,
    pub(super) kafka_like: bool,
    pub(super) topics: BTreeMap<Arc<str>, Topic>,
    pub(super) positions: BTreeMap<Arc<str>, Positions>,
    pub(super) producers: BTreeMap<i64, Producer>,
    /// In the order in which it was decided.
    pub(super) owed: Vec<Owed>,
    pub(super) coordinator: Coordinator,
    /// When the coordinator last looked around, at which version of itself and of the topics.
    ticked: Option<(Duration, u64, u64)>,
    /// Grows with every topic created, deleted or enlarged.
    pub(super) topics_version: u64,
    frozen: BTreeSet<String>,
    /// Partitions that are away, until when; `None` is until told.
    unavailable: BTreeMap<TopicPartition, Option<Duration>>,
    pub(super) wakers: BTreeMap<u64, Waker>,
    clients: u64,
    pub(super) news: bool,
    pub(super) hits: Hits,
}

impl State {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            kafka_like: faults.kafka_like,
            dice: Dice::new(faults),
            topics: BTreeMap::new(),
            positions: BTreeMap::new(),
            producers: BTreeMap::new(),
            owed: Vec::new(),
            coordinator: Coordinator::new(),
            ticked: None,
            topics_version: 0,
            frozen: BTreeSet::new(),
            unavailable: BTreeMap::new(),
            wakers: BTreeMap::new(),
            clients: 0,
            news: false,
            hits: Hits::default(),
        }
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.dice = Dice::new(faults);
        self.news = true;
    }

    pub(super) fn add_client(&mut self, waker: Option<Waker>) -> u64 {
        self.clients += 1;
        if let Some(waker) = waker {
            self.wakers.insert(self.clients, waker);
        }
        self.clients
    }

    pub(super) fn partition(&self, name: &TopicPartition) -> Result<&Partition> {
        let topic = self
            .topics
            .get(&name.topic)
            .ok_or_else(|| Error::UnknownTopic(name.topic.to_string()))?;
        let found = topic.partitions.get(name.partition as usize);
        found.ok_or_else(|| Error::UnknownPartition(name.clone()))
    }

    pub(super) fn partition_mut(&mut self, name: &TopicPartition) -> Result<&mut Partition> {
        let topic = self
            .topics
            .get_mut(&name.topic)
            .ok_or_else(|| Error::UnknownTopic(name.topic.to_string()))?;
        let found = topic.partitions.get_mut(name.partition as usize);
        found.ok_or_else(|| Error::UnknownPartition(name.clone()))
    }

    pub(super) fn info(&self, name: &Arc<str>, topic: &Topic) -> TopicInfo {
        TopicInfo {
            name: Arc::clone(name),
            id: topic.id,
            partitions: topic.partitions.len() as u32,
            config: topic.config.clone(),
        }
    }

    pub(super) fn compact(&mut self, topic: &str, keep_tombstones: bool) -> Result<()> {
        let found = self
            .topics
            .get_mut(topic)
            .ok_or_else(|| Error::UnknownTopic(topic.to_owned()))?;
        for partition in &mut found.partitions {
            partition.compact(keep_tombstones);
        }
        Ok(())
    }

    pub(super) fn freeze(&mut self, client_id: &str) {
        self.frozen.insert(client_id.to_owned());
    }

    pub(super) fn thaw(&mut self, client_id: &str) {
        self.frozen.remove(client_id);
        self.news = true;
    }

    pub(super) fn is_frozen(&self, client_id: &str) -> bool {
        !self.frozen.is_empty() && self.frozen.contains(client_id)
    }

    pub(super) fn set_available(&mut self, partition: &TopicPartition, available: bool) {
        match available {
            true => self.unavailable.remove(partition),
            false => self.unavailable.insert(partition.clone(), None),
        };
        self.news = true;
    }

    pub(super) fn is_available(&self, partition: &TopicPartition) -> bool {
        self.unavailable.is_empty() || !self.unavailable.contains_key(partition)
    }

    /// Rolls whether a partition goes away at this read.
    pub(super) fn roll_availability(&mut self, now: Duration, partition: &TopicPartition) {
        if self.dice.loses_partition() {
            let until = now + Duration::from_millis(self.dice.faults.unavailable_ms);
            self.unavailable
                .entry(partition.clone())
                .or_insert(Some(until));
        }
    }

    /// What time brings: partitions come back, transactions time out, groups move. Called at each poll of each client.
    pub(super) fn tick(&mut self, now: Duration, now_ms: i64, random: &dyn Random) {
        let versions = (self.coordinator.version(), self.topics_version);
        let is_fresh = |(at, group, topics): (Duration, u64, u64)| {
            now < at + TICK && (group, topics) == versions
        };
        if self.ticked.is_some_and(is_fresh) {
            return;
        }
        let away = self.unavailable.len();
        self.unavailable
            .retain(|_, until| until.is_none_or(|until| until > now));
        self.news |= away != self.unavailable.len();
        self.expire_transactions(now, now_ms);
        self.settle_due(now_ms);
        let mut coordinator = std::mem::take(&mut self.coordinator);
        coordinator.tick(
            now,
            &mut Creating {
                state: self,
                random,
            },
        );
        self.coordinator = coordinator;
        let heard_at = self.ticked.map(|(_, version, _)| version);
        let version = self.coordinator.version();
        self.news |= heard_at != Some(version);
        self.ticked = Some((now, version, self.topics_version));
    }
}

/// The topics as the coordinator sees and creates them.
struct Creating<'a> {
    state: &'a mut State,
    random: &'a dyn Random,
}

impl Topics for Creating<'_> {
    fn partitions(&self, topic: &str) -> Option<u32> {
        let found = self.state.topics.get(topic);
        found.map(|topic| topic.partitions.len() as u32)
    }

    fn create(&mut self, topic: NewTopic) -> Result<()> {
        self.state.create_topic(&topic, self.random)
    }
}
