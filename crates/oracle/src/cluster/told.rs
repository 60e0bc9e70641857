//! What a run tells of its tasks, on standard error, for whoever looks at failover. Not a log of the run.
//! Invariant: one line for one event: `assigned WORKER EPOCH active TASKS standby TASKS`, `promoted TASK STORE AT` or
//! `closed TASK STORE AT` for a standby,
//! `restored TASK STORE FROM TO`, and `goes on PARTITION` for an input's first commit, or the first after a pause,
//! and `slow TASK STATE` for one that does not come to run.

use headwater::log::{Assignment, TaskId, TopicPartition};
use headwater::world::Clock;
use headwater::{Committed, Listener, RestoreProgress, Role, Running};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Commits of a partition that are further apart are told.
const PAUSE: Duration = Duration::from_millis(500);
/// Tasks that take longer to come to run are told.
const SLOW: Duration = Duration::from_secs(1);

pub(super) struct Told {
    clock: Arc<dyn Clock>,
    /// When each input was committed last.
    last: Mutex<BTreeMap<TopicPartition, Duration>>,
}

impl Told {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            last: Mutex::default(),
        }
    }
}

impl Listener for Told {
    fn assigned(&self, worker: usize, assignment: &Assignment) {
        let Assignment {
            epoch,
            active,
            standby,
        } = assignment;
        let list = |tasks: &[TaskId]| {
            let tasks: Vec<String> = tasks.iter().map(TaskId::to_string).collect();
            tasks.join(",")
        };
        eprintln!(
            "assigned {worker} {} active {} standby {}",
            epoch.0,
            list(active),
            list(standby)
        );
    }

    fn committed(&self, commit: &Committed) {
        let now = self.clock.elapsed();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, offset) in &commit.positions {
            let before = last.insert(partition.clone(), now);
            match before.map(|before| now - before) {
                Some(pause) if pause < PAUSE => {}
                Some(pause) => eprintln!(
                    "goes on {partition} at {} after {} ms",
                    offset.offset,
                    pause.as_millis()
                ),
                None => eprintln!("goes on {partition} at {}", offset.offset),
            }
        }
    }

    fn restore_ended(&self, progress: &RestoreProgress) {
        let RestoreProgress {
            task,
            store,
            start,
            end,
            ..
        } = progress;
        eprintln!("restored {task} {store} {start} {end}");
    }

    fn standby_ended(&self, progress: &RestoreProgress, promoted: bool) {
        let RestoreProgress {
            task,
            store,
            position,
            ..
        } = progress;
        let what = if promoted { "promoted" } else { "closed" };
        eprintln!("{what} {task} {store} {position}");
    }
}

/// What does not come to run for a while.
#[derive(Default)]
pub(super) struct Slow {
    since: BTreeMap<TaskId, Duration>,
}

impl Slow {
    /// Tells, once, of each active task that has not run for [`SLOW`].
    pub(super) fn look(&mut self, now: Duration, running: &Running) {
        let tasks = running.tasks();
        let waiting = tasks
            .iter()
            .filter(|it| it.role == Role::Active && it.state != "running");
        let mut since = BTreeMap::new();
        for status in waiting {
            let begun = self.since.get(&status.task).copied().unwrap_or(now);
            if begun != Duration::MAX && now - begun >= SLOW {
                eprintln!("slow {} {}", status.task, status.state);
                since.insert(status.task, Duration::MAX);
            } else {
                since.insert(status.task, begun);
            }
        }
        self.since = since;
    }
}
