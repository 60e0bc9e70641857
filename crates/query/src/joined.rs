//! Instances of one process that ask each other by calls: several applications' parts in one program, and tests.
//! Not a network. Invariant: an instance that is gone cannot be reached.

use crate::peer::{Peer, PeerAnswer};
use crate::wire::Ask;
use crate::{Error, Queries};
use headwater_log::Endpoint;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Instances by endpoint.
#[derive(Clone, Default)]
pub struct Joined(Arc<RwLock<BTreeMap<Endpoint, Queries>>>);

impl Joined {
    /// An instance answers at its endpoint; one without an endpoint is not asked.
    pub fn add(&self, queries: &Queries) {
        if let Some(endpoint) = queries.state().endpoint() {
            let mut instances = self.0.write().unwrap_or_else(PoisonError::into_inner);
            instances.insert(endpoint.clone(), queries.clone());
        }
    }

    /// Nobody answers at `endpoint` any more.
    pub fn remove(&self, endpoint: &Endpoint) {
        let mut instances = self.0.write().unwrap_or_else(PoisonError::into_inner);
        instances.remove(endpoint);
    }
}

impl Peer for Joined {
    fn ask(&self, endpoint: Endpoint, ask: Ask) -> PeerAnswer<'_> {
        let instances = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = instances.get(&endpoint).cloned();
        drop(instances);
        Box::pin(async move {
            match found {
                Some(queries) => Ok(queries.answer(ask).await),
                None => Err(Error::Peer(format!("nobody answers at {endpoint}"))),
            }
        })
    }
}
