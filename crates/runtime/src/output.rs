//! A task's output on a log's client: topics and changelogs as slots, partitions by hash. Not a buffer of its own.
//! Invariant: a changelog record goes to the partition of its task, whatever its key.

use headwater_log::{
    AppendRecord, Client, Error, Slot, TopicInfo, TopicPartition, partition_for_key,
};
use headwater_streams::{Output, Result, Route, Topology};
use headwater_world::Clock;
use rustc_hash::FxHashMap;
use std::{sync::Arc, time::Duration};

/// How long a topic is awaited that a record names: Kafka's default of `max.block.ms`.
const TOPIC_WAIT: Duration = Duration::from_secs(60);
/// Between two looks for it.
const TOPIC_LOOK: Duration = Duration::from_millis(250);

/// What is known of the topics written.
pub(crate) struct OutputMap {
    topics: Vec<Target>,
    others: FxHashMap<String, Target>,
    changelogs: Vec<Option<Arc<str>>>,
    changelog_slots: Vec<Vec<Option<Slot>>>,
    clock: Arc<dyn Clock>,
    awaited: Awaited,
}

/// Topics that the client does not know, or not yet: it may have to ask a broker. Kafka's producer blocks meanwhile. Here the step ends
/// as one that failed in passing, so that what it did is taken back and begun anew.
#[derive(Default)]
struct Awaited {
    /// Since when, and when it was last looked for.
    since: FxHashMap<String, (Duration, Duration)>,
    /// Nothing is processed before.
    rest_until: Duration,
}

impl Awaited {
    fn count(&mut self, client: &mut dyn Client, clock: &dyn Clock, topic: &str) -> Result<u32> {
        if let Some(partitions) = client.partitions(topic) {
            self.since.remove(topic);
            return Ok(partitions);
        }
        let now = clock.elapsed();
        let (since, looked) = self.since.entry(topic.to_owned()).or_insert((now, now));
        if now - *looked >= TOPIC_WAIT {
            // Nobody has wanted it for a while: the record went elsewhere, with its task.
            *since = now;
        }
        *looked = now;
        if now - *since >= TOPIC_WAIT {
            return Err(Error::UnknownTopic(topic.to_owned()).into());
        }
        self.rest_until = now + TOPIC_LOOK;
        let seconds = TOPIC_WAIT.as_secs();
        Err(Error::Unavailable(format!(
            "topic '{topic}', which a record is for, is not known yet; it is awaited for {seconds} s"
        ))
        .into())
    }
}

struct Target {
    name: Arc<str>,
    slots: Vec<Slot>,
    /// Records without a key go to one partition until the next commit.
    sticky: usize,
}

impl OutputMap {
    pub(crate) fn new(topology: &Topology, clock: Arc<dyn Clock>) -> Self {
        let changelogs: Vec<Option<Arc<str>>> = topology
            .stores()
            .map(|store| store.changelog.map(Arc::from))
            .collect();
        Self {
            topics: topology
                .output_topics()
                .iter()
                .map(|name| Target::new(name))
                .collect(),
            others: FxHashMap::default(),
            changelog_slots: changelogs.iter().map(|_| Vec::new()).collect(),
            changelogs,
            clock,
            awaited: Awaited::default(),
        }
    }

    /// True while a topic is awaited and it is too early to look again.
    pub(crate) fn rests(&self) -> bool {
        self.clock.elapsed() < self.awaited.rest_until
    }

    /// Takes the partition counts of topics that were described.
    pub(crate) fn learn(&mut self, client: &mut dyn Client, topics: &[TopicInfo]) {
        for target in self.topics.iter_mut().filter(|it| it.slots.is_empty()) {
            if let Some(topic) = topics.iter().find(|topic| topic.name == target.name) {
                target.take_slots(client, topic.partitions);
            }
        }
    }

    /// Moves records without a key on to the next partition.
    pub(crate) fn rotate(&mut self) {
        for target in self.topics.iter_mut().chain(self.others.values_mut()) {
            target.sticky = target.sticky.wrapping_add(1);
        }
    }
}

