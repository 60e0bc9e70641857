//! Assignment: tasks come and go as the group says, and are opened step by step. Not the group's coordinator: the log has it.
//! Invariant: a task is given up only after the commit that covers its last record, or with everything uncommitted dropped.

use crate::commit::Commit;
use crate::internal_topics;
use crate::output::ClientOutput;
use crate::task_slot::{Role, Stage, TaskSlot};
use crate::worker::{SlotUse, Worker};
use crate::{Error, Listener, Result};
use headwater_log::{
    Assignment, Completion, Error as LogError, Fate, GroupEvent, Request, Response, TaskId,
    TopicPartition,
};
use headwater_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Completions taken from the client in one step.
const STEP_COMPLETIONS_MAX: usize = 256;
/// How long a task waits before it asks again after an answer that said to retry.
const RETRY_MS: u64 = 50;
/// How long an internal topic may be missing that somebody else makes.
const MISSING_MS_MAX: u64 = 10_000;

impl Worker {
    pub(crate) fn take_completions(&mut self) -> Result<bool> {
        for taken in 0..STEP_COMPLETIONS_MAX {
            let Some(Completion { ticket, result }) = self.client.poll() else {
                return Ok(taken > 0);
            };
            if self.commit_completed(ticket, &result)? {
                continue;
            }
            let Some(id) = self
                .tasks
                .values()
                .find(|slot| slot.awaits(ticket))
                .map(|slot| slot.id)
            else {
                continue; // An answer for a task that is gone, or one that nobody awaits.
            };
            match result {
                Ok(response) => self.task_answered(id, response)?,
                Err(error) if error.fate() == Fate::Fatal && !self.may_appear(id, &error) => {
                    return Err(error.into());
                }
                Err(_) => {
                    // Asked again from the start: positions must be read before ends.
                    let now = self.settings.world.clock.elapsed();
                    if let Some(slot) = self.tasks.get_mut(&id) {
                        slot.stage = Stage::Waiting;
                        slot.retry_at = Some(now + Duration::from_millis(RETRY_MS));
                    }
                }
            }
        }
        Ok(true)
    }

    /// True for an internal topic of the task that is missing, for a while: whoever assigned the task may not have heard yet that
    /// the topic was deleted, by a reset for example, and makes it anew when it does.
    fn may_appear(&mut self, id: TaskId, error: &LogError) -> bool {
        let LogError::UnknownTopic(topic) = error else {
            return false;
        };
        let Some(slot) = self.tasks.get_mut(&id) else {
            return false;
        };
        let mut changelogs = slot.changelogs.iter();
        let is_internal = self.repartition_topics.contains(topic)
            || changelogs.any(|(_, partition)| *partition.topic == **topic);
        let now = self.settings.world.clock.elapsed();
        let since = *slot.missing_since.get_or_insert(now);
        is_internal && now.saturating_sub(since) < Duration::from_millis(MISSING_MS_MAX)
    }

    fn task_answered(&mut self, id: TaskId, response: Response) -> Result<()> {
        if let Response::Offsets(offsets) = response {
            let mut ends: BTreeMap<TopicPartition, (i64, i64)> = BTreeMap::new();
            let Some(slot) = self.tasks.get_mut(&id) else {
                return Ok(());
            };
            slot.missing_since = None;
            let inputs = slot.inputs.len();
            let mut written = Vec::new();
            for (index, (partition, offset)) in offsets.into_iter().enumerate() {
                if index < inputs {
                    slot.starts.insert(partition, offset);
                } else if slot.inner.contains(&*partition.topic) {
                    written.push((partition, offset));
                } else {
                    // Start, then end, of each changelog.
                    ends.entry(partition)
                        .and_modify(|range| range.1 = offset)
                        .or_insert((offset, offset));
                }
            }
            self.written.raise(written.iter());
            return self.begin_restore(id, &ends);
        }
        if let Response::Topics(topics) = &response {
            self.output.learn(&mut *self.client, topics);
            for notice in internal_topics::check(&self.topology, id, topics)? {
                // Once for all tasks of the worker.
                if self.told_topics.insert(notice.clone()) {
                    self.settings.listener.notice(&notice);
                }
            }
        }
        let Some(slot) = self.tasks.get_mut(&id) else {
            return Ok(());
        };
        if let Some(request) = slot.answered(response) {
            let is_topics = matches!(request, Request::DescribeTopics(_));
            let ticket = self.client.submit(request);
            slot.stage = if is_topics {
                Stage::Topics(ticket)
            } else {
                Stage::Ends(ticket)
            };
        }
        Ok(())
    }

