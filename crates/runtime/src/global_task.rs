//! Follows the topics of the global stores (`GlobalStreamThread`): from what the stores hold, or the start, to the end before any
//! task runs, then as records come. One for each process, of no group, on its own client. Not a task: it commits no positions.
//! Invariant: `step` does bounded work and never waits; what tasks see moves on with whole chunks.
//!
//! ```text
//! Waiting -> Topics? -> Offsets? -> Following (ready once every partition has reached the end it had at the start)
//!    ^----- retry, or a topic is missing -----|
//! ```

use crate::global_note::{self, Noted};
use crate::globals::SharedGlobals;
use crate::process::Process;
use crate::state_dir::StateDir;
use crate::views::Views;
use crate::watches::Changed;
use crate::{Error, RestoreProgress, Result, Settings};
use headwater_log::{
    Chunk, ChunkCursor, Client, CommittedOffset, Completion, Error as LogError, Fate, Offset,
    OffsetSpec, Request, Response, Slot, TaskId, Ticket, TopicInfo, TopicPartition,
};
use headwater_store::{Budget, EngineKind, Store};
use headwater_streams::{GlobalUpdate, SubtopologyInfo, Topology};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Chunks taken from the client in one step, and ms after which a step takes no further one.
const STEP_CHUNKS_MAX: usize = 16;
const STEP_MS_MAX: u64 = 20;
/// How long it waits before it asks again.
const RETRY_MS: u64 = 50;
/// How often it looks for partitions that were added.
const REFRESH_MS: u64 = 30_000;

enum Stage {
    Waiting(Duration),
    Topics(Ticket),
    Offsets(Ticket, Vec<TopicPartition>),
    Following,
}

/// One partition that fills a global store.
struct Followed {
    /// The topic's number in the topology.
    topic: u32,
    part: usize,
    partition: TopicPartition,
    start: Offset,
    position: Offset,
    /// The end that is to be reached before tasks run.
    end: Offset,
}

/// Follows the topics of the global stores of a process.
pub(crate) struct GlobalTask {
    topology: Arc<Topology>,
    settings: Settings,
    client: Box<dyn Client>,
    shared: Arc<SharedGlobals>,
    state_dir: Arc<StateDir>,
    budget: Arc<Budget>,
    views: Views,
    stage: Stage,
    update: Option<GlobalUpdate>,
    followed: Vec<Followed>,
    slots: FxHashMap<Slot, usize>,
    topic_ids: BTreeMap<Arc<str>, u128>,
    /// Said once: the topics that are missing.
    told_missing: String,
    checkpointed_at: Duration,
    refreshed_at: Duration,
}

impl GlobalTask {
    /// The one of a process; `None` when the topology has no global stores.
    pub(crate) fn new(
        topology: &Arc<Topology>,
        settings: &Settings,
        client: Box<dyn Client>,
        process: &Process,
    ) -> Option<Self> {
        if !process.globals.is_wanted() {
            return None;
        }
        let now = settings.world.clock.elapsed();
        Some(Self {
            topology: topology.clone(),
            settings: settings.clone(),
            client,
            shared: process.globals.clone(),
            state_dir: process.state_dir.clone(),
            budget: process.budget.clone(),
            views: process.views.clone(),
            stage: Stage::Waiting(now),
            update: None,
            followed: Vec::new(),
            slots: FxHashMap::default(),
            topic_ids: BTreeMap::new(),
            told_missing: String::new(),
            checkpointed_at: now,
            refreshed_at: now,
        })
    }

