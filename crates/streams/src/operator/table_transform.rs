//! Transformers of the application: stateful maps of a table's values (`ValueTransformerWithKey`).
//! Not processors: they forward nothing. Invariant: a row without a store is transformed again each time it is read, by a
//! transformer of its reader's own.

use super::Place;
use crate::task::{Context, Meta, Outputs, Punctuate, Punctuation, Wiring, caught, fail};
use crate::topology::{OnError, Topology};
use crate::{Error, ProcessorContext, Result};
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

/// What a transformer may do besides computing: all that a processor may, but forward.
pub type TransformContext<'a, 'c> = ProcessorContext<'a, 'c, Infallible, Infallible>;

/// A stateful map of a table's values. A factory makes one per task and reader of the rows; it is opened before the first row.
/// It runs on one thread at a time and never moves.
pub trait ValueTransformer: 'static {
    /// The table's keys.
    type Key: 'static;
    /// The table's values.
    type Value: 'static;
    /// Values of the result.
    type Out: Clone + 'static;

    /// Called once, before the first row: the place for schedules.
    fn open(&mut self, _ctx: &mut TransformContext<'_, '_>) -> Result<()> {
        Ok(())
    }

    /// The value for a row; `None` stands for a deleted row, and an answer of `None` deletes. Called again for a row that is only
    /// read or was replaced, unless the result is kept in a store. An error follows the policy for failures; see [`Error::failed`](crate::Error::failed).
    fn transform(
        &mut self,
        key: &Self::Key,
        value: Option<Self::Value>,
        ctx: &mut TransformContext<'_, '_>,
    ) -> Result<Option<Self::Out>>;

    /// Called when a schedule is due.
    fn punctuate(
        &mut self,
        _punctuation: Punctuation,
        _ctx: &mut TransformContext<'_, '_>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called when the task ends cleanly.
    fn close(&mut self, _ctx: &mut TransformContext<'_, '_>) -> Result<()> {
        Ok(())
    }
}

/// Stands beside rows that cannot be read under Kafka Streams' semantics: its task does not start. `0` says why.
pub(crate) struct Unreadable(pub(crate) String);

impl Unreadable {
    /// The rows of the transformer of `node`, whose stores are not connected to who reads them (`KTableTransformValues.view`).
    pub(crate) fn transformed(topology: &Topology, node: usize) -> Self {
        let node = &topology.nodes[node];
        let stores = node.stores.iter();
        let stores: Vec<&str> = stores.map(|store| &*topology.stores[*store].name).collect();
        Self(format!(
            "{}: readers of its rows have no access to {}; keep the rows in a store",
            node.name,
            stores.join(", ")
        ))
    }
}

impl Punctuate for Unreadable {
    fn open(&self, _: &mut Context<'_>, _: usize) -> Result<()> {
        Err(Error::Topology(self.0.clone()))
    }

    fn punctuate(&self, _: &mut Context<'_>, _: Punctuation) -> Result<()> {
        Ok(())
    }

    fn close(&self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

/// A transformer in a task.
pub(crate) struct TransformerNode<T> {
    transformer: RefCell<T>,
    place: Place,
    on_error: OnError,
    outputs: Outputs<Infallible, Infallible>,
}

impl<T: ValueTransformer> TransformerNode<T> {
    /// The transformer of `node`, registered to be opened, punctuated and closed.
    pub(crate) fn wire(
        wiring: &mut Wiring<'_>,
        node: usize,
        transformer: T,
        connected: Vec<usize>,
    ) -> Rc<Self> {
        let shared = Rc::new(Self {
            transformer: RefCell::new(transformer),
            place: Place::new(&wiring.topology.nodes[node].name, connected),
            on_error: wiring.topology.settings.on_error.clone(),
            outputs: Outputs::none(),
        });
        wiring.open_with_task(node, shared.clone());
        shared
    }

    /// The value for a row of this time.
    pub(crate) fn transform(
        &self,
        ctx: &mut Context<'_>,
        key: &T::Key,
        value: Option<T::Value>,
        timestamp: i64,
    ) -> Result<Option<T::Out>> {
        // A transformer forwards nothing, so nothing comes back to it while it is at work.
        let mut transformer = self.transformer.borrow_mut();
        transformer.transform(key, value, &mut self.context(ctx, timestamp))
    }

    fn context<'a, 'c>(
        &'a self,
        ctx: &'a mut Context<'c>,
        timestamp: i64,
    ) -> TransformContext<'a, 'c> {
        ProcessorContext::new(ctx, &self.outputs, &self.place, timestamp)
    }

    /// Names this operator in an error that its transformer made outside a record.
    fn named(&self, result: Result<()>) -> Result<()> {
        result.map_err(|error| error.in_node(&self.place.name, String::new))
    }
}

impl<T: ValueTransformer> Punctuate for TransformerNode<T> {
    fn open(&self, ctx: &mut Context<'_>, number: usize) -> Result<()> {
        self.place.number.set(number);
        let now = ctx.state.now_ms;
        let mut transformer = self.transformer.borrow_mut();
        self.named(transformer.open(&mut self.context(ctx, now)))
    }

    fn punctuate(&self, ctx: &mut Context<'_>, punctuation: Punctuation) -> Result<()> {
        let time = punctuation.time;
        let outcome = caught(|| {
            let mut transformer = self.transformer.borrow_mut();
            transformer.punctuate(punctuation, &mut self.context(ctx, time))
        });
        let Err(error) = outcome else { return Ok(()) };
        let failed = Meta::of_call(time);
        fail(ctx, &self.on_error, &self.place.name, error, &failed)
    }

    fn close(&self, ctx: &mut Context<'_>) -> Result<()> {
        let now = ctx.state.now_ms;
        let mut transformer = self.transformer.borrow_mut();
        self.named(transformer.close(&mut self.context(ctx, now)))
    }
}