impl Target {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            slots: Vec::new(),
            sticky: 0,
        }
    }

    #[inline]
    fn slot(
        &mut self,
        client: &mut dyn Client,
        awaited: &mut Awaited,
        clock: &dyn Clock,
        route: Route<'_>,
    ) -> Result<Slot> {
        if self.slots.is_empty() {
            self.resolve(client, awaited, clock)?;
        }
        let partition = match route {
            Route::Key(bytes) => partition_for_key(bytes, self.slots.len() as u32) as usize,
            Route::Any => self.sticky % self.slots.len(),
            Route::Partition(partition) => partition as usize,
        };
        self.slots.get(partition).copied().ok_or_else(|| {
            Error::UnknownPartition(TopicPartition::new(self.name.clone(), partition as u32)).into()
        })
    }

    #[cold]
    fn resolve(
        &mut self,
        client: &mut dyn Client,
        awaited: &mut Awaited,
        clock: &dyn Clock,
    ) -> Result<()> {
        let partitions = awaited.count(client, clock, &self.name)?;
        self.take_slots(client, partitions);
        Ok(())
    }

    fn take_slots(&mut self, client: &mut dyn Client, partitions: u32) {
        self.slots = (0..partitions)
            .map(|partition| client.slot(&TopicPartition::new(self.name.clone(), partition)))
            .collect();
    }
}

/// [`Output`] for the length of one step.
pub(crate) struct ClientOutput<'a> {
    pub(crate) client: &'a mut dyn Client,
    pub(crate) map: &'a mut OutputMap,
}

impl Output for ClientOutput<'_> {
    #[inline]
    fn send(&mut self, topic: u32, route: Route<'_>, record: &AppendRecord<'_>) -> Result<()> {
        let map = &mut *self.map;
        let target = &mut map.topics[topic as usize];
        let slot = target.slot(self.client, &mut map.awaited, &*map.clock, route)?;
        Ok(self.client.append(slot, record)?)
    }

    fn send_to(&mut self, topic: &str, route: Route<'_>, record: &AppendRecord<'_>) -> Result<()> {
        let map = &mut *self.map;
        if !map.others.contains_key(topic) {
            map.others.insert(topic.into(), Target::new(topic));
        }
        let slot = match map.others.get_mut(topic) {
            Some(target) => target.slot(self.client, &mut map.awaited, &*map.clock, route)?,
            None => return Ok(()),
        };
        Ok(self.client.append(slot, record)?)
    }

    #[inline]
    fn changelog(&mut self, store: usize, partition: u32, record: &AppendRecord<'_>) -> Result<()> {
        let slots = &mut self.map.changelog_slots[store];
        let slot = match slots.get(partition as usize).copied().flatten() {
            Some(slot) => slot,
            None => {
                let Some(topic) = &self.map.changelogs[store] else {
                    return Ok(());
                };
                let slot = self
                    .client
                    .slot(&TopicPartition::new(topic.clone(), partition));
                slots.resize(slots.len().max(partition as usize + 1), None);
                slots[partition as usize] = Some(slot);
                slot
            }
        };
        // What has no time of its own is stamped here, as Kafka's producer does it.
        let timestamp = match record.timestamp {
            ..0 => self.map.clock.now_ms(),
            timestamp => timestamp,
        };
        let record = AppendRecord {
            timestamp,
            ..*record
        };
        Ok(self.client.append(slot, &record)?)
    }

    fn partitions(&mut self, topic: u32) -> Result<u32> {
        let map = &mut *self.map;
        let target = &mut map.topics[topic as usize];
        if target.slots.is_empty() {
            target.resolve(self.client, &mut map.awaited, &*map.clock)?;
        }
        Ok(target.slots.len() as u32)
    }

    fn partitions_of(&mut self, topic: &str) -> Result<u32> {
        let map = &mut *self.map;
        map.awaited.count(self.client, &*map.clock, topic)
    }
}
