//! Where a task of this process stands, for people and for those who decide on them. Not for the group, which hears of tasks only.
//! Invariant: numbers are as of one moment of the worker that has the task.

use crate::{RestoreProgress, Role};
use headwater_log::{Offset, TaskId, TopicPartition};

/// Where a task of this process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// The task.
    pub task: TaskId,
    /// What this process is to it.
    pub role: Role,
    /// What it is at: `waiting`, `restoring`, `running`, `following`, or what it asks the log.
    pub state: &'static str,
    /// Its stores while they follow their changelogs: to the end that was the end (restoring), or for ever (following).
    pub stores: Vec<RestoreProgress>,
    /// Its inputs while it runs: the next offset to process, and one past the last that can be read, where known.
    pub inputs: Vec<(TopicPartition, Offset, Option<Offset>)>,
}

impl TaskStatus {
    /// Records (offsets) that its stores are behind their changelogs.
    pub fn store_lag(&self) -> i64 {
        let lags = self.stores.iter().map(|it| it.end - it.position);
        lags.map(|lag| lag.max(0)).sum()
    }

    /// Records (offsets) that wait in its inputs, as far as is known.
    pub fn input_lag(&self) -> i64 {
        let lags = self
            .inputs
            .iter()
            .filter_map(|(_, position, end)| Some((*end)? - position));
        lags.map(|lag| lag.max(0)).sum()
    }

    /// How far its stores have come, 0 to 100; 100 when nothing is to be restored.
    pub fn restored_percent(&self) -> u8 {
        let percent = self.stores.iter().map(RestoreProgress::percent);
        percent.min().unwrap_or(100)
    }
}
