//! Futures polled on the caller's thread in seeded order. Not concurrent: one thread at a time calls the `run_` functions.
//! Invariant: nothing is polled outside [`SimulatedExecutor::run_some`] and [`SimulatedExecutor::run_until_idle`].

use crate::{
    BoxFuture, Executor, Random, SeededRandom,
    executor::{SPAWNED_FUTURES_MAX, full},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Wake, Waker},
};

/// Polls of one [`SimulatedExecutor::run_until_idle`]; a test that needs more has a future that wakes itself for ever.
const POLLS_MAX: usize = 1_000_000;

/// An [`Executor`] that polls when a test says so, in an order that repeats for the same seed.
pub struct SimulatedExecutor {
    random: SeededRandom,
    tasks: Mutex<Tasks>,
    ready: Arc<Mutex<BTreeSet<u64>>>,
}

#[derive(Default)]
struct Tasks {
    /// Without the one being polled.
    futures: BTreeMap<u64, BoxFuture>,
    spawned: u64,
}

/// Holds no future: a waker kept by another process of the simulation keeps nothing alive.
struct Ready {
    id: u64,
    ready: Arc<Mutex<BTreeSet<u64>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        lock(&self.ready).insert(self.id);
    }
}

impl SimulatedExecutor {
    /// An executor without futures.
    pub fn new(seed: u64) -> Self {
        Self {
            random: SeededRandom::new(seed),
            tasks: Mutex::default(),
            ready: Arc::default(),
        }
    }

    /// Polls a random number of the futures that are ready, at least one, in random order; returns how many polls it made.
    ///
    /// The rest stay ready, as if their threads were slow.
    pub fn run_some(&self) -> usize {
        let ready = lock(&self.ready).len() as u64;
        if ready == 0 {
            return 0;
        }
        let polls = 1 + self.random.below(ready);
        (0..polls).filter(|_| self.run_one()).count()
    }

    /// Polls in random order until no future is ready; returns how many polls it made.
    ///
    /// Futures that wait for something outside stay spawned: see [`SimulatedExecutor::spawned`].
    pub fn run_until_idle(&self) -> usize {
        let mut polls = 0;
        while self.run_one() {
            polls += 1;
            assert!(
                polls < POLLS_MAX,
                "futures are still ready after {POLLS_MAX} polls"
            );
        }
        polls
    }

    /// Futures that have not ended.
    pub fn spawned(&self) -> usize {
        lock(&self.tasks).futures.len()
    }

    /// False when nothing was ready. Locks are released while the future runs: it may spawn and wake.
    fn run_one(&self) -> bool {
        let Some(id) = self.take_ready() else {
            return false;
        };
        let Some(mut future) = lock(&self.tasks).futures.remove(&id) else {
            // Woken after its end by a late clone of its waker.
            return true;
        };
        let waker = Waker::from(Arc::new(Ready {
            id,
            ready: Arc::clone(&self.ready),
        }));
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            lock(&self.tasks).futures.insert(id, future);
        }
        true
    }

    fn take_ready(&self) -> Option<u64> {
        let mut ready = lock(&self.ready);
        if ready.is_empty() {
            return None;
        }
        let chosen = self.random.below(ready.len() as u64) as usize;
        let id = *ready.iter().nth(chosen)?;
        ready.remove(&id);
        Some(id)
    }
}

impl Executor for SimulatedExecutor {
    fn spawn(&self, future: BoxFuture) -> std::io::Result<()> {
        let mut tasks = lock(&self.tasks);
        if tasks.futures.len() >= SPAWNED_FUTURES_MAX {
            return Err(full());
        }
        let id = tasks.spawned;
        tasks.spawned += 1;
        tasks.futures.insert(id, future);
        drop(tasks);
        lock(&self.ready).insert(id);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
