//! `KStream`: records as events, and the verbs that need no store.
//! Verbs follow `Iterator` and Kafka Streams. Invariant: a null value is never given to a closure; mapping and filtering
//! verbs pass it on, verbs that need the value to make a key drop it and count it.

use super::app::{App, closure_wire, pass_wire, processor};
use super::{KGroupedStream, KTable, StoreSet, Topic};
use crate::format::{Data, FormatOf, Formats};
use crate::operator::{FixedKey, FixedKeyProcessor, Processor, ProcessorNode, Sink, Target};
use crate::task::{Context, Meta, Outputs, Scratch, Step, Wire, boxed, boxed_whole};
use crate::topology::{Graph, NameId, NodeKind, Role, TopicName};
use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::Arc;

/// A stream of records. A handle: copy it to use the stream twice.
pub struct KStream<'a, K, V> {
    pub(crate) app: &'a App,
    pub(crate) node: usize,
    /// The key may differ from the one that chose the partition: what groups or joins by key repartitions first.
    pub(crate) rekeyed: bool,
    /// The name of the next operator.
    pub(crate) name: Option<NameId>,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for KStream<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KStream<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KStream<'a, K, V> {
    /// The stream that `node` sends.
    pub(crate) fn at(app: &'a App, node: usize, rekeyed: bool) -> Self {
        Self {
            app,
            node,
            rekeyed,
            name: None,
            types: PhantomData,
        }
    }

    /// Names the next operator: `stream.named("large").filter(..)` (`Named`). Named operators keep their names, and the names of
    /// what belongs to them, when the topology around them changes.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(self.app.graph.borrow_mut().give_name(name.into()));
        self
    }

    /// States the format of the keys, for what comes next and needs it.
    pub fn keys(self, format: FormatOf<K>) -> Self {
        self.set_formats(|formats| formats.key = Some(format))
    }

    /// States the format of the values, for what comes next and needs it.
    pub fn values(self, format: FormatOf<V>) -> Self {
        self.set_formats(|formats| formats.value = Some(format))
    }

    /// States the types' own formats for keys and values, after a processor whose output has none.
    pub fn default_formats(self) -> Self
    where
        K: Data,
        V: Data,
    {
        self.keys(K::format()).values(V::format())
    }

    fn set_formats(self, set: impl FnOnce(&mut Formats<K, V>)) -> Self {
        let mut formats = self.formats();
        set(&mut formats);
        self.app.graph.borrow_mut().nodes[self.node].formats = Arc::new(formats);
        self
    }

    /// Keeps the records whose key and value satisfy `predicate`.
    pub fn filter(self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.with_nulls()
            .filter(move |key, value| value.is_none_or(|value| predicate(key, value)))
    }

    /// Keeps the records whose key and value do not satisfy `predicate`.
    pub fn filter_not(self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter(move |key, value| !predicate(key, value))
    }

    /// Maps the value; the key stays, so nothing is repartitioned.
    pub fn map_values<V2: Clone + 'static>(
        self,
        map: impl Fn(V) -> V2 + Send + Sync + 'static,
    ) -> KStream<'a, K, V2> {
        self.map_values_with_key(move |_, value| map(value))
    }

    /// Maps the value with its key in view.
    pub fn map_values_with_key<V2: Clone + 'static>(
        self,
        map: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
    ) -> KStream<'a, K, V2> {
        self.with_nulls()
            .map_values(move |key, value| value.map(|value| map(key, value)))
    }

    /// Maps one value to any number of values under the same key.
    pub fn flat_map_values<V2: Clone + 'static, I: IntoIterator<Item = V2>>(
        self,
        map: impl Fn(V) -> I + Send + Sync + 'static,
    ) -> KStream<'a, K, V2> {
        let formats = self.key_format();
        let prefix = "KSTREAM-FLATMAPVALUES-";
        let rekeyed = self.rekeyed;
        self.then(
            CHANGES_VALUE,
            prefix,
            formats,
            rekeyed,
            move |ctx, out, key, value, meta| {
                let values = value.into_iter().flat_map(&map);
                out.pass_each(ctx, key, values.map(Some), meta)
            },
        )
    }

    /// Maps key and value.
    pub fn map<K2: Data, V2: Data>(
        self,
        map: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        self.then(
            CHANGES_KEY,
            "KSTREAM-MAP-",
            defaults(),
            true,
            move |ctx, out, key, value, meta| {
                let Some(value) = value else {
                    ctx.drop_record();
                    return Ok(());
                };
                let (key, value) = map(key, value);
                out.pass(ctx, key, Some(value), meta)
            },
        )
    }

    /// Maps key and value to any number of pairs.
    pub fn flat_map<K2: Data, V2: Data, I: IntoIterator<Item = (K2, V2)>>(
        self,
        map: impl Fn(K, V) -> I + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        self.then(
            CHANGES_KEY,
            "KSTREAM-FLATMAP-",
            defaults(),
            true,
            move |ctx, out, key, value, meta| {
                let Some(value) = value else {
                    ctx.drop_record();
                    return Ok(());
                };
                let pairs = map(key, value).into_iter();
                out.pass_pairs(ctx, pairs.map(|(key, value)| (key, Some(value))), meta)
            },
        )
    }

    /// Sets a new key.
    pub fn select_key<K2: Data>(
        self,
        select: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KStream<'a, K2, V> {
        let formats = Formats {
            key: Some(K2::format()),
            value: self.formats().value,
        };
        self.then(
            CHANGES_KEY,
            "KSTREAM-KEY-SELECT-",
            formats,
            true,
            move |ctx, out, key, value, meta| {
                let Some(value) = value else {
                    ctx.drop_record();
                    return Ok(());
                };
                let key = select(&key, &value);
                out.pass(ctx, key, Some(value), meta)
            },
        )
    }

    /// Shows each record to `see` and passes it on.
    pub fn peek(self, see: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        self.with_nulls().peek(move |key, value| {
            if let Some(value) = value {
                see(key, value);
            }
        })
    }

    /// Ends the stream in a closure.
    pub fn for_each(self, act: impl Fn(&K, &V) + Send + Sync + 'static) {
        self.with_nulls().for_each(move |key, value| {
            if let Some(value) = value {
                act(key, value);
            }
        });
    }

    /// Both streams' records as one stream, without an order between them.
    pub fn merge(self, other: Self) -> Self {
        if !self.app.owns(other.app, "merge") {
            return self;
        }
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.name("KSTREAM-MERGE-", self.name);
        let wire = pass_wire::<K, V>();
        let formats = self.formats_in(&graph);
        let node = processor(name, vec![self.node, other.node], wire, formats);
        let role = Role {
            merges: true,
            ..Role::default()
        };
        let node = graph.add_as(role, node);
        drop(graph);
        KStream::at(self.app, node, self.rekeyed || other.rekeyed)
    }

    /// Groups by the present key.
    pub fn group_by_key(self) -> KGroupedStream<'a, K, V> {
        KGroupedStream::of(self, None)
    }

    /// Groups by a new key.
    pub fn group_by<K2: Data>(
        self,
        key: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KGroupedStream<'a, K2, V>
    where
        V: Data,
    {
        let stream = self.select_key(key);
        let mut formats = stream.formats();
        formats.value.get_or_insert_with(V::format);
        self.app.graph.borrow_mut().nodes[stream.node].formats = Arc::new(formats);
        KGroupedStream::of(stream, Some(stream.node))
    }

    /// The stream as a table: each record replaces the row of its key, a tombstone deletes it.
    pub fn to_table(self, store: impl Into<super::Store<K, V>>) -> KTable<'a, K, V> {
        super::table::from_stream(self, store.into())
    }

    /// Writes the records to `topic`, which must exist.
    pub fn to(self, topic: impl Into<Topic<K, V>>) {
        let topic = topic.into();
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.name("KSTREAM-SINK-", self.name);
        let target = topic.names.first().cloned().map(TopicName::External);
        let group = graph.add_group(Role::default(), &[self.node]);
        add_sink(&mut graph, group, &[self.node], name, target, topic);
    }

    /// Runs a processor made by `factory`, one per task, with the stores named by `stores`. What it forwards may have other keys,
    /// so a group or join behind it repartitions; [`KStream::keys`] and [`KStream::values`] give the formats where a topic or
    /// store needs them and the types have none by default.
    pub fn process<P>(
        self,
        stores: impl StoreSet,
        factory: impl Fn() -> P + Send + Sync + 'static,
    ) -> KStream<'a, P::KeyOut, P::ValueOut>
    where
        P: Processor<KeyIn = K, ValueIn = V>,
    {
        let node = self.add_processor("KSTREAM-PROCESSOR-", stores, Formats::UNKNOWN, factory);
        KStream::at(self.app, node, true)
    }

    /// Runs a processor that keeps the keys, so that nothing behind it repartitions for it (`processValues`).
    pub fn process_values<P>(
        self,
        stores: impl StoreSet,
        factory: impl Fn() -> P + Send + Sync + 'static,
    ) -> KStream<'a, K, P::ValueOut>
    where
        P: FixedKeyProcessor<Key = K, ValueIn = V>,
    {
        let formats = self.key_format();
        let fixed = move || FixedKey(factory());
        let node = self.add_processor("KSTREAM-PROCESSVALUES-", stores, formats, fixed);
        KStream::at(self.app, node, self.rekeyed)
    }

    fn add_processor<P: Processor<KeyIn = K, ValueIn = V>>(
        self,
        prefix: &str,
        stores: impl StoreSet,
        formats: Formats<P::KeyOut, P::ValueOut>,
        factory: impl Fn() -> P + Send + Sync + 'static,
    ) -> usize {
        let mut graph = self.app.graph.borrow_mut();
        // A given name burns no number here.
        let chosen = graph.chosen(self.name);
        let name = chosen.unwrap_or_else(|| graph.number(prefix));
        let mut node = processor(name, vec![self.node], processor_wire(factory), formats);
        node.stores = stores.indices();
        node.timer_keys = Some(TypeId::of::<K>());
        let node = graph.add(node);
        graph.connect_named(node, stores.names());
        node
    }

    /// The formats of the stream's records, as far as they are known.
    pub(crate) fn formats(self) -> Formats<K, V> {
        self.formats_in(&self.app.graph.borrow())
    }

    pub(crate) fn formats_in(self, graph: &Graph) -> Formats<K, V> {
        graph.nodes[self.node]
            .formats
            .downcast_ref::<Formats<K, V>>()
            .cloned()
            .unwrap_or(Formats::UNKNOWN)
    }

    pub(crate) fn key_format<V2>(self) -> Formats<K, V2> {
        Formats {
            key: self.formats().key,
            value: None,
        }
    }

    /// The one way an operator without a store joins the graph: it is its closure.
    pub(crate) fn then<K2: Clone + 'static, V2: Clone + 'static>(
        self,
        role: Role,
        prefix: &str,
        formats: Formats<K2, V2>,
        rekeyed: bool,
        apply: impl Fn(&mut Context<'_>, &Outputs<K2, V2>, K, Option<V>, &mut Meta) -> Step
        + Send
        + Sync
        + 'static,
    ) -> KStream<'a, K2, V2> {
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.name(prefix, self.name);
        let node = processor(name, vec![self.node], closure_wire(apply), formats);
        let node = graph.add_as(role, node);
        drop(graph);
        KStream::at(self.app, node, rekeyed)
    }
}

