//! What changes of orders and their checks, at whichever instance, for browsers. Not a store: what it keeps is for pages that are opened
//! late. Invariant: nothing is told before its commit; what is told may be told again, and is then as new.

use crate::model::{Checks, Order, OrderValidation};
use crate::view::{CHECKS_STORE, ORDERS_STORE};
use headwater::query::{Change, Error, Queries, Read, Watched};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;

/// Events that a slow browser may be behind.
const EVENTS_BEHIND_MAX: usize = 1024;
/// Events kept for pages that are opened later.
const EVENTS_KEPT_MAX: usize = 400;
/// Before a watch that ended is begun anew.
const AGAIN: Duration = Duration::from_secs(1);

/// Something that was committed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// An order is new, or its state is.
    Order(Order),
    /// A check has answered.
    Answer(OrderValidation),
}

/// Watches the Orders service's tables, on all its instances: one watch of each table for all browsers.
pub struct Feed {
    queries: Queries,
    told: Arc<Told>,
    watching: Mutex<Vec<AbortHandle>>,
}

struct Told {
    kept: Mutex<VecDeque<Event>>,
    events: broadcast::Sender<Event>,
}

impl Feed {
    /// Of the tables that `queries` asks.
    pub fn new(queries: Queries) -> Self {
        Self {
            queries,
            told: Arc::new(Told {
                kept: Mutex::default(),
                events: broadcast::Sender::new(EVENTS_BEHIND_MAX),
            }),
            watching: Mutex::default(),
        }
    }

    /// Begins to watch, in the tokio runtime that this is called in; the first call does.
    pub fn begin(&self) {
        let mut watching = lock(&self.watching);
        if watching.is_empty() {
            let (orders, checks) = (self.told.clone(), self.told.clone());
            let orders = watch(
                self.queries.clone(),
                ORDERS_STORE,
                move |_, order: Order| {
                    orders.tell(Event::Order(order));
                },
            );
            let checks = watch(self.queries.clone(), CHECKS_STORE, move |_, it: Checks| {
                let answers = it.0.into_iter();
                answers.for_each(|answer| checks.tell(Event::Answer(answer)));
            });
            let tasks = [tokio::spawn(orders), tokio::spawn(checks)];
            watching.extend(tasks.map(|task| task.abort_handle()));
        }
    }

    /// What was told lately, and what will be; an event may be in both.
    pub fn events(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let live = self.told.events.subscribe();
        (lock(&self.told.kept).iter().cloned().collect(), live)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        lock(&self.watching).iter().for_each(AbortHandle::abort);
    }
}

impl Told {
    fn tell(&self, event: Event) {
        let mut kept = lock(&self.kept);
        if kept.len() == EVENTS_KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Nobody looks: nobody is told.
        let _ = self.events.send(event);
    }
}

/// Hands what is in a table, and then what changes of it, to `tell`; for ever.
async fn watch<V: Send + Sync + 'static>(
    queries: Queries,
    store: &str,
    mut tell: impl FnMut(String, V) + Send,
) {
    loop {
        let Err(error) = watch_once(&queries, store, &mut tell).await;
        eprintln!("orders: watching {store}: {error}");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn watch_once<V: Send + Sync + 'static>(
    queries: &Queries,
    store: &str,
    tell: &mut (impl FnMut(String, V) + Send),
) -> Result<std::convert::Infallible, Error> {
    let table = queries.store::<String, V>(store)?;
    let mut watch = table.watch(Watched::all(), Read::new()).await?;
    loop {
        match watch.next().await {
            Ok(Change::Entry {
                key,
                value: Some(value),
                ..
            }) => tell(key, value),
            // Orders are not deleted, and pages take what they are told again.
            Ok(_) => {}
            // One entry that cannot be read.
            Err(_) if !watch.is_over() => {}
            Err(error) => return Err(error),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