    pub(crate) fn take_assignment(&mut self) -> Result<bool> {
        let mut any = false;
        while let Some(event) = self.client.group_event() {
            any = true;
            match event {
                GroupEvent::Assigned(assignment) => {
                    self.epoch = assignment.epoch;
                    self.settings.listener.assigned(self.number(), &assignment);
                    self.assigned(assignment)?;
                }
                GroupEvent::Fenced(reason) => self.fenced(&reason)?,
                GroupEvent::NotReady(reason) => {
                    self.settings.listener.notice(&format!("waiting: {reason}"))
                }
                GroupEvent::Mixed(mixed) => self.mixed(mixed),
                GroupEvent::Notice(text) => self.settings.listener.notice(&text),
                GroupEvent::Refused(reason) => return Err(Error::Group(reason)),
            }
        }
        Ok(any)
    }

    /// Kafka Streams has come into the group, or has left it.
    fn mixed(&mut self, mixed: bool) {
        self.mixed = mixed;
        self.settings.listener.notice(match mixed {
            true => {
                "the group has members that do not say how far their time has come (Kafka Streams): windows behind repartition topics close by the fastest task upstream, as theirs do"
            }
            false => "windows behind repartition topics close by the slowest task upstream again",
        });
        for slot in self.tasks.values_mut() {
            if let Stage::Running(task) = &mut slot.stage {
                // Windows that were held open leave though no record comes.
                self.uncommitted |= task.set_mixed(mixed);
            }
        }
    }

    fn assigned(
        &mut self,
        Assignment {
            active, standby, ..
        }: Assignment,
    ) -> Result<()> {
        let active: BTreeSet<TaskId> = active.into_iter().collect();
        let standby: BTreeSet<TaskId> = standby.into_iter().collect();
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in ids {
            let Some(slot) = self.tasks.get_mut(&id) else {
                continue;
            };
            let promoted = slot.role == Role::Standby && active.contains(&id);
            let stores = slot
                .restores()
                .iter()
                .filter_map(|it| it.progress(id))
                .collect::<Vec<_>>();
            slot.want(active.contains(&id), standby.contains(&id));
            if promoted {
                for progress in &stores {
                    self.settings.listener.standby_ended(progress, true);
                }
                self.stop_inputs(id);
            }
        }
        let active = active.into_iter().map(|id| (id, Role::Active));
        let standby = standby.into_iter().map(|id| (id, Role::Standby));
        for (id, role) in active.chain(standby) {
            let topology = &self.topology;
            let slot = self.tasks.entry(id);
            slot.or_insert_with(|| TaskSlot::new(id, role, topology));
        }
        self.close_revoked()
    }

    /// Starts tasks whose directory is free and that no pending settlement holds back, once the global stores are there.
    pub(crate) fn open_waiting(&mut self) -> bool {
        let settled = matches!(self.commit, Commit::Idle | Commit::Pending { .. });
        if !settled || !self.globals.is_ready() {
            return false;
        }
        let mut any = false;
        let now = self.settings.world.clock.elapsed();
        for slot in self.tasks.values_mut() {
            if !matches!(slot.stage, Stage::Waiting) || slot.revoked || self.stopping {
                continue;
            }
            if slot.retry_at.is_some_and(|at| now < at) {
                continue;
            }
            if slot.dir.is_none() {
                slot.dir = self.state_dir.take(slot.id);
            }
            if slot.dir.is_some() {
                slot.stage = match slot.role {
                    Role::Active => {
                        Stage::Committed(self.client.submit(Request::CommittedOffsets {
                            group: self.group.clone(),
                            partitions: Some(slot.inputs.clone()),
                        }))
                    }
                    Role::Standby => Stage::Topics(self.client.submit(slot.ask_topics())),
                };
                any = true;
            }
        }
        any
    }

    /// Stops reading for a task.
    pub(crate) fn stop_inputs(&mut self, id: TaskId) {
        let client = &mut self.client;
        self.slots.retain(|client_slot, slot_use| {
            let (SlotUse::Input(owner, _) | SlotUse::Restore(owner, _)) = slot_use;
            if *owner == id {
                client.stop_reading(*client_slot);
            }
            *owner != id
        });
    }

