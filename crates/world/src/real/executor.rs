//! A few threads that poll spawned futures. Not a reactor: what a future waits for must wake it.
//! Invariant: a task is in the ready queue at most once, so the queue never exceeds [`SPAWNED_FUTURES_MAX`].
//!
//! ```text
//!            spawn                  pop                 Pending
//!   (new) ----------> ready queue ------> being polled ---------> waiting
//!                          ^                   | Ready, panic        |
//!                          |                   v                     |
//!                          |                 ended                   |
//!                          +----------------- wake ------------------+
//! ```

use crate::{
    BoxFuture, Executor,
    executor::{SPAWNED_FUTURES_MAX, full},
};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{Error, ErrorKind, Result},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, TryLockError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

/// Threads that poll. Futures mostly wait; more threads would only help closures that block.
const EXECUTOR_THREADS: usize = 4;

pub(crate) struct RealExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<Task>>,
    /// All futures that have not ended; lets a shutdown drop those nobody wakes.
    tasks: BTreeMap<u64, Arc<Task>>,
    spawned: u64,
    threads: usize,
    shut: bool,
}

struct Task {
    id: u64,
    shared: Weak<Shared>,
    /// Set by a wake, cleared before the poll: a wake during the poll queues the task again.
    queued: AtomicBool,
    future: Mutex<Option<BoxFuture>>,
}

impl RealExecutor {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    /// Without the first thread nothing would ever run, so only its failure is an error.
    fn start_threads(&self, queue: &mut Queue) -> Result<()> {
        while queue.threads < EXECUTOR_THREADS {
            let shared = Arc::clone(&self.shared);
            let name = format!("headwater-future-{}", queue.threads);
            match thread::Builder::new()
                .name(name)
                .spawn(move || shared.work())
            {
                Ok(_detached) => queue.threads += 1,
                Err(error) if queue.threads == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }
}

impl Executor for RealExecutor {
    fn spawn(&self, future: BoxFuture) -> Result<()> {
        let mut queue = self.shared.lock();
        if queue.shut {
            return Err(Error::new(
                ErrorKind::BrokenPipe,
                "the executor is shut down",
            ));
        }
        if queue.tasks.len() >= SPAWNED_FUTURES_MAX {
            return Err(full());
        }
        self.start_threads(&mut queue)?;
        let task = Arc::new(Task {
            id: queue.spawned,
            shared: Arc::downgrade(&self.shared),
            queued: AtomicBool::new(true),
            future: Mutex::new(Some(future)),
        });
        queue.spawned += 1;
        queue.tasks.insert(task.id, Arc::clone(&task));
        queue.ready.push_back(task);
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for RealExecutor {
    /// Threads are not joined: a future may own the last handle to this executor, and would wait for itself.
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.shut = true;
        let tasks = std::mem::take(&mut queue.tasks);
        let ready = std::mem::take(&mut queue.ready);
        // Released before futures are dropped: their destructors may wake or spawn.
        drop(queue);
        self.shared.changed.notify_all();
        drop(ready);
        for task in tasks.into_values() {
            task.discard();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            let ended = task.poll();
            let mut queue = self.lock();
            // Taken out under the lock, dropped after it: a waker may hold the last other reference.
            let removed = if ended {
                queue.tasks.remove(&task.id)
            } else {
                None
            };
            let shut = queue.shut;
            drop(queue);
            drop(removed);
            // A shutdown during the poll could not take the future; read after the poll released it, so one of the two does.
            if shut {
                task.discard();
            }
        }
    }

    fn next(&self) -> Option<Arc<Task>> {
        let mut queue = self.lock();
        loop {
            if queue.shut {
                return None;
            }
            if let Some(task) = queue.ready.pop_front() {
                return Some(task);
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}

impl Task {
    /// True when the future has ended. A panic ends it: the default hook has reported it, and the thread goes on.
    fn poll(self: &Arc<Self>) -> bool {
        self.queued.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(self));
        let mut context = Context::from_waker(&waker);
        let mut slot = self
            .future
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let polled = catch_unwind(AssertUnwindSafe(|| match slot.as_mut() {
            Some(future) => future.as_mut().poll(&mut context),
            None => Poll::Ready(()),
        }));
        let ended = !matches!(polled, Ok(Poll::Pending));
        if ended {
            drop_quietly(slot.take());
        }
        ended
    }

    /// Drops the future, unless a thread is polling it: that thread sees the shutdown and calls this itself.
    fn discard(&self) {
        match self.future.try_lock() {
            Ok(mut slot) => drop_quietly(slot.take()),
            Err(TryLockError::Poisoned(poisoned)) => drop_quietly(poisoned.into_inner().take()),
            Err(TryLockError::WouldBlock) => {}
        }
    }
}

/// A destructor that panics must not end the thread that polls everything else.
fn drop_quietly(future: Option<BoxFuture>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        if self.queued.swap(true, Ordering::SeqCst) {
            return;
        }
        let mut queue = shared.lock();
        // An ended task may be woken by a late clone of its waker.
        if !queue.shut && queue.tasks.contains_key(&self.id) {
            queue.ready.push_back(self);
            drop(queue);
            shared.changed.notify_one();
        }
    }
}
