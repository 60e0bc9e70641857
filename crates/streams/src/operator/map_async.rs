//! Values mapped by futures: calls to the outside that would hold a task up if it waited for each.
//! Not for effects that must happen once: a call is repeated when its record is. Invariant: records of one key are mapped one
//! after the other and leave in order; a commit covers no record whose call has not ended.
//!
//! ```text
//! record --> queue of its key --front--> running (bounded) --> done --> sent on, the key's next one starts
//! ```

use crate::task::{Awaits, Context, Meta, Outputs, ReceiveRecord, Wiring, fail, panic_message};
use crate::topology::OnError;
use crate::{Error, Record, Result};
use headwater_world::Executor;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// A call's future.
pub(crate) type Call<V> = Pin<Box<dyn Future<Output = Result<Option<V>, String>> + Send>>;

/// Results that wait for the task, and who wakes it.
struct Done<K, V>(Mutex<Vec<Finished<K, V>>>);

/// The key, the generation and the result of a call.
type Finished<K, V> = (K, u64, Result<Option<V>, String>);

/// Records of one key; the call of the front one may run.
type Queue<K, V> = VecDeque<Record<K, V>>;

struct Queues<K, V> {
    by_key: FxHashMap<K, Queue<K, V>>,
    /// Keys whose front record waits for a call.
    ready: VecDeque<K>,
    running: usize,
    /// Counts the aborts: results of calls from before one are of no use.
    generation: u64,
}

pub(crate) struct MapAsync<K, V, V2, F> {
    apply: F,
    running_max: usize,
    queues: RefCell<Queues<K, V>>,
    done: Arc<Done<K, V2>>,
    name: Arc<str>,
    on_error: OnError,
    outputs: Outputs<K, V2>,
}

impl<K, V, V2, F> MapAsync<K, V, V2, F>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + 'static,
    V2: Clone + Send + 'static,
    F: Fn(K, V) -> Call<V2>,
{
    /// The operator of `node`.
    pub(crate) fn wire(wiring: &mut Wiring<'_>, node: usize, apply: F, running_max: usize) -> Self {
        Self {
            apply,
            running_max: running_max.max(1),
            queues: RefCell::new(Queues {
                by_key: FxHashMap::default(),
                ready: VecDeque::new(),
                running: 0,
                generation: 0,
            }),
            done: Arc::new(Done(Mutex::default())),
            name: wiring.topology.nodes[node].name.as_str().into(),
            on_error: wiring.topology.settings.on_error.clone(),
            outputs: wiring.outputs(node),
        }
    }

    /// Starts calls up to the bound.
    fn start(&self, ctx: &mut Context<'_>) -> Result<()> {
        let Some((executor, waker)) = ctx.state.executor.clone() else {
            return Err(Error::Topology(
                "map_async needs an executor: run the topology by a worker or by TestDriver".into(),
            ));
        };
        loop {
            let (key, value, generation) = {
                let mut queues = self.queues.borrow_mut();
                if queues.running >= self.running_max {
                    return Ok(());
                }
                let Some(key) = queues.ready.pop_front() else {
                    return Ok(());
                };
                let front = queues.by_key.get(&key).and_then(VecDeque::front);
                let Some(value) = front.and_then(|record| record.value.clone()) else {
                    continue;
                };
                queues.running += 1;
                (key, value, queues.generation)
            };
            let call = (self.apply)(key.clone(), value);
            self.spawn(&*executor, waker.clone(), key, generation, call)?;
        }
    }

    fn spawn(
        &self,
        executor: &dyn Executor,
        waker: Waker,
        key: K,
        generation: u64,
        mut call: Call<V2>,
    ) -> Result<()> {
        let done = self.done.clone();
        let whole = async move {
            // A panic of the application's future is its call's failure.
            let result = std::future::poll_fn(|context| {
                catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)))
                    .unwrap_or_else(|panic| Poll::Ready(Err(panic_message(&*panic))))
            })
            .await;
            let mut finished = done
                .0
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            finished.push((key, generation, result));
            drop(finished);
            waker.wake();
        };
        executor
            .spawn(Box::pin(whole))
            .map_err(|error| Error::failed(format!("cannot start a call: {error}")))
    }

    /// Takes the record whose call has ended off its queue.
    fn finish(&self, key: &K) -> Option<Record<K, V>> {
        let mut queues = self.queues.borrow_mut();
        queues.running -= 1;
        let queue = queues.by_key.get_mut(key)?;
        let record = queue.pop_front();
        if queue.is_empty() {
            queues.by_key.remove(key);
        } else {
            queues.ready.push_back(key.clone());
        }
        record
    }
}

