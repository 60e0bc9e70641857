//! How many partitions the topics have that the worker asked about, kept known. Not the metadata itself.
//! Invariant: a number told is one that the cluster gave; a topic that is gone is not unsaid.

use crate::{client::shared::Shared, cluster::Cluster, settings::Settings};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// The topics watched.
pub(super) struct Topics {
    cluster: Rc<Cluster>,
    shared: Arc<Shared>,
    settings: Rc<Settings>,
    /// With the number told last.
    watched: RefCell<BTreeMap<Arc<str>, Option<u32>>>,
    rung: Notify,
}

impl Topics {
    pub(super) fn new(
        cluster: &Rc<Cluster>,
        shared: &Arc<Shared>,
        settings: &Rc<Settings>,
    ) -> Rc<Self> {
        Rc::new(Self {
            cluster: Rc::clone(cluster),
            shared: Arc::clone(shared),
            settings: Rc::clone(settings),
            watched: RefCell::default(),
            rung: Notify::new(),
        })
    }

    pub(super) fn watch(&self, topic: Arc<str>) {
        self.watched.borrow_mut().entry(topic).or_default();
        self.rung.notify_one();
    }

    /// This client changed some topic.
    pub(super) fn changed(&self) {
        self.rung.notify_one();
    }

    /// Never returns; the thread's end drops it.
    pub(super) async fn run(self: Rc<Self>) {
        let mut attempt = 0;
        loop {
            let rung = self.rung.notified();
            let all: Vec<Arc<str>> = self.watched.borrow().keys().cloned().collect();
            if all.is_empty() {
                rung.await;
                continue;
            }
            drop(self.cluster.refresh(&all).await);
            let all_known = self.tell();
            let wait = match all_known {
                true => self.settings.metadata_age_max,
                false => self.cluster.backoff(attempt),
            };
            attempt = if all_known { 0 } else { attempt + 1 };
            if timeout_at(Instant::now() + wait, rung).await.is_ok() {
                attempt = 0;
            }
        }
    }

    /// Tells what has changed; true when every number is known.
    fn tell(&self) -> bool {
        let mut all_known = true;
        for (topic, told) in self.watched.borrow_mut().iter_mut() {
            match self.cluster.partitions(topic) {
                Some(count) if *told != Some(count) => {
                    *told = Some(count);
                    self.shared.count(topic, count);
                }
                Some(_) => {}
                None => all_known = false,
            }
        }
        all_known
    }
}