/// The wire of a processor of the application.
pub(crate) fn processor_wire<P: Processor>(
    factory: impl Fn() -> P + Send + Sync + 'static,
) -> Wire {
    Box::new(move |wiring, node| {
        let shared = ProcessorNode::wire(wiring, node, factory());
        boxed_whole::<P::KeyIn, P::ValueIn>(wiring, node, shared)
    })
}

/// The role of verbs that set a new key.
pub(crate) const CHANGES_KEY: Role = Role {
    changes_key: true,
    changes_value: false,
    merges: false,
    repartition: None,
    stream_source: false,
    relaxed_null_keys: false,
    versioned: None,
    suppresses: false,
    keeps_by_time: false,
    global: false,
    grace_ms: None,
};

/// The role of verbs that set a new value.
pub(crate) const CHANGES_VALUE: Role = Role {
    changes_key: false,
    changes_value: true,
    ..CHANGES_KEY
};

/// A sink node of `group` below `parents`; `target` is its topic unless that is chosen for each record.
pub(crate) fn add_sink<K: Clone + 'static, V: Clone + 'static>(
    graph: &mut Graph,
    group: usize,
    parents: &[usize],
    name: String,
    target: Option<TopicName>,
    topic: Topic<K, V>,
) -> usize {
    let mut known = parents.iter().filter_map(|parent| {
        let formats = &graph.nodes[*parent].formats;
        formats.downcast_ref::<Formats<K, V>>().cloned()
    });
    let known = known.next().unwrap_or(Formats::UNKNOWN);
    let formats = match topic.only_named {
        true => Formats {
            key: known.key.or(topic.key),
            value: known.value.or(topic.value),
        },
        false => Formats {
            key: topic.key.or(known.key),
            value: topic.value.or(known.value),
        },
    };
    if formats.key.is_none() || formats.value.is_none() {
        graph.problem(format!(
            "{name}: its topic has no format for its keys or values; give Topic::keys and Topic::values"
        ));
    }
    if target.is_none() && topic.chosen.is_none() {
        graph.problem(format!("{name}: it names no topic"));
    }
    let (choose, chosen_by) = topic.chosen.unzip();
    let (wire_formats, partition) = (formats.clone(), topic.partition);
    let partitions = topic.partitions;
    // Answers to a foreign-key join go to the partition that asked, which is that of the row's key.
    let is_internal = matches!(target, Some(TopicName::Internal(_)));
    let chooses_partitions = !is_internal && (partition.is_some() || partitions.is_some());
    let wire: Wire = Box::new(move |wiring, node| {
        let known = "a built sink has its formats and its topic";
        let target = match wiring.topology.output_topic(node) {
            Some(topic) => {
                let name = wiring.topology.output_topics()[topic as usize].as_str();
                Target::Topic(topic, name.into())
            }
            None => Target::Chosen(choose.clone().expect(known)),
        };
        let announcer =
            (wiring.topology.output_topic(node)).and_then(|topic| wiring.announcer(topic));
        let sink = Sink {
            target,
            announcer,
            key: wire_formats.key.clone().expect(known).into(),
            value: wire_formats.value.clone().expect(known).into(),
            partition: partition.clone(),
            partitions: partitions.clone(),
            bytes: Scratch::default(),
            value_bytes: Scratch::default(),
        };
        boxed::<K, V>(wiring, node, sink)
    });
    let mut node = processor(name, parents.to_vec(), wire, formats);
    node.kind = NodeKind::Sink {
        chooses_partitions,
        topic: target,
        chosen_by: chosen_by.unwrap_or_default(),
    };
    graph.add_to(group, node)
}

pub(crate) fn defaults<K: Data, V: Data>() -> Formats<K, V> {
    let (key, value): (FormatOf<K>, FormatOf<V>) = (K::format(), V::format());
    Formats {
        key: Some(key),
        value: Some(value),
    }
}
