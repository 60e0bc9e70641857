//! The questions of one instance: its own state, and the way to the others. Not typed: a [`Table`] is.
//! Invariant: cloned and shared freely; it holds no store and keeps no application alive.

use crate::derive::Flow;
use crate::feed::Feeds;
use crate::watch::WATCHES_MAX;
use crate::wire::{Answer, Ask};
use crate::{Alone, Error, Peer, Result, Table, Token};
use headwater_runtime::{Running, State, StorePlace};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How often a question may be forwarded before it is answered with what its asker can do.
pub(crate) const HOPS_MAX: u8 = 3;
/// The longest that a question of another instance is worked on.
const ASKED_MS_MAX: u64 = 300_000;

/// Asks the state of an application: of this instance, and through a [`Peer`] of the others. All waits need a tokio runtime with time.
#[derive(Clone)]
pub struct Queries(Arc<Inner>);

struct Inner {
    state: State,
    peer: Arc<dyn Peer>,
    flow: Flow,
    /// Of each store; the topology does not change.
    places: HashMap<String, StorePlace>,
    feeds: Arc<Feeds>,
    watches: Arc<Semaphore>,
}

impl Queries {
    /// Asks this instance and, by `peer`, those that the group names ([`headwater_runtime::Settings::application_server`]).
    pub fn new(running: &Running, peer: Arc<dyn Peer>) -> Self {
        let state = running.state();
        let flow = Flow::of(state.topology());
        let stores = state.topology().stores();
        let places = stores.filter_map(|store| {
            let place = state.place(&store.name)?;
            Some((store.name, place))
        });
        let places = places.collect();
        Self(Arc::new(Inner {
            state,
            peer,
            flow,
            places,
            feeds: Arc::default(),
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
        }))
    }

    /// Of an application that has one instance.
    pub fn alone(running: &Running) -> Self {
        Self::new(running, Arc::new(Alone))
    }

    /// What this instance knows.
    pub fn state(&self) -> &State {
        &self.0.state
    }

    /// A typed view of a store, wherever its partitions are. Windowed stores have keys of type
    /// [`headwater_streams::Windowed`]. An error when the topology has no such store, or one of other types.
    pub fn store<K: 'static, V: 'static>(&self, name: &str) -> Result<Table<K, V>> {
        Table::new(self, name)
    }

    /// Answers a question that another instance asks. Never fails but by [`Answer::Failed`].
    pub async fn answer(&self, ask: Ask) -> Answer {
        let deadline = Instant::now() + Duration::from_millis(ask.deadline_ms.min(ASKED_MS_MAX));
        match self.ask(&ask, deadline, true).await {
            Ok(answer) => answer,
            Err(error) => Answer::Failed(error),
        }
    }

    /// Waits until everything that `token` names, and what followed from it, is visible in all partitions of `store`.
    pub async fn reached(&self, store: &str, token: &Token, deadline: Duration) -> Result<()> {
        let read = crate::Read::new().within(deadline).after(token.clone());
        self.reach_all(store, &read).await
    }

    pub(crate) fn peer(&self) -> &dyn Peer {
        &*self.0.peer
    }

    pub(crate) fn flow(&self) -> &Flow {
        &self.0.flow
    }

    /// Partitions of this instance whose changes are noted for watches, of any instance. Each has one waiter of
    /// [`headwater_runtime::Watches::waiters`].
    pub fn followed(&self) -> usize {
        self.0.feeds.count()
    }

    /// Where a store belongs; `None` when the topology has no such store.
    pub(crate) fn place(&self, store: &str) -> Option<&StorePlace> {
        self.0.places.get(store)
    }

    pub(crate) fn feeds(&self) -> &Arc<Feeds> {
        &self.0.feeds
    }

    /// For one watch; `None` when there are as many as may be.
    pub(crate) fn watch_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.0.watches.clone().try_acquire_owned().ok()
    }

    pub(crate) fn unknown(store: &str) -> Error {
        Error::UnknownStore(store.to_owned())
    }
}