    /// Closes tasks that are to be given up and have nothing uncommitted; tells the group what is left.
    pub(crate) fn close_revoked(&mut self) -> Result<()> {
        if !matches!(self.commit, Commit::Idle) {
            return Ok(());
        }
        // Under load the worker as a whole is hardly ever clean: its other tasks go on while a commit is under way.
        let all_clean = !self.uncommitted && self.client.appended_bytes() == 0;
        let ids: Vec<TaskId> = self
            .tasks
            .values()
            .filter(|slot| slot.revoked || self.stopping)
            .filter(|slot| all_clean || slot.is_clean || !matches!(slot.stage, Stage::Running(_)))
            .map(|slot| slot.id)
            .collect();
        for id in &ids {
            self.stop_inputs(*id);
            self.views.closed(*id);
            if let Some(slot) = self.tasks.remove(id) {
                self.close(slot)?;
            }
        }
        // A member that is about to leave gives everything up with that.
        if !self.stopping {
            let held = |role: Role| {
                let held = self.tasks.values().filter(move |slot| slot.role == role);
                held.map(|slot| slot.id).collect::<Vec<_>>()
            };
            let (active, standby) = (held(Role::Active), held(Role::Standby));
            self.client.own(&active, &standby);
        }
        Ok(())
    }

    /// Ends a task that has nothing uncommitted. A demoted one leaves its stores to the standby that it becomes.
    fn close(&mut self, mut slot: TaskSlot) -> Result<()> {
        let id = slot.id;
        if slot.role == Role::Standby {
            for progress in slot.restores().iter().filter_map(|it| it.progress(id)) {
                self.settings.listener.standby_ended(&progress, false);
            }
        }
        slot.keep_stores_of(|task| {
            let mut output = ClientOutput {
                client: &mut *self.client,
                map: &mut self.output,
            };
            task.close(&mut self.cache, Some(&mut output))
        })?;
        for (number, store) in &mut slot.kept {
            if let Some(info) = self.topology.store(*number) {
                self.views.remove(&info.name, id.partition);
            }
            // Where all is given up, the group hears of that before the disk is waited for.
            if !self.stopping {
                checkpoint_kept(id, store, &*self.settings.listener)?;
            }
        }
        if self.stopping {
            self.parting
                .push((id, slot.dir.take(), std::mem::take(&mut slot.kept)));
            return Ok(());
        }
        if slot.demoted {
            let standby = TaskSlot::new(id, Role::Standby, &self.topology);
            let (dir, kept) = (slot.dir, slot.kept);
            self.tasks.insert(
                id,
                TaskSlot {
                    dir,
                    kept,
                    ..standby
                },
            );
        }
        Ok(())
    }

    /// Writes what the closed tasks of a worker that stops have in memory.
    pub(crate) fn checkpoint_parting(&mut self) -> Result<()> {
        for (id, dir, kept) in std::mem::take(&mut self.parting) {
            for (_, mut store) in kept {
                checkpoint_kept(id, &mut store, &*self.settings.listener)?;
            }
            // Whoever waits for the directory finds everything in it.
            drop(dir);
        }
        Ok(())
    }

    /// No longer the owner: every active task and everything uncommitted is dropped; the client joins anew. Standbys hold only
    /// what others have committed, so they stay until the next list says what becomes of them.
    pub(crate) fn fenced(&mut self, reason: &str) -> Result<()> {
        self.settings.listener.notice(&format!(
            "worker {} was fenced and drops its tasks: {reason}",
            self.member
        ));
        let active = self.tasks.values().filter(|slot| slot.role == Role::Active);
        let ids: Vec<TaskId> = active.map(|slot| slot.id).collect();
        for id in ids {
            self.stop_inputs(id);
            self.views.closed(id);
            let Some(slot) = self.tasks.remove(&id) else {
                continue;
            };
            if let Stage::Running(mut task) = slot.stage {
                task.abort(&mut self.cache);
                for (number, _) in task.close(&mut self.cache, None)? {
                    if let Some(info) = self.topology.store(number) {
                        self.views.remove(&info.name, id.partition);
                    }
                }
            }
        }
        self.lose_commit();
        self.mixed = false;
        self.uncommitted = false;
        self.client.submit(Request::Abort);
        self.client.own(&[], &[]);
        Ok(())
    }
}

/// Writes a closed task's store, where anything is not yet on disk.
fn checkpoint_kept(id: TaskId, store: &mut Store, listener: &dyn Listener) -> Result<()> {
    // What is kept of a task that had not got as far as its changelog says has no position.
    if store.position().is_some() && store.position() != store.checkpoint_position() {
        store.checkpoint()?;
        listener.checkpointed(id, store.name());
    }
    Ok(())
}
