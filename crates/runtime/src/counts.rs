//! How many tasks each sub-topology has, as the log tells in time. Not a question: nobody waits for it.
//! Invariant: a count is told only when each source topic's is known; it does not change while the application runs.

use headwater_log::Client;
use headwater_streams::Topology;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

#[derive(Default)]
struct Shared {
    known: RwLock<BTreeMap<u32, u32>>,
    is_complete: AtomicBool,
}

/// Tasks by sub-topology, shared by the workers of a process.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Shared>);

impl Counts {
    /// The tasks of a sub-topology, once known.
    pub(crate) fn of(&self, subtopology: u32) -> Option<u32> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&subtopology).copied()
    }

    /// Takes what `client` knows. True when something was learned.
    pub(crate) fn learn(&self, topology: &Topology, client: &mut dyn Client) -> bool {
        if self.0.is_complete.load(Ordering::Acquire) {
            return false;
        }
        let (mut is_complete, mut any) = (true, false);
        let names = topology.source_topics();
        for part in topology.subtopologies() {
            if self.of(part.id).is_some() {
                continue;
            }
            let topics = part.source_topics.iter().map(|it| &names[*it as usize]);
            let counts: Option<Vec<u32>> = topics.map(|name| client.partitions(name)).collect();
            match counts.and_then(|counts| counts.into_iter().max()) {
                Some(count) => {
                    let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
                    known.insert(part.id, count);
                    any = true;
                }
                None => is_complete = false,
            }
        }
        self.0.is_complete.store(is_complete, Ordering::Release);
        any
    }
}
