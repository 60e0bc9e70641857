//! Wiring: turns the graph of a task's nodes into operators that call each other. The one place where types are
//! erased and recovered: once per edge, when a task is made, never per record.
//! Not thread-safe: a wired task stays on its thread. Invariant: the DSL connects only edges of equal types.

use super::guard::{Failed, guarded};
use super::{
    Advance, Announcer, Awaits, BeforeCommit, Context, FireTimers, Flush, Marks, Punctuate, Rows,
};
use crate::topology::{NodeKind, Topology};
use crate::{Error, Headers, Position, Record, Result, SubtopologyInfo};
use headwater_log::RecordRef;
use rustc_hash::FxHashMap;
use std::{any::Any, cell::Cell, rc::Rc, sync::Arc};

/// What a record carries besides key and value. It stays where it is while operators hand the record on: who is handed it may
/// change it and take from it, as if it were the only one who has it.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) timestamp: i64,
    pub(crate) headers: Headers,
    pub(crate) position: Position,
}

impl Meta {
    /// What `record` carries.
    pub(crate) fn of<K, V>(record: &Record<K, V>) -> Self {
        Self {
            timestamp: record.timestamp,
            headers: record.headers.clone(),
            position: record.position,
        }
    }

    /// Of a call that no record caused.
    pub(crate) fn of_call(time: i64) -> Self {
        Self {
            timestamp: time,
            headers: Headers::default(),
            position: Position::NONE,
        }
    }

    /// The record whole, and nothing left of it here.
    #[inline]
    pub(crate) fn record<K, V>(&mut self, key: K, value: Option<V>) -> Record<K, V> {
        Record {
            key,
            value,
            timestamp: self.timestamp,
            headers: std::mem::take(&mut self.headers),
            position: self.position,
        }
    }
}

/// The outcome of a step of a record. An error is one word, so that all goes back in a register.
pub(crate) type Step<T = ()> = Result<T, Box<Error>>;

/// What an operator does with a record. Shared, since flushing a record cache in the midst of a record may come back to an
/// operator that is still at work, as it does in Kafka Streams: buffers are kept in a [`Scratch`]. Key and value come by
/// themselves: numbers in registers, and nothing is copied where one of them stays.
pub(crate) trait Receive<K, V> {
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step;
}

/// What an operator does that takes its records whole: see [`Whole`].
pub(crate) trait ReceiveRecord<K, V> {
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()>;
}

/// Puts records together for an operator that takes them whole.
struct Whole<R>(R);

impl<K, V, R: ReceiveRecord<K, V>> Receive<K, V> for Whole<R> {
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        Ok(self.0.receive_record(ctx, meta.record(key, value))?)
    }
}

/// An operator behind an edge. Boxed besides being shared: where the operator lies behind an `Rc` of its own is worked out from
/// its alignment for each record.
pub(crate) type Input<K, V> = Rc<Box<dyn Receive<K, V>>>;

/// A buffer on its way between a [`Scratch`] and a step: one pointer moves, not three words.
pub(crate) type Buffer = Box<Vec<u8>>;

/// A buffer that an operator takes for the time of one step and gives back.
#[derive(Default)]
pub(crate) struct Scratch(Cell<Option<Buffer>>);

impl Scratch {
    /// The buffer, empty; a new one while another step holds it.
    #[inline(always)]
    pub(crate) fn take(&self) -> Buffer {
        let mut bytes = self.0.take().unwrap_or_default();
        bytes.clear();
        bytes
    }

    #[inline(always)]
    pub(crate) fn give(&self, bytes: Buffer) {
        self.0.set(Some(bytes));
    }
}

/// Where an operator's records go. As a rule there is one child, and the record is built where that child reads it: a copy on
/// the way costs more than the call.
pub(crate) enum Outputs<K, V> {
    None,
    One(Input<K, V>),
    Many(Rc<[Input<K, V>]>),
}

