//! A client's part in the watch of its process. Not the watch: clients of one process share that. Invariant: nothing is watched before
//! the client's member is about to join a streams group.

use crate::{
    protocol::streams_group_heartbeat::KeyValue,
    settings::{EvictionChoice, Settings},
    watch::{Bell, Post, Watch, Watches},
};
use headwater_log::{Guarantee, Membership};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};
use tokio::task::spawn_local;

pub(super) struct Lookout {
    watches: Watches,
    settings: Rc<Settings>,
    evicts: bool,
    bell: Arc<Bell>,
    watch: RefCell<Option<Arc<Watch>>>,
    told_mixed: Cell<bool>,
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
            told_mixed: Cell::new(false),
        }
    }

    /// Rung when the member should beat.
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Begins to watch, and to be watched; what the member is to tell of it.
    pub(super) async fn open(&self, membership: &Membership) -> Vec<KeyValue> {
        let post = Post {
            group: Arc::clone(&membership.group),
            process: Arc::clone(&membership.process),
            dialect: Arc::clone(&membership.dialect),
            evicts: self.evicts,
        };
        let watch = self.watches.of(&post, &self.settings, &self.bell);
        *self.watch.borrow_mut() = watch.clone();
        match watch {
            Some(watch) => watch.tags().await,
            None => Vec::new(),
        }
    }

    /// Whether the group has members of another dialect, when that has changed.
    pub(super) fn mixed_news(&self) -> Option<bool> {
        let watch = self.watch.borrow();
        let is_mixed = watch.as_ref().is_some_and(|watch| watch.is_mixed());
        (self.told_mixed.replace(is_mixed) != is_mixed).then_some(is_mixed)
    }

    /// The worker has dropped its tasks, and what it was told with them.
    pub(super) fn tell_anew(&self) {
        self.told_mixed.set(false);
    }

    /// The member's assignment has changed, and others' with it.
    pub(super) fn group_changed(&self) {
        if let Some(watch) = &*self.watch.borrow() {
            watch.look();
        }
    }

    /// The client's member has left.
    pub(super) fn left(&self) {
        if let Some(watch) = &*self.watch.borrow() {
            spawn_local(watch.left());
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
