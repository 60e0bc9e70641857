//! The threads of a running application: workers that come and go, pauses, and the thread of the global stores.
//! Not what they do. Invariant: a worker that is removed commits, gives its tasks to the others and leaves the group first.

use crate::crank::{Shared, caught, follow_globals, lock, work};
use crate::{Error, Result, Running};
use headwater_world::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread of a running application.
pub(crate) struct Thread {
    /// Of a worker, its number.
    number: Option<usize>,
    /// It alone is to stop.
    stop: Arc<AtomicBool>,
    handle: JoinHandle<()>,
}

impl Thread {
    pub(crate) fn wake(&self) {
        self.handle.thread().unpark();
    }

    /// Waits for its end; false when that does not come in time, and the thread is left to itself.
    pub(crate) fn ends_before(self, end: Duration, clock: &dyn Clock) -> bool {
        self.wake();
        while !self.handle.is_finished() {
            if clock.elapsed() >= end {
                return false;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        // Its panics were turned into the application's failure.
        let _ = self.handle.join();
        true
    }
}

impl Running {
    /// Starts one more worker, which takes its share of the tasks (`KafkaStreams.addStreamThread`); its number. The record
    /// caches of all workers shrink, so that together they stay within their limit.
    pub fn add_worker(&self) -> Result<usize> {
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.handle.is_finished());
        // Numbers of workers that are gone come again: a log knows a client by its number.
        let is_free = |number: &usize| threads.iter().all(|it| it.number != Some(*number));
        let number = (1..)
            .find(is_free)
            .expect("there are fewer threads than numbers");
        let (topology, log, settings) = (
            self.topology.clone(),
            self.log.clone(),
            self.settings.clone(),
        );
        let (process, shared) = (self.process.clone(), self.shared.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        self.shared.workers.fetch_add(1, Ordering::AcqRel);
        let handle = self.spawn(&format!("worker-{number}"), move || {
            let result = work(
                &topology, &*log, settings, &process, number, &shared, &stopped,
            );
            shared.workers.fetch_sub(1, Ordering::AcqRel);
            lock(&shared.tasks).remove(&number);
            lock(&shared.quarantined).remove(&number);
            process.hosts.forget(number);
            result
        });
        let handle = handle.inspect_err(|_| {
            self.shared.workers.fetch_sub(1, Ordering::AcqRel);
        })?;
        threads.push(Thread {
            number: Some(number),
            stop,
            handle,
        });
        Ok(number)
    }

    /// Stops the worker that was started last: it commits, closes its tasks and leaves the group
    /// (`KafkaStreams.removeStreamThread`). Its number, or `None` when there is no worker; an error when it is not done within
    /// `deadline`, after which it goes on stopping.
    pub fn remove_worker(&self, deadline: Duration) -> Result<Option<usize>> {
        let clock = &self.settings.world.clock;
        let end = clock.elapsed() + deadline;
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.handle.is_finished());
        let last = threads
            .iter()
            .enumerate()
            .max_by_key(|(_, thread)| thread.number);
        let Some((place, number)) = last.and_then(|(at, it)| Some((at, it.number?))) else {
            return Ok(None);
        };
        let thread = threads.swap_remove(place);
        drop(threads);
        thread.stop.store(true, Ordering::Release);
        match thread.ends_before(end, &**clock) {
            true => Ok(Some(number)),
            false => Err(Error::TimedOut(format!(
                "stopping worker {number} within {deadline:?}"
            ))),
        }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.shared.workers.load(Ordering::Acquire)
    }

    /// Stops processing and punctuation from the next step of each worker on (`KafkaStreams.pause`). What was processed is
    /// committed, memberships stay alive, stores are restored and followed.
    pub fn pause(&self) {
        self.shared.paused.store(true, Ordering::Release);
    }

    /// Goes on after [`Running::pause`].
    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::Release);
        self.wake();
    }

    /// True between [`Running::pause`] and [`Running::resume`].
    pub fn is_paused(&self) -> bool {
        self.shared.paused.load(Ordering::Acquire)
    }

    /// Starts what follows the topics of global stores, where there are any.
    pub(crate) fn follow_globals(&self) -> Result<()> {
        if !self.process.globals.is_wanted() {
            return Ok(());
        }
        let (topology, log, settings) = (
            self.topology.clone(),
            self.log.clone(),
            self.settings.clone(),
        );
        let (process, shared) = (self.process.clone(), self.shared.clone());
        let handle = self.spawn("global", move || {
            follow_globals(&topology, &*log, &settings, &process, &shared)
        })?;
        let stop = Arc::default();
        lock(&self.threads).push(Thread {
            number: None,
            stop,
            handle,
        });
        Ok(())
    }

    pub(crate) fn wake(&self) {
        lock(&self.threads).iter().for_each(Thread::wake);
    }

    /// Starts a thread whose error stops the application.
    fn spawn(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<JoinHandle<()>> {
        let shared: Arc<Shared> = self.shared.clone();
        let full = format!("{}-{name}", self.topology.application());
        let named = name.to_owned();
        let body = move || {
            // Around all of it: opening and dropping a worker may panic too.
            if let Err(error) = caught(&named, work) {
                lock(&shared.failure).get_or_insert(error);
                shared.stop.store(true, Ordering::Release);
            }
        };
        let spawned = std::thread::Builder::new().name(full).spawn(body);
        spawned.map_err(|error| Error::Worker(format!("cannot start {name}: {error}")))
    }
}
