//! The thread that compacts trees behind checkpoints. Not a pool: one thread for the process, so that compaction never
//! takes more than one core. Invariant: it holds no tree alive; a closed one is skipped.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicUsize, Ordering},
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
    /// Requests sent and not finished.
    waiting: Arc<AtomicUsize>,
}

impl Compactor {
    /// Asks for `work` to be compacted soon.
    pub(crate) fn submit(&self, work: &Arc<dyn Compact>) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.is_none() {
            *requests = start(self.waiting.clone());
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = requests
            .as_ref()
            .is_some_and(|requests| requests.try_send(Arc::downgrade(work)).is_ok());
        if !sent {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        if requests.is_none() {
            // No thread to be had: the caller does it.
            drop(requests);
            work.run();
        }
    }
}

impl Compactor {
    /// True when nothing waits and nothing runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }
}

/// The thread ends when its sender, which the budget owns, is dropped.
fn start(waiting: Arc<AtomicUsize>) -> Option<SyncSender<Weak<dyn Compact>>> {
    let (sender, requests) = sync_channel::<Weak<dyn Compact>>(REQUESTS_MAX);
    let body = move || {
        for work in requests {
            if let Some(work) = work.upgrade() {
                work.run();
            }
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    };
    std::thread::Builder::new()
        .name("headwater-compact".to_owned())
        .spawn(body)
        .ok()?;
    Some(sender)
}
