//! Restore: a task's stores follow their changelogs to the end that was the end when it began.
//! Not the processing of inputs. Invariant: a restore is done when the position reaches the end, never when a read came back empty.

use crate::task_slot::{Role, Stage, TaskSlot};
use crate::worker::{SlotUse, Worker};
use crate::{Error, RestoreProgress, Result};
use headwater_log::{Chunk, ChunkCursor, Offset, Slot, TaskId, TopicPartition};
use headwater_store::{Attach, CheckpointSource, Layout, Store, versioned};
use headwater_streams::{StoreInfo, Task};
use std::collections::BTreeMap;

/// By how much a changelog keeps windows longer than their store (`windowstore.changelog.additional.retention.ms`).
const CHANGELOG_SLACK_MS: i64 = 86_400_000;

/// One store of a task that is being restored.
pub(crate) struct StoreRestore {
    pub(crate) number: usize,
    pub(crate) info: StoreInfo,
    pub(crate) store: Store,
    /// Where it is read; `None` without a changelog.
    pub(crate) changelog: Option<(TopicPartition, Slot)>,
    pub(crate) start: Offset,
    pub(crate) position: Offset,
    pub(crate) end: Offset,
    /// The largest timestamp read.
    pub(crate) newest_ms: i64,
}

impl StoreRestore {
    fn is_done(&self) -> bool {
        self.changelog.is_none() || self.position >= self.end
    }

    pub(crate) fn progress(&self, task: TaskId) -> Option<RestoreProgress> {
        let (changelog, _) = self.changelog.clone()?;
        let (start, position, end) = (self.start, self.position, self.end);
        Some(RestoreProgress {
            task,
            store: self.info.name.clone(),
            changelog,
            start,
            position,
            end,
        })
    }

    /// Begins again at `start`, with nothing.
    pub(crate) fn restart(&mut self, start: Offset) -> Result<()> {
        self.store.wipe()?;
        self.store.set_position(start);
        (self.start, self.position) = (start, start);
        Ok(())
    }

    /// Applies a chunk of the changelog.
    fn apply(&mut self, chunk: Chunk) -> Result<Chunk> {
        if matches!(self.info.options.layout, Layout::Versioned { .. }) {
            return self.apply_versions(chunk);
        }
        let next = chunk.next_offset;
        let mut cursor = ChunkCursor::new(chunk);
        let mut buffer = Vec::new();
        while let Some(record) = cursor.next_record()? {
            let Some(key) = record.key else { continue };
            self.newest_ms = self.newest_ms.max(record.timestamp);
            let local = record.value.map(|value| {
                self.info
                    .local_value(record.timestamp, record.headers, value, &mut buffer)
            });
            self.store.restore(key, local)?;
        }
        self.position = next;
        self.store.set_position(next);
        Ok(cursor.into_chunk())
    }

    /// Drops windows of a standby that not even the changelog keeps: nobody tells it which ones its task has dropped, and those
    /// that the task may still change must stay.
    fn forget(&mut self, now_ms: i64) -> Result<()> {
        let kept_until = self
            .newest_ms
            .min(now_ms)
            .saturating_sub(CHANGELOG_SLACK_MS);
        if kept_until > 0 {
            self.store.advance(kept_until)?;
        }
        Ok(())
    }

    /// As [`StoreRestore::apply`], for a store that keeps versions: each record is put where it belongs in time.
    /// By our rule also under `Semantics::Java`: what is compared with Kafka Streams has no restart of such a store.
    fn apply_versions(&mut self, chunk: Chunk) -> Result<Chunk> {
        let next = chunk.next_offset;
        let mut cursor = ChunkCursor::new(chunk);
        while let Some(record) = cursor.next_record()? {
            let Some(key) = record.key else { continue };
            versioned::put(&mut self.store, key, record.value, record.timestamp)?;
        }
        self.store.seal();
        self.store.commit(Some(next))?;
        self.position = next;
        Ok(cursor.into_chunk())
    }
}

