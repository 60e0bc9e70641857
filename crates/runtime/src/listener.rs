//! What a running application tells: restore progress, commits with their receipts, states. Not metrics.
//! Invariant: calls come from the worker's thread, after the fact, in order; a listener that blocks holds its worker up.

use headwater_log::{Assignment, CommittedOffset, Receipt, TaskId, TopicPartition};

/// How far the restore of one store has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreProgress {
    /// The task.
    pub task: TaskId,
    /// The store's name.
    pub store: String,
    /// The changelog partition.
    pub changelog: TopicPartition,
    /// Where the restore began: the checkpoint's position.
    pub start: i64,
    /// The next offset to read.
    pub position: i64,
    /// Where it ends.
    pub end: i64,
}

impl RestoreProgress {
    /// 0 to 100; 100 when there was nothing to restore.
    pub fn percent(&self) -> u8 {
        let total = (self.end - self.start).max(0);
        if total == 0 {
            100
        } else {
            ((self.position - self.start).clamp(0, total) * 100 / total) as u8
        }
    }
}

/// A commit that took effect.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The input positions it covers.
    pub positions: Vec<(TopicPartition, CommittedOffset)>,
    /// One past the last offset written, by partition.
    pub receipt: Receipt,
}

/// Hears what a running application does. Every method may be left out.
pub trait Listener: Send + Sync {
    /// A store's restore begins.
    fn restore_started(&self, _progress: &RestoreProgress) {}
    /// Some more was restored.
    fn restored(&self, _progress: &RestoreProgress) {}
    /// A store's restore is done.
    fn restore_ended(&self, _progress: &RestoreProgress) {}
    /// A standby begins to follow a store's changelog.
    fn standby_started(&self, _progress: &RestoreProgress) {}
    /// A standby has followed some more; the end is the changelog's as last heard.
    fn standby_updated(&self, _progress: &RestoreProgress) {}
    /// A standby follows no longer: promoted, its process goes on as the task's owner.
    fn standby_ended(&self, _progress: &RestoreProgress, _promoted: bool) {}
    /// A worker's group has said which tasks it is to hold, all of them; those that others still hold come later.
    fn assigned(&self, _worker: usize, _assignment: &Assignment) {}
    /// A commit took effect.
    fn committed(&self, _commit: &Committed) {}
    /// A store was checkpointed.
    fn checkpointed(&self, _task: TaskId, _store: &str) {}
    /// Something a person should know: a wiped store, a fenced worker, a topic that is awaited.
    fn notice(&self, message: &str) {
        eprintln!("headwater: {message}");
    }
}

/// Hears nothing but notices, which go to standard error.
pub struct Quiet;

impl Listener for Quiet {}
