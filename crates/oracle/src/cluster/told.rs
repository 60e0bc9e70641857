//! What a run tells of stores that it restores, on standard error, for whoever looks at failover. Not a log of the run.
//! Invariant: one line for one store that was caught up with, `restored TASK STORE FROM TO`, after `promoted TASK STORE AT` where a
//! standby went before.

use headwater::{Listener, RestoreProgress};

pub(super) struct Told;

impl Listener for Told {
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
        if promoted {
            let RestoreProgress {
                task,
                store,
                position,
                ..
            } = progress;
            eprintln!("promoted {task} {store} {position}");
        }
    }
}
