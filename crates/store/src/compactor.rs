//! The thread that compacts trees behind checkpoints. Not a pool: one thread for the process, so that compaction never
//! takes more than one core. Invariant: it holds no tree alive; a closed one is skipped.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    mpsc::{SyncSender, sync_channel},
};

/// Requests waiting at most. One that finds no room is dropped: the next checkpoint of that tree asks again.
const REQUESTS_MAX: usize = 256;

/// Something to compact.
pub(crate) trait Compact: Send + Sync {
    /// Compacts, and keeps errors for the owner.
    fn run(&self);
}

/// The compaction thread, started by the first request.
#[derive(Default)]
pub(crate) struct Compactor {
    requests: Mutex<Option<SyncSender<Weak<dyn Compact>>>>,
}

impl Compactor {
    /// Asks for `work` to be compacted soon.
    pub(crate) fn submit(&self, work: &Arc<dyn Compact>) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.is_none() {
            *requests = start();
        }
        let sent = requests
            .as_ref()
            .is_some_and(|requests| requests.try_send(Arc::downgrade(work)).is_ok());
        if !sent && requests.is_none() {
            // No thread to be had: the caller does it.
            drop(requests);
            work.run();
        }
    }
}

/// The thread ends when its sender, which the budget owns, is dropped.
fn start() -> Option<SyncSender<Weak<dyn Compact>>> {
    let (sender, requests) = sync_channel::<Weak<dyn Compact>>(REQUESTS_MAX);
    let body = move || {
        for work in requests {
            if let Some(work) = work.upgrade() {
                work.run();
            }
        }
    };
    std::thread::Builder::new()
        .name("headwater-compact".to_owned())
        .spawn(body)
        .ok()?;
    Some(sender)
}
