//! The state machine of the log: a turn takes what waits, journals it with one sync, applies it and answers.
//! Not a thread: a real log has one that cranks [`Core::turn`], a simulated log is cranked by its clients.
//! Invariant: nothing is applied, published or answered as done before the entry that says it is durable.

use super::{
    checkpoint::Checkpoint,
    client::Mailbox,
    entry::{self, Op},
    journal::{ENTRY_HEADER_LEN, Journal},
    options::{ENTRY_BYTES_MAX, EmbeddedOptions, JOURNAL_OVERRUN_MAX},
    queue::{Queue, Submission, Work},
    state::{Changes, State},
    warnings::Warnings,
};
use crate::{Error, Response, Result};
use headwater_world::{DiskLock, File, World};
use rustc_hash::FxHashMap;
use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Everything the log's thread, its maintenance and its clients share.
pub(super) struct Core {
    pub(super) world: World,
    pub(super) dir: PathBuf,
    pub(super) options: EmbeddedOptions,
    pub(super) log_id: u64,
    pub(super) state: State,
    /// Threads crank; otherwise clients do.
    pub(super) threaded: bool,
    /// `None` in a log opened for reading only.
    pub(super) writer: Mutex<Option<Writer>>,
    queue: Mutex<Queue>,
    work: Condvar,
    /// The checkpoint that maintenance is to make; at most one at a time.
    pub(super) checkpoint: Mutex<Option<Checkpoint>>,
    pub(super) checkpoint_done: Condvar,
    /// A checkpoint is asked for before the journal file is full.
    pub(super) checkpoint_wanted: AtomicBool,
    /// Latest client of each transactional id.
    pub(super) producers: Mutex<FxHashMap<Arc<str>, u64>>,
    pub(super) membership: super::membership::Shared,
    pub(super) maintenance: Mutex<super::maintenance::Schedule>,
    pub(super) maintenance_stopped: Mutex<bool>,
    pub(super) chores: Condvar,
    poison: Mutex<Option<String>>,
    pub(super) warnings: Arc<Warnings>,
    pub(super) _lock: Option<Box<dyn DiskLock>>,
}

/// What only a turn touches.
pub(super) struct Writer {
    pub(super) journal: Journal,
    /// The hint that says which entry was acknowledged last; never synced.
    pub(super) acknowledged: Box<dyn File>,
}

/// What recovery hands over.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) writer: Option<Writer>,
    pub(super) log_id: u64,
    pub(super) lock: Option<Box<dyn DiskLock>>,
    pub(super) warnings: Arc<Warnings>,
}

impl Core {
    pub(super) fn new(
        world: World,
        dir: PathBuf,
        options: EmbeddedOptions,
        recovered: Recovered,
    ) -> Self {
        Self {
            threaded: world.disk.is_real() && recovered.writer.is_some(),
            queue: Mutex::new(Queue::new(options.queue_requests_max)),
            work: Condvar::new(),
            checkpoint: Mutex::default(),
            checkpoint_done: Condvar::new(),
            checkpoint_wanted: AtomicBool::new(false),
            producers: Mutex::default(),
            membership: super::membership::Shared::default(),
            maintenance: Mutex::default(),
            maintenance_stopped: Mutex::default(),
            chores: Condvar::new(),
            poison: Mutex::default(),
            warnings: recovered.warnings,
            log_id: recovered.log_id,
            state: recovered.state,
            writer: Mutex::new(recovered.writer),
            _lock: recovered.lock,
            world,
            dir,
            options,
        }
    }

    /// Queues a request; one that does not fit is answered at once.
    pub(super) fn submit(&self, submission: Submission) {
        let pushed = lock(&self.queue).push(submission);
        match pushed {
            Ok(()) => self.work.notify_one(),
            Err(submission) => {
                let why = format!(
                    "{} requests wait for the log's disk already",
                    self.options.queue_requests_max
                );
                answer(&submission, Err(Error::Unavailable(why)));
            }
        }
    }

    /// Queues the log's own request, which no limit refuses: there are few, at most one for each thing to maintain.
    pub(super) fn submit_own(&self, submission: Submission) {
        lock(&self.queue).push_own(submission);
        self.work.notify_one();
    }

    /// Wakes the log's thread.
    pub(super) fn nudge(&self) {
        // Under the lock: a thread between its look and its wait must not miss it.
        let _queue = lock(&self.queue);
        self.work.notify_all();
    }