impl Worker {
    /// Opens a task's stores at their checkpoints and begins to read what the changelogs hold beyond.
    pub(crate) fn begin_restore(
        &mut self,
        id: TaskId,
        ends: &BTreeMap<TopicPartition, (Offset, Offset)>,
    ) -> Result<()> {
        let Some(mut slot) = self.tasks.remove(&id) else {
            return Ok(());
        };
        let stores = self
            .topology
            .subtopology(id.subtopology)
            .map(|part| part.stores.clone())
            .unwrap_or_default();
        let mut restores = Vec::new();
        for number in stores {
            restores.push(self.open_store(&mut slot, number, ends)?);
        }
        let follows = slot.role == Role::Standby;
        for (index, restore) in restores.iter().enumerate() {
            let Some((_, client_slot)) = &restore.changelog else {
                continue;
            };
            if restore.is_done() && !follows {
                continue;
            }
            self.slots.insert(*client_slot, SlotUse::Restore(id, index));
            if !(follows && self.standbys_paused) {
                self.client.read_from(*client_slot, restore.position);
            }
            if let Some(progress) = restore.progress(id) {
                match follows {
                    true => self.settings.listener.standby_started(&progress),
                    false => self.settings.listener.restore_started(&progress),
                }
            }
        }
        slot.stage = match slot.role {
            Role::Active => Stage::Restoring(restores),
            Role::Standby => Stage::Following(restores),
        };
        self.tasks.insert(id, slot);
        self.finish_restore(id)
    }

    fn open_store(
        &mut self,
        slot: &mut TaskSlot,
        number: usize,
        ends: &BTreeMap<TopicPartition, (Offset, Offset)>,
    ) -> Result<StoreRestore> {
        let info = self
            .topology
            .store(number)
            .ok_or_else(|| Error::Config(format!("the topology has no store {number}")))?;
        let changelog = info
            .changelog
            .as_ref()
            .map(|topic| TopicPartition::new(topic.as_str(), slot.id.partition));
        let kept = slot
            .kept
            .iter()
            .position(|(kept, _)| *kept == number)
            .map(|at| slot.kept.swap_remove(at).1);
        let (start, end) = changelog
            .as_ref()
            .and_then(|partition| ends.get(partition))
            .copied()
            .unwrap_or((0, 0));
        let is_kept = kept.is_some();
        let mut store = match kept {
            Some(store) => store,
            None => {
                let dir = slot.dir.as_ref().and_then(|dir| dir.store(&info.name));
                let mut options = info.options.clone();
                if dir.is_none() {
                    options.engine = headwater_store::EngineKind::Memory;
                }
                Store::open(options, dir.as_deref(), &self.budget, &self.settings.world)?
            }
        };
        if self.doomed.remove(&(slot.id, number)) {
            store.wipe()?;
        }
        let position = match (&changelog, store.position().filter(|_| is_kept)) {
            (Some(partition), Some(position)) => {
                match self.gap(&store, slot, partition, position, (start, end)) {
                    None => position,
                    Some(why) => {
                        self.tell_wiped(slot.id, &store, why);
                        store.wipe()?;
                        self.attach(&mut store, slot, partition, start, end)
                    }
                }
            }
            (None, Some(position)) => position,
            (Some(partition), None) => self.attach(&mut store, slot, partition, start, end),
            (None, None) => start,
        };
        let changelog = changelog.map(|partition| {
            let client_slot = self.client.slot(&partition);
            (partition, client_slot)
        });
        Ok(StoreRestore {
            number,
            info,
            store,
            changelog,
            start: position,
            position,
            end,
            newest_ms: -1,
        })
    }