impl<K, V, V2, F> ReceiveRecord<K, V> for MapAsync<K, V, V2, F>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + 'static,
    V2: Clone + Send + 'static,
    F: Fn(K, V) -> Call<V2>,
{
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let mut queues = self.queues.borrow_mut();
        let known = queues.by_key.get_mut(&record.key);
        match known {
            Some(queue) => queue.push_back(record),
            None if record.value.is_none() => {
                drop(queues);
                return self.outputs.send(ctx, record.with_value(None));
            }
            None => {
                queues.ready.push_back(record.key.clone());
                queues.by_key.insert(record.key.clone(), [record].into());
            }
        }
        drop(queues);
        self.start(ctx)
    }
}

impl<K, V, V2, F> Awaits for MapAsync<K, V, V2, F>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + 'static,
    V2: Clone + Send + 'static,
    F: Fn(K, V) -> Call<V2>,
{
    fn poll(&self, ctx: &mut Context<'_>) -> Result<usize> {
        let finished = std::mem::take(
            &mut *(self.done.0.lock()).unwrap_or_else(|poisoned| poisoned.into_inner()),
        );
        let generation = self.queues.borrow().generation;
        let mut sent = 0;
        for (key, born, result) in finished {
            if born != generation {
                continue;
            }
            let Some(record) = self.finish(&key) else {
                continue;
            };
            sent += 1;
            match result {
                Ok(value) => self.outputs.send(ctx, record.with_value(value))?,
                Err(reason) => {
                    let error = Error::failed(reason);
                    fail(ctx, &self.on_error, &self.name, error, &Meta::of(&record))?;
                }
            }
            sent += self.pass_tombstones(ctx, &key)?;
        }
        self.start(ctx)?;
        Ok(sent)
    }

    fn running(&self) -> usize {
        self.queues.borrow().by_key.len()
    }

    fn is_full(&self) -> bool {
        let queues = self.queues.borrow();
        queues.running >= self.running_max || queues.by_key.len() >= 2 * self.running_max
    }

    fn abort(&self) {
        let mut queues = self.queues.borrow_mut();
        queues.by_key.clear();
        queues.ready.clear();
        queues.running = 0;
        queues.generation += 1;
    }
}

impl<K, V, V2, F> MapAsync<K, V, V2, F>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + 'static,
    V2: Clone + Send + 'static,
    F: Fn(K, V) -> Call<V2>,
{
    /// Sends on the records without a value that have come to the front: they need no call.
    fn pass_tombstones(&self, ctx: &mut Context<'_>, key: &K) -> Result<usize> {
        let mut sent = 0;
        loop {
            let record = {
                let mut queues = self.queues.borrow_mut();
                let Some(queue) = queues.by_key.get_mut(key) else {
                    return Ok(sent);
                };
                if queue.front().is_some_and(|record| record.value.is_some()) {
                    return Ok(sent);
                }
                let record = queue.pop_front();
                if queue.is_empty() {
                    queues.by_key.remove(key);
                    queues.ready.retain(|ready| ready != key);
                }
                record
            };
            if let Some(record) = record {
                self.outputs.send(ctx, record.with_value(None))?;
                sent += 1;
            }
        }
    }
}