impl<K, V> Clone for Outputs<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::One(input) => Self::One(input.clone()),
            Self::Many(inputs) => Self::Many(inputs.clone()),
        }
    }
}

impl<K, V> Outputs<K, V> {
    /// No outputs: what is sent is gone.
    pub(crate) fn none() -> Self {
        Self::None
    }

    fn of(mut inputs: Vec<Input<K, V>>) -> Self {
        if inputs.len() > 1 {
            return Self::Many(inputs.into());
        }
        inputs.pop().map_or(Self::None, Self::One)
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl<K: Clone, V: Clone> Outputs<K, V> {
    /// Depth first, in the order the children were added, as Kafka Streams does.
    #[inline(always)]
    pub(crate) fn pass(
        &self,
        ctx: &mut Context<'_>,
        key: K,
        value: Option<V>,
        meta: &mut Meta,
    ) -> Step {
        match self {
            Self::One(input) => input.receive(ctx, key, value, meta),
            _ => self.pass_many(ctx, key, value, meta),
        }
    }

    #[inline(never)]
    fn pass_many(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        let Self::Many(inputs) = self else {
            return Ok(());
        };
        let Some((last, others)) = inputs.split_last() else {
            return Ok(());
        };
        for input in others {
            input.receive(ctx, key.clone(), value.clone(), &mut meta.clone())?;
        }
        last.receive(ctx, key, value, meta)
    }

    /// As [`Outputs::pass`], of a whole record.
    #[inline]
    pub(crate) fn send(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let (key, value, mut meta) = record.into_parts();
        Ok(self.pass(ctx, key, value, &mut meta)?)
    }

    /// All `values` under one key, which goes with the last of them rather than a copy.
    #[inline]
    pub(crate) fn pass_each(
        &self,
        ctx: &mut Context<'_>,
        key: K,
        values: impl Iterator<Item = Option<V>>,
        meta: &mut Meta,
    ) -> Step {
        let last = but_last(values, |value| {
            self.pass(ctx, key.clone(), value, &mut meta.clone())
        })?;
        last.map_or(Ok(()), |value| self.pass(ctx, key, value, meta))
    }

    /// All `pairs` of key and value.
    #[inline]
    pub(crate) fn pass_pairs(
        &self,
        ctx: &mut Context<'_>,
        pairs: impl Iterator<Item = (K, Option<V>)>,
        meta: &mut Meta,
    ) -> Step {
        let last = but_last(pairs, |(key, value)| {
            self.pass(ctx, key, value, &mut meta.clone())
        })?;
        last.map_or(Ok(()), |(key, value)| self.pass(ctx, key, value, meta))
    }

    /// To one child only.
    pub(crate) fn pass_to(
        &self,
        child: usize,
        ctx: &mut Context<'_>,
        (key, value): (K, Option<V>),
        meta: &mut Meta,
    ) -> Step {
        let input = match self {
            Self::None => None,
            Self::One(input) => Some(input).filter(|_| child == 0),
            Self::Many(inputs) => inputs.get(child),
        };
        match input {
            Some(input) => input.receive(ctx, key, value, meta),
            None => Ok(()),
        }
    }
}

/// Gives `pass` all `items` but the last, which is answered: if they say which one that is, else `pass` gets it too. None is asked
/// for before the one in front of it has been passed.
#[inline(always)]
fn but_last<T>(
    mut items: impl Iterator<Item = T>,
    mut pass: impl FnMut(T) -> Step,
) -> Step<Option<T>> {
    let mut next = items.next();
    while let Some(item) = next {
        // What says that nothing is left is asked once more: it might be wrong.
        let is_last = items.size_hint().1 == Some(0);
        if is_last {
            next = items.next();
            if next.is_none() {
                return Ok(Some(item));
            }
            pass(item)?;
        } else {
            pass(item)?;
            next = items.next();
        }
    }
    Ok(None)
}

/// How a source hands raw records to its operators.
pub(crate) trait Feed {
    /// The event time of a record, by which inputs are ordered. `partition_time` is the largest of its partition so far, -1 before the first.
    fn timestamp(&self, record: &RecordRef<'_>, partition_time: i64) -> i64;
    /// True when [`Feed::timestamp`] is each record's own.
    fn keeps_timestamps(&self) -> bool;
    /// True when a record of `topic` can be decoded.
    fn can_decode(&self, topic: &str, record: &RecordRef<'_>) -> bool;
    /// Decodes and processes a record read from `topic` and `partition`, whose event time is `timestamp`; answers false when it was
    /// passed over.
    fn feed(
        &self,
        ctx: &mut Context<'_>,
        record: &RecordRef<'_>,
        timestamp: i64,
        topic: u32,
        partition: u32,
    ) -> Step<bool>;
}

pub(crate) type Wire = Box<dyn Fn(&mut Wiring<'_>, usize) -> Box<dyn Any> + Send + Sync>;
pub(crate) type FeedWire = Box<dyn Fn(&mut Wiring<'_>, usize) -> Rc<dyn Feed> + Send + Sync>;

/// The state of wiring one task.
pub(crate) struct Wiring<'t> {
    pub(crate) topology: &'t Topology,
    built: FxHashMap<usize, Box<dyn Any>>,
    /// Who forwards a store's cached updates, by store.
    pub(crate) flushers: Vec<Option<Rc<dyn Flush>>>,
    /// Operators that keep something back from a store until the commit, by store.
    pub(crate) before_commit: Vec<Option<Rc<dyn BeforeCommit>>>,
    /// Processors of the application, and operators that have schedules or must see their restored stores: to open, punctuate
    /// and close.
    processors: Vec<(usize, Rc<dyn Punctuate>)>,
    /// Processors with timers.
    pub(crate) timed: Vec<Rc<dyn FireTimers>>,
    /// Tables whose rows have a time to live.
    pub(crate) sweeps: Vec<Rc<dyn BeforeCommit>>,
    /// Operators with calls to the outside, by node.
    pub(crate) awaiting: Vec<(usize, Rc<dyn Awaits>)>,
    /// Named times that a commit carries; see [`Marks::add`].
    pub(crate) marks: Marks,
    /// Where operators say that they have failed.
    pub(crate) failed: Failed,
    /// What operators of one verb share within the task, by the verb's store.
    shared: FxHashMap<usize, Rc<dyn Any>>,
    /// The sub-topology being wired, where its sinks say its stream time.
    pub(crate) part: Option<&'t SubtopologyInfo>,
    pub(crate) announcers: Vec<Rc<Announcer>>,
    /// Operators that close something when time advances without a record.
    pub(crate) closers: Vec<Rc<dyn Advance>>,
}

impl<'t> Wiring<'t> {
    pub(crate) fn new(topology: &'t Topology) -> Self {
        Self {
            topology,
            built: FxHashMap::default(),
            flushers: topology.stores.iter().map(|_| None).collect(),
            before_commit: topology.stores.iter().map(|_| None).collect(),
            processors: Vec::new(),
            timed: Vec::new(),
            sweeps: Vec::new(),
            awaiting: Vec::new(),
            marks: Marks::default(),
            failed: Failed::default(),
            shared: FxHashMap::default(),
            part: None,
            announcers: Vec::new(),
            closers: Vec::new(),
        }
    }

    /// Has `processor`, of this node, opened, punctuated and closed with the task.
    pub(crate) fn open_with_task(&mut self, node: usize, processor: Rc<dyn Punctuate>) {
        self.processors.push((node, processor));
    }

    /// Those in the order of their nodes: schedules that are due at one time are called in the order they were asked for.
    pub(crate) fn take_processors(&mut self, nodes: &[usize]) -> Vec<Rc<dyn Punctuate>> {
        let mut processors = std::mem::take(&mut self.processors);
        processors.sort_by_key(|(node, _)| nodes.iter().position(|other| other == node));
        processors
            .into_iter()
            .map(|(_, processor)| processor)
            .collect()
    }

    /// What says the task's stream time to the readers of output topic `topic`, where they need it.
    pub(crate) fn announcer(&mut self, topic: u32) -> Option<Rc<Announcer>> {
        let part = self.part.filter(|_| self.topology.is_timed_output(topic))?;
        let sources = part.source_topics.iter();
        let sources =
            sources.map(|source| self.topology.source_topics[*source as usize].to_string());
        let at_flush = part.stores.iter().any(|store| {
            let store = &self.topology.stores[*store];
            store.cached || store.held.is_some()
        });
        let announcer = Rc::new(Announcer::new(topic, sources.collect(), at_flush));
        self.announcers.push(announcer.clone());
        Some(announcer)
    }

    /// What the operators around `store` share; made by the first that asks.
    pub(crate) fn shared<T: 'static>(
        &mut self,
        store: usize,
        make: impl FnOnce(&mut Marks) -> T,
    ) -> Rc<T> {
        let marks = &mut self.marks;
        let shared = self
            .shared
            .entry(store)
            .or_insert_with(|| Rc::new(make(marks)));
        shared
            .clone()
            .downcast()
            .expect("the operators around a store share one type")
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
        let children = topology.nodes[node].children.iter();
        Outputs::of(children.map(|child| self.input::<K, V>(*child)).collect())
    }

    /// Reads the rows of the table at `node`: its store's, or what its operator makes of its parents' rows.
    pub(crate) fn rows<K: Clone + 'static, V: Clone + 'static>(
        &mut self,
        node: usize,
    ) -> Rc<dyn Rows<K, V>> {
        let topology = self.topology;
        let table = topology.nodes[node]
            .table
            .as_ref()
            .expect("the DSL asks only tables for rows");
        (table.rows)(self, node)
            .downcast_ref::<Rc<dyn Rows<K, V>>>()
            .expect("the DSL connects only tables of equal types")
            .clone()
    }

    /// The feeds of the sources among `nodes`, in that order, each with its topic's number: a source of several topics is one
    /// feed under each.
    pub(crate) fn feeds(&mut self, nodes: &[usize]) -> Vec<(u32, Rc<dyn Feed>)> {
        let topology = self.topology;
        let mut feeds = Vec::new();
        for node in nodes {
            if let NodeKind::Source { feed, .. } = &topology.nodes[*node].kind {
                let feed = feed(self, *node);
                for topic in topology.topics_of(*node) {
                    feeds.push((*topic, feed.clone()));
                }
            }
        }
        feeds
    }
}

/// An operator made of one closure over its outputs.
pub(crate) struct Operator<F, K, V> {
    pub(crate) apply: Arc<F>,
    pub(crate) outputs: Outputs<K, V>,
}

impl<KI, VI, K, V, F> Receive<KI, VI> for Operator<F, K, V>
where
    F: Fn(&mut Context<'_>, &Outputs<K, V>, KI, Option<VI>, &mut Meta) -> Step,
{
    #[inline(always)]
    fn receive(&self, ctx: &mut Context<'_>, key: KI, value: Option<VI>, meta: &mut Meta) -> Step {
        (self.apply)(ctx, &self.outputs, key, value, meta)
    }
}

/// Boxes the operator of `node` as the wiring keeps it, with the guard that its failures meet.
pub(crate) fn boxed<K: 'static, V: 'static>(
    wiring: &Wiring<'_>,
    node: usize,
    operator: impl Receive<K, V> + 'static,
) -> Box<dyn Any> {
    let input: Input<K, V> = guarded(wiring, node, operator);
    Box::new(input)
}

/// As [`boxed`], for an operator that takes its records whole.
pub(crate) fn boxed_whole<K: 'static, V: 'static>(
    wiring: &Wiring<'_>,
    node: usize,
    operator: impl ReceiveRecord<K, V> + 'static,
) -> Box<dyn Any> {
    boxed::<K, V>(wiring, node, Whole(operator))
}
