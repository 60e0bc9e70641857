//! Processors of the application inside a topology: typed in and out, with stores, forwarding and punctuation.
//! Not the DSL's own operators. Invariant: a processor reaches the world only through its context.

use super::encode_key;
use crate::dsl::StoreHandle;
use crate::format::Formats;
use crate::task::{
    Context, Outputs, Punctuate, Punctuation, PunctuationKind, Receive, Schedule, Wiring, fail,
    panic_message,
};
use crate::topology::OnError;
use crate::{Error, Headers, Record, Result};
use headwater_log::{HeadersRef, TaskId};
use headwater_store::{Direction, KeyRange};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{
    collections::VecDeque, marker::PhantomData, ops::ControlFlow, rc::Rc, sync::Arc, time::Duration,
};

/// A processor. A factory makes one per task; it is opened before the first record and closed when its task ends cleanly.
/// It runs on one thread at a time and never moves.
pub trait Processor: 'static {
    /// Keys it takes.
    type KeyIn: Clone + 'static;
    /// Values it takes.
    type ValueIn: Clone + 'static;
    /// Keys it forwards.
    type KeyOut: Clone + 'static;
    /// Values it forwards.
    type ValueOut: Clone + 'static;

    /// Called once, before the first record: the place for schedules.
    fn open(
        &mut self,
        _ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called for each record. An error stops the application and undoes what it did since its last commit; see [`Error::failed`].
    fn process(
        &mut self,
        record: Record<Self::KeyIn, Self::ValueIn>,
        ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()>;

    /// Called when a schedule is due.
    fn punctuate(
        &mut self,
        _punctuation: Punctuation,
        _ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called when the task ends cleanly.
    fn close(
        &mut self,
        _ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }
}

/// What a processor may do besides computing.
pub struct ProcessorContext<'a, 'c, K, V> {
    inner: &'a mut Context<'c>,
    outputs: &'a Outputs<K, V>,
    node: &'a str,
    processor: usize,
    connected: &'a [usize],
    timestamp: i64,
}

impl<'a, 'c, K, V> ProcessorContext<'a, 'c, K, V> {
    /// The context of operator `node`, number `processor` among those that are punctuated; `timestamp` is that of its writes.
    pub(crate) fn new(
        inner: &'a mut Context<'c>,
        outputs: &'a Outputs<K, V>,
        node: &'a str,
        processor: usize,
        connected: &'a [usize],
        timestamp: i64,
    ) -> Self {
        Self {
            inner,
            outputs,
            node,
            processor,
            connected,
            timestamp,
        }
    }
}

impl<K: Clone, V: Clone> ProcessorContext<'_, '_, K, V> {
    /// Sends a record to the next operators; they have processed it when this returns.
    pub fn forward(&mut self, record: Record<K, V>) -> Result<()> {
        self.outputs.send(self.inner, record)
    }

    /// A connected store.
    pub fn store<SK: 'static, SV: 'static>(
        &mut self,
        store: StoreHandle<SK, SV>,
    ) -> Result<StoreView<'_, SK, SV>> {
        if !self.connected.contains(&store.index) {
            let name = self
                .inner
                .state
                .stores
                .get(store.index)
                .and_then(|store| store.as_ref())
                .map_or("?", |store| &store.name);
            return Err(Error::Processor {
                node: self.node.into(),
                reason: format!(
                    "store '{name}' is not connected; pass its handle to KStream::process"
                ),
            });
        }
        let timestamp = self.timestamp;
        let state = self.inner.state.store(store.index);
        let formats = state
            .formats
            .downcast_ref::<Formats<SK, SV>>()
            .expect("a handle has the types of its store")
            .clone();
        // Formats are told the store's name where a topic's would stand.
        let topic = state.name.clone();
        let ctx = Context {
            state: self.inner.state,
            cache: self.inner.cache,
            output: self.inner.output,
        };
        Ok(StoreView {
            ctx,
            store: store.index,
            formats,
            topic,
            timestamp,
            types: PhantomData,
        })
    }

    /// Asks for calls of [`Processor::punctuate`] each `interval` (at least 1 ms).
    pub fn schedule(&mut self, interval: Duration, kind: PunctuationKind) {
        let interval_ms = i64::try_from(interval.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let schedule = Schedule::new(self.processor, kind, interval_ms, self.inner.state.now_ms);
        self.inner.state.schedules.push(schedule);
    }

    /// Asks for a commit soon.
    pub fn request_commit(&mut self) {
        self.inner.state.commit_requested = true;
    }

    /// The largest timestamp the task has processed, ms since the epoch; -1 before the first.
    pub fn stream_time(&self) -> i64 {
        self.inner.state.stream_time
    }

    /// The wall clock as of this step, ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.inner.state.now_ms
    }

    /// The task's id.
    pub fn task(&self) -> TaskId {
        self.inner.state.id
    }

    /// The name of a record's source topic; `None` for records that a punctuation made.
    pub fn topic(&self, position: crate::Position) -> Option<&str> {
        self.inner
            .state
            .topics
            .get(position.topic as usize)
            .map(|topic| &**topic)
    }
}

/// A key-value store in a processor's hands.
pub struct StoreView<'a, K, V> {
    ctx: Context<'a>,
    store: usize,
    formats: Formats<K, V>,
    topic: std::sync::Arc<str>,
    timestamp: i64,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> StoreView<'_, K, V> {
    fn key_bytes(&self, key: &K) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let format = self
            .formats
            .key
            .as_ref()
            .expect("a built store has its formats");
        if !encode_key(format, &self.topic, key, &mut bytes)? {
            return Err(Error::BadData {
                topic: self.topic.to_string(),
                partition: 0,
                offset: -1,
                reason: "a null key".into(),
            });
        }
        Ok(bytes)
    }

    fn decode_value(&self, bytes: &[u8]) -> Result<V> {
        let format = self
            .formats
            .value
            .as_ref()
            .expect("a built store has its formats");
        format
            .decode(&self.topic, HeadersRef::NONE, bytes)
            .map_err(|error| Error::format(&self.topic, &error))
    }

    /// The value under `key`.
    pub fn get(&mut self, key: &K) -> Result<Option<V>> {
        let key = self.key_bytes(key)?;
        let mut value = Vec::new();
        if self.ctx.get(self.store, &key, &mut value)? {
            self.decode_value(&value).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Sets the value under `key`.
    pub fn put(&mut self, key: &K, value: &V) -> Result<()> {
        let key = self.key_bytes(key)?;
        let mut bytes = Vec::new();
        let format = self
            .formats
            .value
            .as_ref()
            .expect("a built store has its formats");
        let present = !format.is_null(value);
        if present {
            format
                .encode(&self.topic, &mut Headers::default(), value, &mut bytes)
                .map_err(|error| Error::format(&self.topic, &error))?;
        }
        self.ctx
            .write(self.store, &key, present.then_some(&bytes), self.timestamp)
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: &K) -> Result<()> {
        let key = self.key_bytes(key)?;
        self.ctx.write(self.store, &key, None, self.timestamp)
    }

    /// Visits the entries from `from` to `to`, both included, in the order of their bytes; all where a bound is `None`.
    pub fn range(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        mut visit: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<()> {
        let from = from.map(|key| self.key_bytes(key)).transpose()?;
        let to = to.map(|key| self.key_bytes(key)).transpose()?;
        let bound = |key: &'_ Option<Vec<u8>>| key.is_some();
        let mut range = KeyRange::ALL;
        if bound(&from) || bound(&to) {
            range = KeyRange {
                from: from
                    .as_deref()
                    .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Included),
                to: to
                    .as_deref()
                    .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Included),
            };
        }
        let mut failure = None;
        let key_format = self
            .formats
            .key
            .as_ref()
            .expect("a built store has its formats");
        let store = self.ctx.state.stores[self.store]
            .as_ref()
            .expect("operators name only stores of their sub-topology");
        store
            .bytes
            .scan(range, Direction::Forward, &mut |key, value| {
                let key = key_format
                    .decode(&self.topic, HeadersRef::NONE, key)
                    .map_err(|error| Error::format(&self.topic, &error));
                match key.and_then(|key| Ok((key, self.decode_value(value)?))) {
                    Ok((key, value)) => visit(key, value),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
        failure.map_or(Ok(()), Err)
    }
}

/// A processor as a node.
pub(crate) struct ProcessorNode<P: Processor> {
    pub(crate) processor: RefCell<P>,
    /// Records that came while the processor was at work: flushing a record cache in the midst of a record may lead back to it.
    /// As many as one record causes.
    pub(crate) waiting: RefCell<VecDeque<Record<P::KeyIn, P::ValueIn>>>,
    pub(crate) name: Arc<str>,
    pub(crate) on_error: OnError,
    pub(crate) connected: Vec<usize>,
    pub(crate) outputs: Outputs<P::KeyOut, P::ValueOut>,
    pub(crate) number: Cell<usize>,
}

impl<P: Processor> ProcessorNode<P> {
    /// The processor of `node`, registered to be opened, punctuated and closed.
    pub(crate) fn wire(
        wiring: &mut Wiring<'_>,
        node: usize,
        processor: P,
        connected: Vec<usize>,
    ) -> Shared<P> {
        let shared = Rc::new(Self {
            processor: RefCell::new(processor),
            waiting: RefCell::default(),
            name: wiring.topology.nodes[node].name.as_str().into(),
            on_error: wiring.topology.settings.on_error.clone(),
            connected,
            outputs: wiring.outputs(node),
            number: Cell::new(0),
        });
        wiring.processors.push(shared.clone());
        Shared(shared)
    }

    fn context<'a, 'c>(
        &'a self,
        ctx: &'a mut Context<'c>,
        timestamp: i64,
    ) -> ProcessorContext<'a, 'c, P::KeyOut, P::ValueOut> {
        ProcessorContext {
            inner: ctx,
            outputs: &self.outputs,
            node: &self.name,
            processor: self.number.get(),
            connected: &self.connected,
            timestamp,
        }
    }

    /// Names this operator in an error that its processor made outside a record.
    fn named(&self, result: Result<()>) -> Result<()> {
        result.map_err(|error| error.in_node(&self.name, String::new))
    }
}

impl<P: Processor> Punctuate for ProcessorNode<P> {
    fn open(&self, ctx: &mut Context<'_>, number: usize) -> Result<()> {
        self.number.set(number);
        let now = ctx.state.now_ms;
        let mut processor = self.processor.borrow_mut();
        self.named(processor.open(&mut self.context(ctx, now)))
    }

    fn punctuate(&self, ctx: &mut Context<'_>, punctuation: Punctuation) -> Result<()> {
        let time = punctuation.time;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut processor = self.processor.borrow_mut();
            processor.punctuate(punctuation, &mut self.context(ctx, time))
        }));
        let error = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(panic) => Error::failed(panic_message(&*panic)),
        };
        fail(ctx, &self.on_error, &self.name, error, time)
    }

    fn close(&self, ctx: &mut Context<'_>) -> Result<()> {
        let now = ctx.state.now_ms;
        let mut processor = self.processor.borrow_mut();
        self.named(processor.close(&mut self.context(ctx, now)))
    }
}

/// Shares one node between the edge that feeds it and the task that punctuates it.
pub(crate) struct Shared<P: Processor>(pub(crate) Rc<ProcessorNode<P>>);

impl<P: Processor> Receive<P::KeyIn, P::ValueIn> for Shared<P> {
    fn receive(&self, ctx: &mut Context<'_>, record: Record<P::KeyIn, P::ValueIn>) -> Result<()> {
        let node = &*self.0;
        let Ok(mut processor) = node.processor.try_borrow_mut() else {
            node.waiting.borrow_mut().push_back(record);
            return Ok(());
        };
        let mut next = Some(record);
        while let Some(record) = next {
            let timestamp = record.timestamp;
            processor.process(record, &mut node.context(ctx, timestamp))?;
            next = node.waiting.borrow_mut().pop_front();
        }
        Ok(())
    }
}
