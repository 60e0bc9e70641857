//! What changes, as it is committed, for browsers. Not a store: what it keeps is for pages that are opened late.
//! Invariant: nothing is told before its commit.

use crate::model::{Order, OrderValidation};
use headwater::{Committed, Listener};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Events that a slow browser may be behind.
const EVENTS_BEHIND_MAX: usize = 1024;
/// Events kept for pages that are opened later.
const EVENTS_KEPT_MAX: usize = 400;
/// Events of one commit; more are not told.
const EVENTS_PER_COMMIT_MAX: usize = 10_000;

/// Something that was committed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// An order is new, or its state is.
    Order(Order),
    /// A check has answered.
    Answer(OrderValidation),
}

/// Hears the Orders service's commits.
pub struct Feed {
    pending: Mutex<Vec<Event>>,
    kept: Mutex<VecDeque<Event>>,
    events: broadcast::Sender<Event>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            pending: Mutex::default(),
            kept: Mutex::default(),
            events: broadcast::Sender::new(EVENTS_BEHIND_MAX),
        }
    }
}

impl Feed {
    /// An order that the next commit shows.
    pub(crate) fn order(&self, order: &Order) {
        self.add(Event::Order(order.clone()));
    }

    /// An answer that the next commit shows.
    pub(crate) fn answer(&self, answer: &OrderValidation) {
        self.add(Event::Answer(answer.clone()));
    }

    fn add(&self, event: Event) {
        let mut pending = lock(&self.pending);
        if pending.len() < EVENTS_PER_COMMIT_MAX {
            pending.push(event);
        }
    }

    /// What was told lately, and what will be; an event may be in both.
    pub fn events(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let live = self.events.subscribe();
        (lock(&self.kept).iter().cloned().collect(), live)
    }

    fn tell(&self) {
        let pending = std::mem::take(&mut *lock(&self.pending));
        let mut kept = lock(&self.kept);
        for event in pending {
            if kept.len() == EVENTS_KEPT_MAX {
                kept.pop_front();
            }
            kept.push_back(event.clone());
            // Nobody looks: nobody is told.
            let _ = self.events.send(event);
        }
    }
}

impl Listener for Feed {
    fn committed(&self, _: &Committed) {
        self.tell();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
