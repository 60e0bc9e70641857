//! The commit: what was processed since the last one becomes visible and durable together, or not at all.
//! Not the log's transaction: the client carries that out. Invariant: after a failed or unknown commit nothing is processed
//! until its outcome is settled, positions are read anew, and the stores have followed their changelogs to the end.
//!
//! ```text
//! Idle --flush, seal, submit--> Pending --receipt--> Idle      (a second overlay fills meanwhile, never a third)
//!                                  |  failed or unknown
//!                                  v
//!                    drop overlays, Settling --known--> tasks reopen
//! ```
//!
//! Fenced meanwhile, the worker has nothing to do with the outcome (Lost), but nothing is processed before it has come either: with
//! a commit that fails the log drops what was appended after it.

use crate::output::ClientOutput;
use crate::task_slot::{Stage, TaskSlot};
use crate::watches::Changed;
use crate::worker::Worker;
use crate::{Committed, Result};
use headwater_log::{
    CommitRequest, CommittedOffset, Error as LogError, Fate, Receipt, Request, Response, TaskId,
    Ticket, TopicPartition,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// First wait between two attempts to settle; doubles to [`SETTLE_WAIT_MS_MAX`], with jitter.
const SETTLE_WAIT_MS: u64 = 20;
const SETTLE_WAIT_MS_MAX: u64 = 2_000;

/// Between the beginnings of two commits of a worker that commits when it is idle. On Kafka each is a transaction, which costs the
/// brokers a marker in every partition it wrote and records of the coordinator, however little is in it: with this there are
/// 200 a second of a worker at most.
pub(crate) const IDLE_COMMIT_GAP: Duration = Duration::from_millis(5);

/// Input positions that moved.
type Moved = Vec<(TopicPartition, CommittedOffset)>;

pub(crate) enum Commit {
    Idle,
    Pending {
        ticket: Ticket,
        tasks: Vec<(TaskId, Moved)>,
    },
    Settling {
        ticket: Ticket,
        attempt: u32,
    },
    /// The log did not know yet; asked again at this time.
    Waiting {
        until: Duration,
        attempt: u32,
    },
    /// The worker was fenced while it was under way: whoever owns the tasks next reads how it ended.
    Lost {
        ticket: Ticket,
    },
}

impl Worker {
    /// Starts a commit when one is due; at most one is under way. `is_idle`: this step has left nothing
    /// that was ready.
    pub(crate) fn commit_if_due(&mut self, is_idle: bool) -> Result<bool> {
        if let Commit::Waiting { until, attempt } = self.commit
            && self.settings.world.clock.elapsed() >= until
        {
            let ticket = self.client.submit(Request::Settle);
            self.commit = Commit::Settling { ticket, attempt };
            return Ok(true);
        }
        if !matches!(self.commit, Commit::Idle) || !self.has_uncommitted() {
            return Ok(false);
        }
        let elapsed = self.since_commit();
        let interval = Duration::from_millis(self.settings.commit_interval_ms);
        let asked = self.stopping
            || self.tasks.values().any(|slot| match &slot.stage {
                Stage::Running(task) => slot.revoked || task.commit_requested(),
                _ => false,
            });
        let rests = is_idle && self.commits_when_idle() && elapsed >= IDLE_COMMIT_GAP;
        let is_full = self.client.appended_bytes() >= self.append_bytes_soft;
        if !asked && !rests && !is_full && elapsed < interval {
            return Ok(false);
        }
        if self.calls_running() {
            return self.drain_calls();
        }
        self.draining_since = None;
        self.begin_commit()?;
        Ok(true)
    }

    /// True when the next commit begins as soon as there is nothing else to do. Calls to the outside are something to do: a commit
    /// that waited for them would hold up what comes meanwhile, so it is the interval that makes them end.
    pub(crate) fn commits_when_idle(&self) -> bool {
        self.settings.commit_when_idle
            && matches!(self.commit, Commit::Idle)
            && !self.calls_running()
    }

    /// How long ago the last commit began.
    pub(crate) fn since_commit(&self) -> Duration {
        let now = self.settings.world.clock.elapsed();
        now.saturating_sub(self.committed_at)
    }

    /// At least once a commit may be far away (30 s by Kafka's default), and nobody downstream has to wait for it.
    pub(crate) fn send_lingering(&mut self) {
        if !self.client.holds_back() {
            self.lingers_since = None;
            return;
        }
        let now = self.settings.world.clock.elapsed();
        self.lingers_since.get_or_insert(now);
        if self.linger_left().is_zero() {
            self.client.send_appended();
            self.lingers_since = None;
        }
    }

    /// How long a worker that holds records back may sleep at most.
    pub(crate) fn linger_left(&self) -> Duration {
        let Some(since) = self.lingers_since else {
            return Duration::MAX;
        };
        let now = self.settings.world.clock.elapsed();
        Duration::from_millis(self.settings.linger_ms).saturating_sub(now.saturating_sub(since))
    }

    fn calls_running(&self) -> bool {
        self.tasks.values().any(|slot| match &slot.stage {
            Stage::Running(task) => task.calls_running() > 0,
            _ => false,
        })
    }

    /// A commit is due, and calls to the outside are under way whose records it would cover: it waits for them, while nothing
    /// new is processed, but not for longer than its transaction lasts.
    fn drain_calls(&mut self) -> Result<bool> {
        let now = self.settings.world.clock.elapsed();
        let since = *self.draining_since.get_or_insert(now);
        let waited_ms = now.saturating_sub(since).as_millis() as u64;
        if waited_ms < self.settings.async_wait_ms_max {
            return Ok(false);
        }
        self.draining_since = None;
        Err(LogError::Aborted(format!(
            "calls of map_async did not end within {waited_ms} ms; their records are processed again"
        ))
        .into())
    }

    /// Takes what calls have brought.
    pub(crate) fn poll_calls(&mut self) -> Result<bool> {
        if !matches!(self.commit, Commit::Idle | Commit::Pending { .. }) {
            return Ok(false);
        }
        let now_ms = self.settings.world.clock.now_ms();
        let mut sent = 0;
        for slot in self.tasks.values_mut() {
            let Stage::Running(task) = &mut slot.stage else {
                continue;
            };
            let mut output = ClientOutput {
                client: &mut *self.client,
                map: &mut self.output,
            };
            let of_task = task.poll_calls(&mut self.cache, &mut output, now_ms)?;
            if of_task > 0 {
                slot.worked();
            }
            sent += of_task;
        }
        self.uncommitted |= sent > 0;
        Ok(sent > 0)
    }

    fn has_uncommitted(&self) -> bool {
        self.uncommitted || self.client.appended_bytes() > 0
    }

    fn begin_commit(&mut self) -> Result<()> {
        let mut tasks = Vec::new();
        for slot in self.tasks.values_mut() {
            let Stage::Running(task) = &mut slot.stage else {
                continue;
            };
            let mut output = ClientOutput {
                client: &mut *self.client,
                map: &mut self.output,
            };
            task.flush(&mut self.cache, &mut output)?;
            task.seal()?;
            slot.rests = true;
            let has_moved = |(partition, offset): &(TopicPartition, CommittedOffset)| {
                let mut known = slot.committed.iter();
                !known.any(|(known, at)| known == partition && at.offset == offset.offset)
            };
            tasks.push((slot.id, task.offsets().filter(has_moved).collect::<Moved>()));
            let left_out = task.times_left_out();
            if left_out > 0 && !std::mem::replace(&mut slot.told_left_out, true) {
                self.settings.listener.notice(&format!(
                    "task {}: {left_out} times that operators have observed do not fit beside a committed offset; after a \
                     restart these operators begin without them, as in Kafka Streams",
                    slot.id
                ));
            }
        }
        self.output.rotate();
        let request = CommitRequest {
            group: Some(self.group.clone()),
            member: Some((self.member.clone(), self.epoch)),
            offsets: tasks.iter().flat_map(|(_, moved)| moved).cloned().collect(),
        };
        let ticket = self.client.submit(Request::Commit(request));
        self.uncommitted = false;
        self.committed_at = self.settings.world.clock.elapsed();
        self.commit = Commit::Pending { ticket, tasks };
        Ok(())
    }

    /// Takes the end of a commit or of its settling; false when the ticket is another's.
    pub(crate) fn commit_completed(
        &mut self,
        ticket: Ticket,
        result: &headwater_log::Result<Response>,
    ) -> Result<bool> {
        match std::mem::replace(&mut self.commit, Commit::Idle) {
            Commit::Pending {
                ticket: mine,
                tasks,
            } if mine == ticket => match result {
                Ok(Response::Receipt(receipt)) => self.committed(tasks, receipt)?,
                Ok(_) => self.committed(tasks, &Receipt::default())?,
                Err(error) => self.commit_failed(error)?,
            },
            Commit::Settling {
                ticket: mine,
                attempt,
            } if mine == ticket => match result {
                // Either way the tasks read their positions anew: those tell what took effect.
                Ok(_) => self.reopen_all()?,
                Err(error) if error.fate() == Fate::Retry => {
                    let wait = SETTLE_WAIT_MS
                        .saturating_mul(1 << attempt.min(10))
                        .min(SETTLE_WAIT_MS_MAX);
                    let jitter = self.settings.world.random.below(wait / 2 + 1);
                    let until = self.settings.world.clock.elapsed()
                        + Duration::from_millis(wait / 2 + jitter);
                    self.commit = Commit::Waiting {
                        until,
                        attempt: attempt + 1,
                    };
                }
                Err(error) => self.commit_failed(error)?,
            },
            Commit::Lost { ticket: mine } if mine == ticket => {
                if let Err(LogError::UnknownOutcome | LogError::TimedOut(_)) = result {
                    let ticket = self.client.submit(Request::Settle);
                    self.commit = Commit::Lost { ticket };
                } else {
                    // What came and went meanwhile may have no commit that ends.
                    self.close_revoked()?;
                }
            }
            other => {
                self.commit = other;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives up what is under way, without waiting for it.
    pub(crate) fn lose_commit(&mut self) {
        self.commit = match std::mem::replace(&mut self.commit, Commit::Idle) {
            Commit::Idle => Commit::Idle,
            Commit::Pending { ticket, .. }
            | Commit::Settling { ticket, .. }
            | Commit::Lost { ticket } => Commit::Lost { ticket },
            Commit::Waiting { .. } => Commit::Lost {
                ticket: self.client.submit(Request::Settle),
            },
        };
    }

    fn committed(&mut self, tasks: Vec<(TaskId, Moved)>, receipt: &Receipt) -> Result<()> {
        let ends: BTreeMap<&TopicPartition, i64> = receipt
            .ends
            .iter()
            .map(|(partition, end)| (partition, *end))
            .collect();
        let (mut positions, mut changed) = (Moved::new(), Vec::new());
        for (id, moved) in tasks {
            positions.extend(moved.iter().cloned());
            let Some(slot) = self.tasks.get_mut(&id) else {
                continue;
            };
            slot.is_clean = slot.rests;
            let TaskSlot {
                stage: Stage::Running(task),
                changelogs,
                committed,
                ..
            } = slot
            else {
                continue;
            };
            for (number, store) in task.stores() {
                let mut keys = self.views.watches().collect(store.name(), id.partition);
                if let Changed::Keys(_) = keys {
                    store.pending_keys(&mut |key| keys.push(key));
                }
                let changelog = changelogs
                    .iter()
                    .find(|(known, _)| *known == number)
                    .map(|(_, partition)| partition);
                store.commit(changelog.and_then(|partition| ends.get(partition)).copied())?;
                changed.push((number, id.partition, keys));
            }
            committed.retain(|(known, _)| moved.iter().all(|(partition, _)| partition != known));
            committed.extend(moved);
        }
        self.commits += 1;
        // Before the positions: whoever sees one asks what was written until then.
        let sources = self.topology.source_topics();
        let is_inner = |at: &TopicPartition| sources.contains(&at.topic);
        let written = receipt.ends.iter();
        self.written.raise(written.filter(|(at, _)| is_inner(at)));
        self.positions.advance(&positions);
        self.tell_waiters(&positions, &changed);
        self.purge();
        self.settings.listener.committed(&Committed {
            positions,
            receipt: receipt.clone(),
        });
        self.close_revoked()
    }

    /// Rings those who wait for what became visible: after the stores show it, and after the positions say so.
    fn tell_waiters(&self, positions: &Moved, changed: &[(usize, u32, Changed)]) {
        let watches = self.views.watches();
        if watches.waiters() == 0 {
            return;
        }
        for (number, partition, keys) in changed {
            if let Some(info) = self.topology.store(*number) {
                watches.changed(&info.name, *partition, keys);
            }
        }
        watches.reached(positions.iter().map(|(at, offset)| (at, offset.offset)));
    }

    /// Deletes what was consumed of repartition topics, now and then: of every task, also of one whose position this commit has
    /// not moved, since a slow one would otherwise have to meet the interval by chance.
    fn purge(&mut self) {
        let now = self.settings.world.clock.elapsed();
        if now.saturating_sub(self.purged_at)
            < Duration::from_millis(self.settings.purge_interval_ms)
        {
            return;
        }
        self.purged_at = now;
        let running = self.tasks.values();
        let running = running.filter(|slot| matches!(slot.stage, Stage::Running(_)));
        let consumed: Vec<_> = running
            .flat_map(|slot| &slot.committed)
            .filter(|(at, to)| self.repartition_topics.contains(&*at.topic) && to.offset > 0)
            .map(|(partition, offset)| (partition.clone(), offset.offset))
            .collect();
        if !consumed.is_empty() {
            // Its completion is not awaited: what is not deleted now is deleted next time.
            self.client.submit(Request::DeleteRecords(consumed));
        }
    }

    /// The one place where the fate of an error is acted on: of a failed commit, its settling, or failed processing.
    pub(crate) fn commit_failed(&mut self, error: &LogError) -> Result<()> {
        match error.fate() {
            Fate::Fatal => Err(error.clone().into()),
            Fate::Fence => self.fenced(&error.to_string()),
            Fate::Retry => {
                self.settings.listener.notice(&format!(
                    "a commit did not complete ({error}); its outcome is being settled"
                ));
                self.drop_overlays();
                self.client.submit(Request::Abort);
                let ticket = self.client.submit(Request::Settle);
                self.commit = Commit::Settling { ticket, attempt: 0 };
                Ok(())
            }
        }
    }

    fn drop_overlays(&mut self) {
        for slot in self.tasks.values_mut() {
            if let Stage::Running(task) = &mut slot.stage {
                task.abort(&mut self.cache);
            }
        }
        self.uncommitted = false;
        self.draining_since = None;
    }

    /// Takes every running task back to the point where positions are read; its stores keep what is committed.
    fn reopen_all(&mut self) -> Result<()> {
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        for id in ids {
            // A task that is being restored had no part in the commit and reads on.
            let Some(slot) = self.tasks.get_mut(&id) else {
                continue;
            };
            if !matches!(slot.stage, Stage::Running(_)) {
                continue;
            }
            if let Stage::Running(task) = std::mem::replace(&mut slot.stage, Stage::Waiting) {
                self.views.closed(id);
                slot.kept = task.close(&mut self.cache, None)?;
                for (number, _) in &slot.kept {
                    if let Some(info) = self.topology.store(*number) {
                        self.views.remove(&info.name, id.partition);
                    }
                }
            }
            self.stop_inputs(id);
        }
        self.close_revoked()
    }
}
