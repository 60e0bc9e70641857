//! A log in memory with Kafka's visibility rules and faults on demand: the double of every test, and the log of the simulator.
//! Not durable, and no threads: work is done when a client is polled, time is the world's clock.
//! Invariant: the same seed and the same calls give the same answers in the same polls.

mod admin;
mod client;
mod fault;
mod hit;
mod marker;
mod member;
mod partition;
mod request;
mod state;
#[cfg(test)]
mod tests;
mod transaction;

pub use fault::Faults;
pub use hit::{Hit, Moment};

use crate::{Client, ClientOptions, Error, Log, Offset, Result, TopicPartition};
use client::MemoryClient;
use headwater_world::World;
use state::State;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    task::Waker,
};

/// A log in memory; all its clients see the same topics and groups for as long as it lives.
pub struct MemoryLog {
    shared: Arc<Shared>,
}

/// What the clients share.
struct Shared {
    world: World,
    state: Mutex<State>,
}

impl MemoryLog {
    /// A log without faults: every request is done at the next poll, offsets have no gaps, only commits are stored.
    pub fn new(world: &World) -> Arc<Self> {
        Self::with_faults(world, Faults::default())
    }

    /// A log without faults whose transactions look as on Kafka: records are stored as they are appended, markers and
    /// aborted records take offsets, and [`crate::OffsetSpec::Stable`] stays behind [`crate::OffsetSpec::End`] meanwhile.
    pub fn kafka_like(world: &World) -> Arc<Self> {
        let faults = Faults {
            kafka_like: true,
            ..Faults::default()
        };
        Self::with_faults(world, faults)
    }

    /// A log that fails as told.
    pub fn with_faults(world: &World, faults: Faults) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(Shared {
                world: world.clone(),
                state: Mutex::new(State::new(faults)),
            }),
        })
    }

    /// Other faults from here on, drawn from the new seed; [`Faults::kafka_like`] stays as it was.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.with(|state| state.set_faults(faults));
    }

    /// Cuts all clients of this id off: no answers, no records, no heartbeats, until [`MemoryLog::thaw`].
    pub fn freeze(&self, client_id: &str) {
        self.shared.with(|state| state.freeze(client_id));
    }

    /// Ends [`MemoryLog::freeze`]. What happened meanwhile, the clients find out by themselves.
    pub fn thaw(&self, client_id: &str) {
        self.shared.with(|state| state.thaw(client_id));
    }

    /// Takes a member out of its group at once, as another does that holds it for dead. It finds out by itself.
    pub fn evict(&self, group: &str, member: &str) {
        self.shared.with(|state| {
            state.coordinator.leave(group, member);
            state.news = true;
        });
    }

    /// The faults that fell since this was last asked, by where they fell.
    pub fn take_hits(&self) -> BTreeMap<(Hit, Moment), usize> {
        self.shared.with(State::take_hits)
    }

    /// What the commit, abort or settlement of a client is at, as of its last poll; `None` without one.
    pub fn standing(&self, client_id: &str) -> Option<Moment> {
        self.shared.with(|state| state.standing(client_id))
    }

    /// Makes a partition unavailable, or available again: it is neither read nor written, and requests that need it wait.
    pub fn set_available(&self, partition: &TopicPartition, available: bool) {
        self.shared
            .with(|state| state.set_available(partition, available));
    }

    /// Keeps of each key only the newest stable record, tombstones included, and drops markers and aborted records.
    pub fn compact(&self, topic: &str) -> Result<()> {
        self.shared.with(|state| state.compact(topic, true))
    }

    /// As [`MemoryLog::compact`], after `delete.retention.ms`: tombstones go too.
    pub fn compact_with_tombstones(&self, topic: &str) -> Result<()> {
        self.shared.with(|state| state.compact(topic, false))
    }

    /// Deletes the records before `offset`, as retention does.
    pub fn delete_before(&self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        self.shared.with(|state| {
            state.partition_mut(partition)?.delete_before(offset);
            Ok(())
        })
    }
}

impl Log for MemoryLog {
    fn client(&self, options: ClientOptions) -> Result<Box<dyn Client>> {
        if options.transactional_id.as_deref() == Some("") {
            return Err(Error::Invalid("an empty transactional id".into()));
        }
        Ok(Box::new(MemoryClient::open(&self.shared, options)))
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

impl Shared {
    /// Works on the state, then wakes every client if there is news. Woken outside the lock: a waker may call back.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let (result, wakers) = {
            let mut state = self
                .state
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            let result = work(&mut state);
            let wakers: Vec<Waker> = match std::mem::take(&mut state.news) {
                true => state.wakers.values().cloned().collect(),
                false => Vec::new(),
            };
            (result, wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
        result
    }
}
