//! What is done beside the commits: checkpoints, retention, compaction. Bounded work at a time, on a thread of its own.
//! Not in the way of a commit: what it decides goes through the queue like any request.
//! Invariant: only one maintenance runs at a time.

use super::core::{Core, lock};
use std::{sync::atomic::Ordering, time::Duration};

/// When the next look is due.
#[derive(Default)]
pub(super) struct Schedule {
    next: Duration,
}

impl Core {
    /// Does what is due; false when nothing was.
    pub(super) fn maintain(&self) -> bool {
        let mut schedule = lock(&self.maintenance);
        if self.check_poison().is_err() {
            // The checkpoint can never be made; whoever waits for it must hear so.
            return self.make_checkpoint();
        }
        if self.make_checkpoint() {
            return true;
        }
        let now = self.world.clock.elapsed();
        if now < schedule.next {
            return false;
        }
        schedule.next = now + Duration::from_millis(self.options.maintenance_interval_ms);
        let worked = self.retain() | self.compact();
        let state = &self.state;
        let waiting = !lock(&state.doomed).is_empty()
            || !lock(&state.cleaned).is_empty()
            || !lock(&state.settled).is_empty();
        if waiting {
            self.checkpoint_wanted.store(true, Ordering::Release);
            self.nudge();
        }
        worked
    }

    /// The maintenance thread.
    pub(super) fn run_maintenance(&self) {
        loop {
            if self.maintain() {
                continue;
            }
            let stopped = lock(&self.maintenance_stopped);
            if *stopped {
                return;
            }
            if lock(&self.checkpoint).is_some() {
                continue;
            }
            let wait = Duration::from_millis(self.options.maintenance_interval_ms.clamp(1, 1000));
            let _stopped = self
                .chores
                .wait_timeout(stopped, wait)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    pub(super) fn wake_maintenance(&self) {
        let _stopped = lock(&self.maintenance_stopped);
        self.chores.notify_all();
    }

    pub(super) fn stop_maintenance(&self) {
        *lock(&self.maintenance_stopped) = true;
        self.chores.notify_all();
    }
}