    /// One turn of the crank; true when calling again at once would do more.
    pub(crate) fn step(&mut self) -> Result<bool> {
        let now = self.settings.world.clock.elapsed();
        let refresh = Duration::from_millis(REFRESH_MS);
        let ask = match self.stage {
            Stage::Waiting(at) => now >= at,
            Stage::Following => now.saturating_sub(self.refreshed_at) >= refresh,
            _ => false,
        };
        if ask {
            self.refreshed_at = now;
            let topics = self.topics().map(|(_, _, topic)| topic.to_string());
            let request = Request::DescribeTopics(Some(topics.collect()));
            self.stage = Stage::Topics(self.client.submit(request));
        }
        let mut busy = ask;
        while let Some(completion) = self.client.poll() {
            busy = true;
            self.take_completion(completion)?;
        }
        busy |= self.take_chunks(now)?;
        self.checkpoint_if_due(now)?;
        Ok(busy)
    }

    /// Writes down how far it is. Nothing is followed afterwards.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.checkpoint(true)
    }

    /// The topics that fill global stores: number of the part, number of the topic, name.
    fn topics(&self) -> impl Iterator<Item = (usize, u32, &Arc<str>)> {
        let names = self.topology.source_topics();
        let parts = self.topology.globals().iter().enumerate();
        parts.flat_map(move |(part, info)| {
            let topics = info.source_topics.iter();
            topics.map(move |topic| (part, *topic, &names[*topic as usize]))
        })
    }

    fn take_completion(&mut self, Completion { ticket, result }: Completion) -> Result<()> {
        let asked = match &self.stage {
            Stage::Topics(asked) | Stage::Offsets(asked, _) => *asked == ticket,
            Stage::Waiting(_) | Stage::Following => false,
        };
        if !asked {
            return Ok(());
        }
        match (std::mem::replace(&mut self.stage, Stage::Following), result) {
            (_, Ok(Response::Topics(topics))) => self.described(&topics),
            (Stage::Offsets(_, partitions), Ok(Response::Offsets(offsets))) => {
                self.begin(&partitions, &offsets)
            }
            (_, Ok(_)) => Err(Error::Config(
                "the log answered something else than it was asked for global topics".into(),
            )),
            (_, Err(error)) if error.fate() == Fate::Fatal => Err(error.into()),
            (_, Err(_)) => {
                self.wait();
                Ok(())
            }
        }
    }

    /// Asks again in a while; what is followed already goes on.
    fn wait(&mut self) {
        let now = self.settings.world.clock.elapsed();
        self.stage = match self.update {
            Some(_) => Stage::Following,
            None => Stage::Waiting(now + Duration::from_millis(RETRY_MS)),
        };
    }

    fn described(&mut self, topics: &[TopicInfo]) -> Result<()> {
        let known = |name: &str| topics.iter().find(|topic| *topic.name == *name);
        let missing: Vec<&str> = (self.topics())
            .filter(|(_, _, name)| known(name).is_none())
            .map(|(_, _, name)| &**name)
            .collect();
        if !missing.is_empty() {
            let missing = missing.join("', '");
            if self.told_missing != missing {
                let notice = format!("waiting: topic '{missing}' of a global store does not exist");
                self.settings.listener.notice(&notice);
                self.told_missing = missing;
            }
            self.wait();
            return Ok(());
        }
        let mut partitions = Vec::new();
        for (_, _, name) in self.topics() {
            let count = known(name).map_or(0, |topic| topic.partitions);
            let all = (0..count).map(|partition| TopicPartition::new(name.clone(), partition));
            let followed = |at: &TopicPartition| self.followed.iter().any(|it| it.partition == *at);
            partitions.extend(all.filter(|at| !followed(at)));
        }
        for topic in topics {
            self.topic_ids.insert(topic.name.clone(), topic.id.0);
        }
        if partitions.is_empty() && self.update.is_some() {
            self.stage = Stage::Following;
            return Ok(());
        }
        // Under exactly once only what is committed is read: an open transaction of others is not waited for.
        let specs = [OffsetSpec::Start, OffsetSpec::Stable].into_iter();
        let specs = specs.flat_map(|spec| partitions.iter().map(move |at| (at.clone(), spec)));
        let ticket = self.client.submit(Request::Offsets(specs.collect()));
        self.stage = Stage::Offsets(ticket, partitions);
        Ok(())
    }

    /// Follows `partitions`, whose starts and then ends are `offsets`.
    fn begin(
        &mut self,
        partitions: &[TopicPartition],
        offsets: &[(TopicPartition, Offset)],
    ) -> Result<()> {
        let (starts, ends) = offsets.split_at(offsets.len() / 2);
        let range: BTreeMap<&TopicPartition, (Offset, Offset)> = (starts.iter().zip(ends))
            .map(|((at, start), (_, end))| (at, (*start, *end)))
            .collect();
        let noted = match self.update {
            Some(_) => Noted::new(),
            None => self.open(&range)?,
        };
        let topics: Vec<(usize, u32, Arc<str>)> = (self.topics())
            .map(|(part, topic, name)| (part, topic, name.clone()))
            .collect();
        for partition in partitions {
            let found = topics.iter().find(|(_, _, name)| *name == partition.topic);
            let (Some((part, topic, _)), Some((start, end))) = (found, range.get(partition)) else {
                continue;
            };
            let position = noted
                .get(partition)
                .map_or(*start, |(_, position)| *position);
            let slot = self.client.slot(partition);
            self.slots.insert(slot, self.followed.len());
            self.client.read_from(slot, position);
            let followed = Followed {
                topic: *topic,
                part: *part,
                partition: partition.clone(),
                start: position,
                position,
                end: *end,
            };
            self.followed.push(followed);
        }
        for followed in &self.followed {
            if !self.shared.is_ready() && followed.position < followed.end {
                self.tell(followed, |listener, progress| {
                    listener.restore_started(progress)
                });
            }
        }
        self.stage = Stage::Following;
        self.become_ready();
        Ok(())
    }

    /// Opens the stores, and answers where they say that reading goes on.
    fn open(&mut self, range: &BTreeMap<&TopicPartition, (Offset, Offset)>) -> Result<Noted> {
        let mut all = Vec::new();
        let mut known = Noted::new();
        let topology = self.topology.clone();
        for part in topology.globals() {
            let mut stores = Vec::new();
            for number in &part.stores {
                stores.push((*number, self.open_store(*number)?));
            }
            match self.trusted(part, &mut stores, range) {
                Ok(noted) => known.extend(noted),
                Err(reason) => {
                    for (_, store) in &mut stores {
                        if let Some(reason) = &reason {
                            self.settings.listener.notice(&format!(
                                "global store '{}' is read from the beginning: {reason}",
                                store.name()
                            ));
                        }
                        store.wipe()?;
                    }
                }
            }
            all.extend(stores);
        }
        let mut update = GlobalUpdate::new(&topology, all)
            .expect("a global task is only made for a topology with global stores");
        update.open(self.settings.world.clock.now_ms())?;
        update.commit()?;
        self.update = Some(update);
        Ok(known)
    }

    fn open_store(&self, number: usize) -> Result<Store> {
        let info = self
            .topology
            .store(number)
            .ok_or_else(|| Error::Config(format!("the topology has no store {number}")))?;
        let dir = self.state_dir.global(&info.name);
        let mut options = info.options.clone();
        // Damage is no error: its topics bring the store back.
        options.changelog = Some(info.name.clone());
        if dir.is_none() {
            options.engine = EngineKind::Memory;
        }
        Ok(Store::open(
            options,
            dir.as_deref(),
            &self.budget,
            &self.settings.world,
        )?)
    }

    /// The positions that the stores of a part were left at, the least of them; or why they cannot be gone on from, `None` when
    /// they are new.
    fn trusted(
        &self,
        part: &SubtopologyInfo,
        stores: &mut [(usize, Store)],
        range: &BTreeMap<&TopicPartition, (Offset, Offset)>,
    ) -> Result<Noted, Option<String>> {
        let names = self.topology.source_topics();
        let fills = |at: &TopicPartition| {
            let mut topics = part.source_topics.iter();
            topics.any(|topic| names[*topic as usize] == at.topic)
        };
        let mut least = Noted::new();
        for (_, store) in stores {
            if let Some(reason) = store.take_wiped() {
                return Err(Some(reason));
            }
            if store.note().is_empty() {
                return Err(None);
            }
            let Some(noted) = global_note::decode(store.note()) else {
                return Err(Some("its positions cannot be read".into()));
            };
            let written = store.checkpoint_time_ms().unwrap_or(0);
            let age_ms = self.settings.world.clock.now_ms().saturating_sub(written);
            let kept_ms = store.options().delete_retention_ms;
            for (partition, (start, end)) in range.iter().filter(|(at, _)| fills(at)) {
                // One that was added since is read from its start.
                let Some((topic_id, position)) = noted.get(*partition).copied() else {
                    continue;
                };
                let is_id = self.topic_ids.get(&partition.topic).copied().unwrap_or(0);
                if topic_id != is_id && topic_id != 0 && is_id != 0 {
                    let topic = &partition.topic;
                    return Err(Some(format!(
                        "topic '{topic}' was deleted and created again"
                    )));
                }
                if position < *start || position > *end {
                    return Err(Some(format!(
                        "its position {position} is outside of {partition} ({start} to {end})"
                    )));
                }
                if position < *end && age_ms > kept_ms {
                    return Err(Some(format!(
                        "its checkpoint is {age_ms} ms old, and deletions may be gone after {kept_ms} ms"
                    )));
                }
                let at = least
                    .entry((*partition).clone())
                    .or_insert((is_id, position));
                at.1 = at.1.min(position);
            }
        }
        Ok(least)
    }

    fn take_chunks(&mut self, began: Duration) -> Result<bool> {
        for taken in 0..STEP_CHUNKS_MAX {
            let spent = self.settings.world.clock.elapsed().saturating_sub(began);
            if taken > 0 && spent >= Duration::from_millis(STEP_MS_MAX) {
                return Ok(true);
            }
            let chunk = match self.client.fetch() {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(taken > 0),
                Err(LogError::OffsetOutOfRange {
                    partition,
                    offset,
                    start,
                    end,
                }) => {
                    return Err(self.lost(&partition, offset, start, end));
                }
                Err(error) if error.fate() == Fate::Retry => return Ok(taken > 0),
                Err(error) => return Err(error.into()),
            };
            match self.slots.get(&chunk.slot).copied() {
                Some(index) => self.apply(index, chunk)?,
                None => self.client.recycle(chunk),
            }
        }
        Ok(true)
    }

    /// Records were deleted before they were read. Rows that they deleted or changed would stay as they are for ever, so the
    /// process ends as Kafka Streams' does, and the next start reads the topic from the beginning.
    fn lost(&self, at: &TopicPartition, offset: Offset, start: Offset, end: Offset) -> Error {
        Error::Config(format!(
            "{at} fills a global store, and offset {offset} is no longer in it ({start} to {end}); start again: the store is then read from the beginning"
        ))
    }

    fn apply(&mut self, index: usize, chunk: Chunk) -> Result<()> {
        let Some(update) = &mut self.update else {
            self.client.recycle(chunk);
            return Ok(());
        };
        let followed = &mut self.followed[index];
        let now_ms = self.settings.world.clock.now_ms();
        let next = chunk.next_offset;
        let partition = followed.partition.partition;
        let mut cursor = ChunkCursor::new(chunk);
        while let Some(record) = cursor.next_record()? {
            update.apply(followed.topic, partition, &record, now_ms)?;
        }
        let (watches, mut changed) = (self.views.watches(), Vec::new());
        update.commit_after(&mut |_, store| {
            let mut keys = watches.collect(store.name(), 0);
            if let Changed::Keys(_) = keys {
                store.pending_keys(&mut |key| keys.push(key));
            }
            changed.push((store.name().to_owned(), keys));
        })?;
        self.client.recycle(cursor.into_chunk());
        followed.position = next;
        let position = CommittedOffset::at(next);
        let moved = [(followed.partition.clone(), position)];
        self.shared.positions.advance(&moved);
        self.tell_waiters(&moved[0].0, next, &changed);
        if !self.shared.is_ready() {
            let followed = &self.followed[index];
            self.tell(followed, |listener, progress| listener.restored(progress));
            if followed.position >= followed.end {
                self.tell(followed, |listener, progress| {
                    listener.restore_ended(progress)
                });
            }
            self.become_ready();
        }
        Ok(())
    }

    /// Rings those who wait for the stores to change or for this position.
    fn tell_waiters(&self, at: &TopicPartition, position: Offset, changed: &[(String, Changed)]) {
        let watches = self.views.watches();
        if !self.shared.is_ready() || watches.waiters() == 0 {
            return;
        }
        for (store, keys) in changed {
            watches.changed(store, 0, keys);
        }
        watches.reached(std::iter::once((at, position)));
    }

    /// Lets tasks run once every partition has reached the end it had.
    fn become_ready(&mut self) {
        let Some(update) = &self.update else {
            return;
        };
        if self.shared.is_ready() || self.followed.iter().any(|it| it.position < it.end) {
            return;
        }
        let positions: Vec<_> = (self.followed.iter())
            .map(|it| {
                let position = CommittedOffset::at(it.position);
                (it.partition.clone(), position)
            })
            .collect();
        self.shared.positions.advance(&positions);
        let globals = update.globals();
        for (name, reader) in globals.readers() {
            self.views.insert(name, 0, reader);
        }
        self.shared.set_ready(globals);
    }

    /// Tells the listener how far a partition is, for each store that it fills.
    fn tell(&self, followed: &Followed, hear: impl Fn(&dyn crate::Listener, &RestoreProgress)) {
        let part = &self.topology.globals()[followed.part];
        for number in &part.stores {
            let progress = RestoreProgress {
                task: TaskId {
                    subtopology: part.id,
                    partition: followed.partition.partition,
                },
                store: self
                    .topology
                    .store(*number)
                    .map_or_else(String::new, |info| info.name),
                changelog: followed.partition.clone(),
                start: followed.start,
                position: followed.position,
                end: followed.end,
            };
            hear(&*self.settings.listener, &progress);
        }
    }

    fn checkpoint_if_due(&mut self, now: Duration) -> Result<()> {
        let interval = Duration::from_millis(self.settings.checkpoint_interval_ms);
        let due = now.saturating_sub(self.checkpointed_at) >= interval;
        if due {
            self.checkpointed_at = now;
        }
        self.checkpoint(due)
    }

    /// Writes stores to disk, with the positions that they are at: those over their budget, or `all`.
    fn checkpoint(&mut self, all: bool) -> Result<()> {
        let Some(update) = &mut self.update else {
            return Ok(());
        };
        for (number, store) in update.stores() {
            if !(all || store.needs_checkpoint()) {
                continue;
            }
            let parts = self.topology.globals().iter();
            let part = parts
                .enumerate()
                .find(|(_, part)| part.stores.contains(&number));
            let Some((part, info)) = part else { continue };
            let noted = self.followed.iter().filter(|it| it.part == part).map(|it| {
                let id = self
                    .topic_ids
                    .get(&it.partition.topic)
                    .copied()
                    .unwrap_or(0);
                (it.partition.clone(), (id, it.position))
            });
            store.set_note(global_note::encode(&noted.collect()));
            if store.checkpoint()? != headwater_store::CheckpointStats::default() {
                let task = TaskId {
                    subtopology: info.id,
                    partition: 0,
                };
                self.settings.listener.checkpointed(task, store.name());
            }
        }
        Ok(())
    }
}
