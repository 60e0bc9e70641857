//! Wiring: turns the graph of one sub-topology into operators that call each other. The one place where types are
//! erased and recovered: once per edge, when a task is made, never per record.
//! Not thread-safe: a wired task stays on its thread. Invariant: the DSL connects only edges of equal types.

use super::{Context, Flush, Punctuate};
use crate::topology::{NodeKind, Topology};
use crate::{Record, Result};
use headwater_log::RecordRef;
use rustc_hash::FxHashMap;
use std::{any::Any, cell::RefCell, rc::Rc};

/// What an operator does with a record.
pub(crate) trait Receive<K, V> {
    fn receive(&mut self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()>;
}

pub(crate) type Input<K, V> = Rc<RefCell<dyn Receive<K, V>>>;

/// Where an operator's records go.
pub(crate) struct Outputs<K, V>(Rc<[Input<K, V>]>);

impl<K, V> Clone for Outputs<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Outputs<K, V> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Clone, V: Clone> Outputs<K, V> {
    /// Depth first, in the order the children were added, as Kafka Streams does.
    #[inline]
    pub(crate) fn send(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let Some((last, rest)) = self.0.split_last() else {
            return Ok(());
        };
        for input in rest {
            input.borrow_mut().receive(ctx, record.clone())?;
        }
        last.borrow_mut().receive(ctx, record)
    }

    /// To one child only.
    pub(crate) fn send_to(
        &self,
        child: usize,
        ctx: &mut Context<'_>,
        record: Record<K, V>,
    ) -> Result<()> {
        match self.0.get(child) {
            Some(input) => input.borrow_mut().receive(ctx, record),
            None => Ok(()),
        }
    }
}

/// How a source hands raw records to its operators.
pub(crate) trait Feed {
    /// The event time of a record, by which inputs are ordered.
    fn timestamp(&self, record: &RecordRef<'_>) -> i64;
    /// Decodes and processes a record read from `topic` and `partition`; answers its event time, `None` when it was passed over.
    fn feed(
        &mut self,
        ctx: &mut Context<'_>,
        record: &RecordRef<'_>,
        topic: u32,
        partition: u32,
    ) -> Result<Option<i64>>;
}

pub(crate) type Wire = Box<dyn Fn(&mut Wiring<'_>, usize) -> Box<dyn Any> + Send + Sync>;
pub(crate) type FeedWire = Box<dyn Fn(&mut Wiring<'_>, usize) -> Box<dyn Feed> + Send + Sync>;

/// The state of wiring one task.
pub(crate) struct Wiring<'t> {
    pub(crate) topology: &'t Topology,
    built: FxHashMap<usize, Box<dyn Any>>,
    /// Who forwards a store's cached updates, by store.
    pub(crate) flushers: Vec<Option<Rc<RefCell<dyn Flush>>>>,
    /// Processors of the application, to open, punctuate and close.
    pub(crate) processors: Vec<Rc<RefCell<dyn Punctuate>>>,
}

impl<'t> Wiring<'t> {
    pub(crate) fn new(topology: &'t Topology) -> Self {
        Self {
            topology,
            built: FxHashMap::default(),
            flushers: topology.stores.iter().map(|_| None).collect(),
            processors: Vec::new(),
        }
    }

    /// The input of a node, wired when first asked for.
    pub(crate) fn input<K: 'static, V: 'static>(&mut self, node: usize) -> Input<K, V> {
        let topology = self.topology;
        if !self.built.contains_key(&node) {
            let built = (topology.nodes[node].wire)(self, node);
            self.built.insert(node, built);
        }
        self.built[&node]
            .downcast_ref::<Input<K, V>>()
            .expect("the DSL connects only edges of equal types")
            .clone()
    }

    /// The inputs of a node's children.
    pub(crate) fn outputs<K: 'static, V: 'static>(&mut self, node: usize) -> Outputs<K, V> {
        let topology = self.topology;
        Outputs(
            topology.nodes[node]
                .children
                .iter()
                .map(|child| self.input::<K, V>(*child))
                .collect(),
        )
    }

    /// The feeds of the sources among `nodes`, in that order, each with its topic's number.
    pub(crate) fn feeds(&mut self, nodes: &[usize]) -> Vec<(u32, Box<dyn Feed>)> {
        let topology = self.topology;
        let mut feeds = Vec::new();
        for node in nodes {
            if let NodeKind::Source { feed, .. } = &topology.nodes[*node].kind {
                feeds.push((topology.source_topic(*node), feed(self, *node)));
            }
        }
        feeds
    }
}

/// An operator made of one closure over its outputs.
pub(crate) struct Operator<F, K, V> {
    pub(crate) apply: F,
    pub(crate) outputs: Outputs<K, V>,
}

impl<KI, VI, K, V, F> Receive<KI, VI> for Operator<F, K, V>
where
    F: Fn(&mut Context<'_>, &Outputs<K, V>, Record<KI, VI>) -> Result<()>,
{
    #[inline]
    fn receive(&mut self, ctx: &mut Context<'_>, record: Record<KI, VI>) -> Result<()> {
        (self.apply)(ctx, &self.outputs, record)
    }
}

/// Boxes an operator as the wiring keeps it.
pub(crate) fn boxed<K: 'static, V: 'static>(
    operator: impl Receive<K, V> + 'static,
) -> Box<dyn Any> {
    let input: Input<K, V> = Rc::new(RefCell::new(operator));
    Box::new(input)
}
