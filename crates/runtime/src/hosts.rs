//! Which instance holds which task, as the workers of this process last heard it. Not who is alive: whoever is asked answers that.
//! Invariant: what one worker heard is replaced as a whole by what it hears next, never by what another heard before.

use crate::watches::Watches;
use headwater_log::{Endpoint, Host, TaskId};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The instances of the application that have an endpoint, cheap to read from any thread.
#[derive(Clone, Default)]
pub struct Hosts(Arc<RwLock<BTreeMap<usize, Arc<[Host]>>>>);

impl Hosts {
    /// All of them, by endpoint; empty before the first is heard of.
    pub fn all(&self) -> Arc<[Host]> {
        let heard = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // The first worker's: each hears the same, a little earlier or later.
        heard.values().next().cloned().unwrap_or_default()
    }

    /// Who runs a task.
    pub fn active(&self, task: TaskId) -> Option<Endpoint> {
        let hosts = self.all();
        let host = hosts.iter().find(|host| host.active.contains(&task))?;
        Some(host.endpoint.clone())
    }

    /// Who follows a task as standby.
    pub fn standbys(&self, task: TaskId) -> Vec<Endpoint> {
        let hosts = self.all();
        let found = hosts.iter().filter(|host| host.standby.contains(&task));
        found.map(|host| host.endpoint.clone()).collect()
    }

    /// Worker `number` has heard.
    pub(crate) fn heard(&self, number: usize, hosts: Vec<Host>, watches: &Watches) {
        let mut heard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = heard.insert(number, hosts.into());
        let is_news = before.as_ref() != heard.get(&number);
        drop(heard);
        if is_news {
            watches.placed();
        }
    }

    /// Worker `number` hears nothing any more.
    pub(crate) fn forget(&self, number: usize) {
        let mut heard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        heard.remove(&number);
    }
}