    /// Why a store that stayed open at `position` cannot read on from there; `None` when it can.
    fn gap(
        &self,
        store: &Store,
        slot: &TaskSlot,
        changelog: &TopicPartition,
        position: Offset,
        (start, end): (Offset, Offset),
    ) -> Option<&'static str> {
        let topic_id = slot.topic_ids.get(&*changelog.topic).map_or(0, |id| id.0);
        if topic_id != store.topic_id() && topic_id != 0 && store.topic_id() != 0 {
            return Some(
                "its changelog was deleted and created again: what only that held is lost",
            );
        }
        let held = (start..=end).contains(&position);
        (!held).then_some("records that it had not read yet are gone from its changelog")
    }

    /// Where the store's checkpoint lets the restore begin: the changelog's start when it cannot be trusted.
    fn attach(
        &self,
        store: &mut Store,
        slot: &TaskSlot,
        changelog: &TopicPartition,
        start: Offset,
        end: Offset,
    ) -> Offset {
        let topic_id = slot.topic_ids.get(&*changelog.topic).map_or(0, |id| id.0);
        let source = CheckpointSource {
            topic: changelog.topic.to_string(),
            topic_id,
            log_start: start,
            log_end: end,
            now_ms: self.settings.world.clock.now_ms(),
        };
        match store.attach(&source) {
            Attach::Resume { position } => position.max(start),
            Attach::Wiped { reason } => {
                self.tell_wiped(slot.id, store, &reason);
                store.set_position(start);
                start
            }
        }
    }

    fn tell_wiped(&self, task: TaskId, store: &Store, why: &str) {
        let name = store.name();
        self.settings.listener.notice(&format!(
            "task {task}: store '{name}' is restored from the beginning: {why}"
        ));
    }

    /// Applies a chunk to the store it belongs to.
    pub(crate) fn restore_chunk(&mut self, id: TaskId, index: usize, chunk: Chunk) -> Result<()> {
        let Some(slot) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        let follows = slot.role == Role::Standby;
        let Some(restore) = slot.restores().get_mut(index) else {
            return Ok(());
        };
        let client_slot = chunk.slot;
        let chunk = restore.apply(chunk)?;
        if follows {
            restore.end = chunk.end_offset;
            restore.forget(self.settings.world.clock.now_ms())?;
            let lag = (restore.end - restore.position).max(0);
            let reader = restore.store.reader();
            self.views
                .follow(&restore.info.name, id.partition, reader, lag);
        }
        self.client.recycle(chunk);
        let progress = restore.progress(id);
        if follows {
            if let Some(progress) = &progress {
                self.settings.listener.standby_updated(progress);
            }
            return Ok(());
        }
        let done = restore.is_done();
        if let Some(progress) = &progress {
            self.settings.listener.restored(progress);
            if done {
                self.settings.listener.restore_ended(progress);
            }
        }
        if done {
            self.client.stop_reading(client_slot);
            self.slots.remove(&client_slot);
            self.finish_restore(id)?;
        }
        Ok(())
    }

    /// Wires the task once all its stores are restored.
    fn finish_restore(&mut self, id: TaskId) -> Result<()> {
        let Some(slot) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        match &mut slot.stage {
            Stage::Restoring(restores) if restores.iter().all(StoreRestore::is_done) => {}
            _ => return Ok(()),
        }
        let Stage::Restoring(restores) = std::mem::replace(&mut slot.stage, Stage::Waiting) else {
            return Ok(());
        };
        let mut stores = Vec::new();
        for restore in restores {
            self.views
                .insert(&restore.info.name, id.partition, restore.store.reader());
            stores.push((restore.number, restore.store));
        }
        let starts = std::mem::take(&mut slot.starts);
        let mut start = |partition: &TopicPartition| starts.get(partition).copied().unwrap_or(0);
        let mut task = Task::new(
            &self.topology,
            id,
            stores,
            &slot.committed,
            &mut start,
            &mut self.cache,
        )?;
        if let Some(globals) = self.globals.get() {
            task = task.with_globals(globals);
        }
        task.set_idle_ms_max(self.settings.task_idle_ms_max);
        let executor = self.settings.world.executor.clone();
        task.set_executor(executor, self.waker.clone());
        task.set_poisoned(&self.poisoned);
        self.uncommitted |= task.set_mixed(self.mixed);
        let now = self.settings.world.clock.now_ms();
        let mut output = crate::output::ClientOutput {
            client: &mut *self.client,
            map: &mut self.output,
        };
        task.open(&mut self.cache, &mut output, now)?;
        self.positions.advance(&slot.committed);
        let reached = slot
            .committed
            .iter()
            .map(|(at, offset)| (at, offset.offset));
        self.views.watches().reached(reached);
        slot.input_slots.clear();
        slot.paused.clear();
        for (index, (partition, at)) in task.offsets().enumerate() {
            let client_slot = self.client.slot(&partition);
            self.slots.insert(client_slot, SlotUse::Input(id, index));
            self.client
                .read_behind(client_slot, at.offset, at.leader_epoch);
            slot.input_slots.push(client_slot);
            slot.paused.push(false);
        }
        slot.stage = Stage::Running(Box::new(task));
        self.views.opened(id);
        Ok(())
    }
}
