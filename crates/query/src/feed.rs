//! What changed lately in one partition of a store that runs here: the keys, numbered, in a ring for all who follow. Not the values:
//! those are read when they are told. Invariant: who knows a number of this feed learns of every later change, or that it is too late.
//!
//! A feed begins when somebody asks, and ends when nobody has for a while or the partition moves. Its epoch tells it from others.

use crate::wire::Cursor;
use crate::{Error, Queries, Result};
use headwater_runtime::{Interest, Rung, Waiter};
use std::collections::{HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Changed keys that a feed keeps.
const KEYS_MAX: usize = 65_536;
/// Bytes of keys that a feed keeps.
const KEY_BYTES_MAX: usize = 8 << 20;
/// Feeds of an instance at a time: partitions of stores that are followed.
const FEEDS_MAX: usize = 1_024;
/// Questions that wait for one feed at a time.
const FOLLOWERS_MAX: usize = 10_000;
/// ms that a feed goes on after the last question; several times as long as one question waits.
const LEASE_MS: u64 = 60_000;

/// A partition of a store.
type At = (String, u32);

/// The feeds of an instance.
#[derive(Default)]
pub(crate) struct Feeds(Mutex<HashMap<At, Arc<Feed>>>);

/// The feed of one partition.
pub(crate) struct Feed {
    epoch: u64,
    ring: Mutex<Ring>,
    /// The number of the next change.
    next: watch::Sender<u64>,
}

struct Ring {
    keys: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The number of the first key.
    first: u64,
    asked: Instant,
    is_over: bool,
}

/// Keys that changed since a number.
pub(crate) enum Since {
    /// Nothing yet.
    Nothing,
    /// These, one number each, as often as they changed.
    Keys(Vec<Vec<u8>>),
    /// They are not known any more.
    Gone,
    /// The feed has ended.
    Over,
}

impl Feeds {
    fn lock(&self) -> MutexGuard<'_, HashMap<At, Arc<Feed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn remove(&self, at: &At, feed: &Arc<Feed>) {
        let mut feeds = self.lock();
        if feeds.get(at).is_some_and(|it| Arc::ptr_eq(it, feed)) {
            feeds.remove(at);
        }
    }
}

impl Queries {
    /// The feed of a partition that runs here; begins one where there is none.
    pub(crate) fn feed(&self, store: &str, partition: u32) -> Result<Arc<Feed>> {
        let at = (store.to_owned(), partition);
        let mut feeds = self.feeds().lock();
        if let Some(feed) = feeds.get(&at).filter(|feed| feed.touch()) {
            return match feed.next.receiver_count() < FOLLOWERS_MAX {
                true => Ok(feed.clone()),
                false => Err(Error::Overloaded(format!(
                    "{FOLLOWERS_MAX} follow partition {partition} of store '{store}'"
                ))),
            };
        }
        if feeds.len() >= FEEDS_MAX {
            let why = format!("{FEEDS_MAX} partitions are followed here");
            return Err(Error::Overloaded(why));
        }
        let interest = Interest::Range {
            store: store.into(),
            partition,
            from: Bound::Unbounded,
            to: Bound::Unbounded,
        };
        let waiter = self.waiter_of_keys(vec![interest], KEYS_MAX)?;
        // Looked for after the waiter is registered: a partition that goes from here on rings it.
        if self.state().views().reader(store, partition).is_none() {
            return Err(Error::NotReady(format!("store '{store}' has moved")));
        }
        let feed = Arc::new(Feed::new(self.state().world().random.next_u64()));
        feeds.insert(at.clone(), feed.clone());
        drop(feeds);
        let filled = Filled {
            feeds: Arc::downgrade(self.feeds()),
            at,
            feed: feed.clone(),
        };
        tokio::spawn(filled.fill(waiter));
        Ok(feed)
    }
}

/// A feed while it is filled. It ends with this one, also when the runtime that fills it does.
struct Filled {
    feeds: Weak<Feeds>,
    at: At,
    feed: Arc<Feed>,
}

impl Filled {
    async fn fill(self, waiter: Waiter) {
        loop {
            let rung = timeout(Duration::from_millis(LEASE_MS), waiter.rung()).await;
            let goes_on = rung.map_or(true, |rung| self.feed.take(rung));
            if !goes_on || self.feed.is_left() || self.feeds.strong_count() == 0 {
                return;
            }
        }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Some(feeds) = self.feeds.upgrade() {
            feeds.remove(&self.at, &self.feed);
        }
        self.feed.end();
    }
}

impl Feed {
    fn new(epoch: u64) -> Self {
        Self {
            epoch,
            ring: Mutex::new(Ring {
                keys: VecDeque::new(),
                bytes: 0,
                first: 0,
                asked: Instant::now(),
                is_over: false,
            }),
            next: watch::channel(0).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps it going; false when it has ended.
    fn touch(&self) -> bool {
        let mut ring = self.lock();
        ring.asked = Instant::now();
        !ring.is_over
    }

    fn is_left(&self) -> bool {
        self.lock().asked.elapsed() > Duration::from_millis(LEASE_MS)
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.next.send_modify(|_| {});
    }

    /// Notes what a waiter was rung for; false when the partition came or went.
    fn take(&self, rung: Rung) -> bool {
        if rung.moved {
            return false;
        }
        let mut ring = self.lock();
        if rung.missed {
            // One change that nobody can name: whoever knows an earlier number is too late.
            ring.first = ring.next() + 1;
            (ring.keys, ring.bytes) = (VecDeque::new(), 0);
        }
        for key in rung.keys {
            ring.bytes += key.len();
            ring.keys.push_back(key);
        }
        while ring.keys.len() > KEYS_MAX || ring.bytes > KEY_BYTES_MAX {
            let Some(key) = ring.keys.pop_front() else {
                break;
            };
            ring.bytes -= key.len();
            ring.first += 1;
        }
        let next = ring.next();
        drop(ring);
        self.next.send_replace(next);
        true
    }

    /// Where it is.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            epoch: self.epoch,
            next: self.lock().next(),
        }
    }

    /// Rings when there is more, or no more.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }

    /// The keys from a cursor on, `keys_max` changes at most.
    pub(crate) fn since(&self, cursor: Cursor, keys_max: usize) -> Since {
        let ring = self.lock();
        let is_known =
            cursor.epoch == self.epoch && (ring.first..=ring.next()).contains(&cursor.next);
        if ring.is_over {
            return Since::Over;
        }
        if !is_known {
            return Since::Gone;
        }
        if cursor.next == ring.next() {
            return Since::Nothing;
        }
        let skipped = usize::try_from(cursor.next - ring.first).unwrap_or(usize::MAX);
        let keys = ring.keys.iter().skip(skipped).take(keys_max);
        Since::Keys(keys.cloned().collect())
    }
}

impl Ring {
    fn next(&self) -> u64 {
        self.first + self.keys.len() as u64
    }
}
