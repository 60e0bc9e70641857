//! A client's part in the watch of its process. Not the watch: clients of one process share that. Invariant: nothing is watched before
//! the client's member is about to join a streams group.

use crate::{
    protocol::streams_group_heartbeat::{Endpoint, KeyValue},
    settings::{EvictionChoice, Settings},
    watch::{Bell, Post, Watch, Watches},
};
use headwater_log::Guarantee;
use std::{cell::RefCell, rc::Rc, sync::Arc};

pub(super) struct Lookout {
    watches: Watches,
    settings: Rc<Settings>,
    evicts: bool,
    bell: Arc<Bell>,
    watch: RefCell<Option<Arc<Watch>>>,
}

impl Lookout {
    pub(super) fn new(watches: Watches, settings: &Rc<Settings>, guarantee: Guarantee) -> Self {
        Self {
            watches,
            evicts: match settings.eviction {
                EvictionChoice::Always => true,
                EvictionChoice::ExactlyOnce => guarantee == Guarantee::ExactlyOnce,
                EvictionChoice::Never => false,
            },
            settings: Rc::clone(settings),
            bell: Arc::default(),
            watch: RefCell::new(None),
        }
    }

    /// Rung when the member should beat.
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Begins to watch, and to be watched; what the member is to tell of it.
    pub(super) async fn open(&self, group: Arc<str>, process: Arc<str>) -> Vec<KeyValue> {
        let post = Post {
            group,
            process,
            evicts: self.evicts,
        };
        let watch = self.watches.of(&post, &self.settings, &self.bell);
        *self.watch.borrow_mut() = watch.clone();
        match watch {
            Some(watch) => watch.tags().await,
            None => Vec::new(),
        }
    }

    /// `application.server`.
    pub(super) fn user_endpoint(&self) -> Option<Endpoint> {
        let address = self.settings.application_server.as_ref()?;
        Some(Endpoint {
            host: address.host.clone(),
            port: address.port,
        })
    }

    /// The member's assignment has changed, and others' with it.
    pub(super) fn group_changed(&self) {
        if let Some(watch) = &*self.watch.borrow() {
            watch.look();
        }
    }

    /// The client ends.
    pub(super) async fn end(&self, has_left: bool) {
        let watch = self.watch.borrow_mut().take();
        if let Some(watch) = watch {
            watch.close(has_left).await;
        }
    }
}