    /// Asks the threads to end once everything queued is done.
    pub(super) fn close(&self) {
        lock(&self.queue).closing = true;
        self.work.notify_all();
    }

    /// The log's thread.
    pub(super) fn run(&self) {
        loop {
            if self.turn() {
                continue;
            }
            let queue = lock(&self.queue);
            if queue.closing && queue.is_empty() {
                return;
            }
            let idle = queue.is_empty()
                && !self.checkpoint_wanted.load(Ordering::Acquire)
                && !self.membership.is_due(self.world.clock.elapsed());
            if idle {
                let _queue = self
                    .work
                    .wait_timeout(queue, Duration::from_millis(self.membership.tick_ms()))
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
    }

    /// Does the work that waits; false when there was none.
    pub(super) fn turn(&self) -> bool {
        let mut guard = lock(&self.writer);
        let group = lock(&self.queue).take(ENTRY_BYTES_MAX);
        let Some(writer) = guard.as_mut() else {
            return self.refuse_writes(group);
        };
        let mut worked = self.tick_groups(writer);
        if !group.is_empty() {
            worked = true;
            self.serve(writer, group);
        }
        if self.checkpoint_wanted.load(Ordering::Acquire) {
            worked |= self.begin_checkpoint(writer);
        }
        drop(guard);
        if !self.threaded {
            worked |= self.maintain();
        }
        worked
    }

    fn serve(&self, writer: &mut Writer, group: Vec<Submission>) {
        let mut payload = writer.journal.payload();
        let mut answers: Vec<Result<Response>> = Vec::with_capacity(group.len());
        for submission in &group {
            let mark = payload.len();
            let planned = match self.check_poison() {
                Err(error) if !matches!(submission.work, Work::Ask) => Err(error),
                _ => self.plan(submission, &mut payload),
            };
            // What a failed change wrote before its error stands; a failed commit writes nothing.
            if planned.is_err() && matches!(submission.work, Work::Commit(_)) {
                payload.truncate(mark);
                fail(submission);
            }
            answers.push(planned);
        }
        let written = self.write_entry(writer, payload);
        for (submission, answered) in group.iter().zip(answers) {
            let result = match (&written, &submission.work) {
                (Err(error), Work::Commit(_) | Work::Change(_)) if answered.is_ok() => {
                    fail(submission);
                    Err(error.clone())
                }
                _ => answered,
            };
            answer(submission, result);
        }
    }

    /// Journals, applies and publishes the operations in `payload`; nothing when there are none.
    pub(super) fn write_entry(&self, writer: &mut Writer, mut payload: Vec<u8>) -> Result<()> {
        if payload.len() == ENTRY_HEADER_LEN {
            writer.journal.recycle(payload);
            return Ok(());
        }
        let result = self.write_entry_or_fail(writer, &mut payload);
        writer.journal.recycle(payload);
        // No retry: after a failed sync nobody knows what the medium holds.
        result.map_err(|error| self.poison(&error))
    }

    fn write_entry_or_fail(&self, writer: &mut Writer, payload: &mut Vec<u8>) -> Result<()> {
        let full =
            writer.journal.len() + payload.len() as u64 > self.options.journal_file_bytes_max;
        let following = match full && self.may_rotate(writer) {
            true => {
                Op::Rotate.put(payload);
                Some(writer.journal.create_following(&*self.world.disk)?)
            }
            false => None,
        };
        writer.journal.write(payload)?;
        let sequence = writer.journal.last();
        let mut changes = Changes::default();
        let body = &payload[ENTRY_HEADER_LEN..];
        for op in entry::ops(body).flatten() {
            self.state.apply(sequence, &op, &mut changes)?;
        }
        self.state.publish(&changes, entry::ops(body).flatten());
        self.write_hint(writer)?;
        if let Some(following) = following {
            writer.journal = following;
            self.take_checkpoint(sequence);
        }
        wake_readers(&changes);
        Ok(())
    }

    /// True when the next journal file may begin: no checkpoint is under way, or the file is so far over its limit that this waits for it.
    fn may_rotate(&self, writer: &Writer) -> bool {
        let mut pending = lock(&self.checkpoint);
        let overrun = self
            .options
            .journal_file_bytes_max
            .saturating_mul(JOURNAL_OVERRUN_MAX);
        while pending.is_some() && self.threaded && writer.journal.len() > overrun {
            if self.check_poison().is_err() {
                return false;
            }
            let (guard, _) = self
                .checkpoint_done
                .wait_timeout(pending, Duration::from_millis(100))
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            pending = guard;
        }
        pending.is_none()
    }

    /// Starts a new journal file with nothing else to say, so that a checkpoint may follow.
    pub(super) fn begin_checkpoint(&self, writer: &mut Writer) -> bool {
        if self.check_poison().is_err() || lock(&self.checkpoint).is_some() {
            self.checkpoint_wanted.store(false, Ordering::Release);
            return false;
        }
        self.checkpoint_wanted.store(false, Ordering::Release);
        let sequence = writer.journal.last();
        // An empty file is the next file already; made anew it would be gone for a moment, though an entry promised it.
        if !writer.journal.is_empty() {
            let dir = self.dir.join(super::recovery::JOURNAL_DIR);
            match Journal::create(&*self.world.disk, &dir, self.log_id, sequence + 1) {
                Ok(following) => writer.journal = following,
                Err(error) => {
                    self.poison(&error);
                    return true;
                }
            }
        }
        self.take_checkpoint(sequence);
        true
    }

    /// Makes a checkpoint of the state as it is; only while no other thread works on the log.
    pub(super) fn checkpoint_now(&self) -> Result<()> {
        if let Some(writer) = lock(&self.writer).as_mut() {
            self.begin_checkpoint(writer);
        }
        self.make_checkpoint();
        self.check_poison()?;
        // Only behind a checkpoint: what recovery found in the page cache of a killed process was not durable before it.
        match lock(&self.writer).as_ref() {
            Some(writer) => self.write_hint(writer),
            None => Ok(()),
        }
    }

    fn write_hint(&self, writer: &Writer) -> Result<()> {
        super::hint::write(&*writer.acknowledged, self.log_id, writer.journal.last())
            .map_err(|error| Error::io(&self.dir, "write the acknowledged sequence number", &error))
    }

    /// The end of the log: what is queued is served, and the next opening finds nothing to replay.
    pub(super) fn finish(&self) {
        while !self.threaded && self.turn() {}
        self.make_checkpoint();
        let written = lock(&self.writer)
            .as_ref()
            .is_some_and(|writer| !writer.journal.is_empty());
        if written && self.check_poison().is_ok() {
            // Warned of by the poison; the journal is whole, so the next opening replays it.
            let _ = self.checkpoint_now();
        }
    }

    /// Fails every write from here on.
    pub(super) fn poison(&self, error: &Error) -> Error {
        let mut poison = lock(&self.poison);
        if poison.is_none() {
            self.warnings.add(format!(
                "{}: closed for writing: {error}; restart to recover what is durable",
                self.dir.display()
            ));
        }
        Error::Poisoned(poison.get_or_insert_with(|| error.to_string()).clone())
    }

    /// The failure that closed the log, if any.
    pub(super) fn check_poison(&self) -> Result<()> {
        match &*lock(&self.poison) {
            Some(why) => Err(Error::Poisoned(why.clone())),
            None => Ok(()),
        }
    }

    fn refuse_writes(&self, group: Vec<Submission>) -> bool {
        for submission in &group {
            let result = match submission.work {
                Work::Ask => Ok(Response::Done),
                _ => Err(Error::Invalid(format!(
                    "{} was opened for reading only",
                    self.dir.display()
                ))),
            };
            answer(submission, result);
        }
        !group.is_empty()
    }
}

fn answer(submission: &Submission, result: Result<Response>) {
    if let Some(mailbox) = &submission.mailbox {
        let freed = match &submission.work {
            Work::Commit(commit) => commit.bytes,
            _ => 0,
        };
        mailbox.complete(submission.ticket, result, freed);
    }
}

/// Later commits of the client that are queued already fail too.
fn fail(submission: &Submission) {
    if let (Some(mailbox), Work::Commit(commit)) = (&submission.mailbox, &submission.work) {
        mailbox.fail(commit.generation);
    }
}

fn wake_readers(changes: &Changes) {
    let mut woken: Vec<Arc<Mailbox>> = Vec::new();
    for (partition, _) in &changes.ends {
        for reader in partition.readers() {
            if let Some(mailbox) = reader.upgrade()
                && !woken.iter().any(|other| Arc::ptr_eq(other, &mailbox))
            {
                mailbox.wake();
                woken.push(mailbox);
            }
        }
    }
}

/// Locks; a panic of another thread while it held the lock does not spread: every guarded value is whole between two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
