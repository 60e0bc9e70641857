//! One that waits, and the bell it is rung by. Not who rings: [`crate::Watches`] does. Invariant: a ring is kept until it is taken, so
//! that none is lost between two polls.

use crate::watches::{Interest, Watches};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Bytes of the changed keys that one waiter keeps until it looks; beyond it, it looks at all.
const KEY_BYTES_MAX: usize = 8 << 20;

/// What a waiter was rung for since it last looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rung {
    /// The store's partition, or another, came or went: route again.
    pub moved: bool,
    /// More changed than is named here: look at all.
    pub missed: bool,
    /// Keys that changed, in the bytes of the store, each as often as it changed.
    pub keys: Vec<Vec<u8>>,
}

#[derive(Default)]
struct State {
    is_rung: bool,
    rung: Rung,
    key_bytes: usize,
    waker: Option<Waker>,
}

/// Rung by many, heard by one.
pub(crate) struct Bell {
    keys_max: usize,
    state: Mutex<State>,
}

impl Bell {
    pub(crate) fn new(keys_max: usize) -> Self {
        Self {
            keys_max,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring_with(&self, note: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        state.is_rung = true;
        note(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn ring(&self) {
        self.ring_with(|_| {});
    }

    pub(crate) fn ring_moved(&self) {
        self.ring_with(|state| state.rung.moved = true);
    }

    pub(crate) fn ring_missed(&self) {
        self.ring_with(State::miss);
    }

    /// One ring for all of a commit; none at all without a key.
    pub(crate) fn ring_keys<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) {
        let mut keys = keys.peekable();
        if keys.peek().is_some() {
            self.ring_with(|state| keys.for_each(|key| state.name(key, self.keys_max)));
        }
    }
}

impl State {
    fn name(&mut self, key: &[u8], keys_max: usize) {
        if self.rung.missed {
            return;
        }
        self.key_bytes += key.len();
        match self.rung.keys.len() < keys_max && self.key_bytes <= KEY_BYTES_MAX {
            true => self.rung.keys.push(key.to_vec()),
            false => self.miss(),
        }
    }

    fn miss(&mut self) {
        self.rung.missed = true;
        (self.rung.keys, self.key_bytes) = (Vec::new(), 0);
    }
}

/// Waits for what it was registered for. Dropped, it waits no longer.
pub struct Waiter {
    watches: Watches,
    number: u64,
    interests: Vec<Interest>,
    bell: Arc<Bell>,
}

impl Waiter {
    pub(crate) fn new(
        watches: Watches,
        number: u64,
        interests: Vec<Interest>,
        bell: Arc<Bell>,
    ) -> Self {
        Self {
            watches,
            number,
            interests,
            bell,
        }
    }

    /// What it was rung for; pending until then, and again after.
    pub fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<Rung> {
        let mut state = self.bell.lock();
        if !state.is_rung {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => state.waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        (state.is_rung, state.key_bytes) = (false, 0);
        Poll::Ready(std::mem::take(&mut state.rung))
    }

    /// As [`Waiter::poll_rung`], to be awaited.
    pub fn rung(&self) -> impl Future<Output = Rung> + '_ {
        std::future::poll_fn(|cx| self.poll_rung(cx))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.watches.deregister(self.number, &self.interests);
    }
}
