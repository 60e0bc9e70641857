//! `KStream`: records as events, and the verbs that need no store.
//! Verbs follow `Iterator` and Kafka Streams. Invariant: a null value is never given to a closure; mapping and filtering
//! verbs pass it on, verbs that need the value to make a key drop it and count it.

use super::app::{App, closure_wire, processor};
use super::{KGroupedStream, KTable, StoreSet, Topic};
use crate::format::{Data, FormatOf, Formats};
use crate::operator::{Processor, ProcessorNode, Shared, Sink};
use crate::task::{Context, Outputs, Wire, boxed};
use crate::topology::{Graph, NodeKind, TopicName};
use crate::{Record, Result};
use std::{cell::RefCell, marker::PhantomData, rc::Rc, sync::Arc};

/// A stream of records. A handle: copy it to use the stream twice.
pub struct KStream<'a, K, V> {
    pub(crate) app: &'a App,
    pub(crate) node: usize,
    /// The key may differ from the one that chose the partition: what groups or joins by key repartitions first.
    pub(crate) rekeyed: bool,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for KStream<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KStream<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KStream<'a, K, V> {
    /// Keeps the records whose key and value satisfy `predicate`.
    pub fn filter(self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.then(
            "KSTREAM-FILTER-",
            self.formats(),
            self.rekeyed,
            move |ctx, out, record| {
                if record
                    .value
                    .as_ref()
                    .is_none_or(|value| predicate(&record.key, value))
                {
                    out.send(ctx, record)
                } else {
                    Ok(())
                }
            },
        )
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
        self.then(
            "KSTREAM-MAPVALUES-",
            self.key_format(),
            self.rekeyed,
            move |ctx, out, mut record| {
                let value = record.value.take().map(|value| map(&record.key, value));
                out.send(ctx, record.with_value(value))
            },
        )
    }

    /// Maps one value to any number of values under the same key.
    pub fn flat_map_values<V2: Clone + 'static, I: IntoIterator<Item = V2>>(
        self,
        map: impl Fn(V) -> I + Send + Sync + 'static,
    ) -> KStream<'a, K, V2> {
        self.then(
            "KSTREAM-FLATMAPVALUES-",
            self.key_format(),
            self.rekeyed,
            move |ctx, out, record| {
                let Record {
                    key,
                    value,
                    timestamp,
                    headers,
                    position,
                } = record;
                for value in value.into_iter().flat_map(&map) {
                    let record = Record {
                        key: key.clone(),
                        value: Some(value),
                        timestamp,
                        headers: headers.clone(),
                        position,
                    };
                    out.send(ctx, record)?;
                }
                Ok(())
            },
        )
    }

    /// Maps key and value.
    pub fn map<K2: Data, V2: Data>(
        self,
        map: impl Fn(K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        self.then("KSTREAM-MAP-", defaults(), true, move |ctx, out, record| {
            let Record {
                key,
                value: Some(value),
                timestamp,
                headers,
                position,
            } = record
            else {
                ctx.drop_record();
                return Ok(());
            };
            let (key, value) = map(key, value);
            out.send(
                ctx,
                Record {
                    key,
                    value: Some(value),
                    timestamp,
                    headers,
                    position,
                },
            )
        })
    }

    /// Maps key and value to any number of pairs.
    pub fn flat_map<K2: Data, V2: Data, I: IntoIterator<Item = (K2, V2)>>(
        self,
        map: impl Fn(K, V) -> I + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        self.then(
            "KSTREAM-FLATMAP-",
            defaults(),
            true,
            move |ctx, out, record| {
                let Record {
                    key,
                    value: Some(value),
                    timestamp,
                    headers,
                    position,
                } = record
                else {
                    ctx.drop_record();
                    return Ok(());
                };
                for (key, value) in map(key, value) {
                    out.send(
                        ctx,
                        Record {
                            key,
                            value: Some(value),
                            timestamp,
                            headers: headers.clone(),
                            position,
                        },
                    )?;
                }
                Ok(())
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
            "KSTREAM-KEY-SELECT-",
            formats,
            true,
            move |ctx, out, record| {
                let Some(value) = &record.value else {
                    ctx.drop_record();
                    return Ok(());
                };
                let key = select(&record.key, value);
                out.send(ctx, record.with_key(key))
            },
        )
    }

    /// Shows each record to `see` and passes it on.
    pub fn peek(self, see: impl Fn(&K, &V) + Send + Sync + 'static) -> Self {
        self.then(
            "KSTREAM-PEEK-",
            self.formats(),
            self.rekeyed,
            move |ctx, out, record| {
                if let Some(value) = &record.value {
                    see(&record.key, value);
                }
                out.send(ctx, record)
            },
        )
    }

    /// Ends the stream in a closure.
    pub fn for_each(self, act: impl Fn(&K, &V) + Send + Sync + 'static) {
        self.then::<K, V>(
            "KSTREAM-FOREACH-",
            Formats::UNKNOWN,
            self.rekeyed,
            move |_, _, record| {
                if let Some(value) = &record.value {
                    act(&record.key, value);
                }
                Ok(())
            },
        );
    }

    /// Both streams' records as one stream, without an order between them.
    pub fn merge(self, other: Self) -> Self {
        let name = self.app.graph.borrow_mut().number("KSTREAM-MERGE-");
        let wire = closure_wire::<K, V, K, V, _>(|ctx, out, record| out.send(ctx, record));
        let node = processor(name, vec![self.node, other.node], wire, self.formats());
        let node = self.app.graph.borrow_mut().add(node);
        KStream {
            app: self.app,
            node,
            rekeyed: self.rekeyed || other.rekeyed,
            types: PhantomData,
        }
    }

    /// Groups by the present key.
    pub fn group_by_key(self) -> KGroupedStream<'a, K, V> {
        KGroupedStream {
            stream: self,
            name: None,
            selector: None,
        }
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
        self.app.graph.borrow_mut().nodes[stream.node].formats = Box::new(formats);
        KGroupedStream {
            stream,
            name: None,
            selector: Some(stream.node),
        }
    }

    /// The stream as a table: each record replaces the row of its key, a tombstone deletes it.
    pub fn to_table(self, store: impl Into<super::Store<K, V>>) -> KTable<'a, K, V> {
        super::table::from_stream(self, store.into())
    }

    /// Writes the records to `topic`, which must exist.
    pub fn to(self, topic: impl Into<Topic<K, V>>) {
        let topic = topic.into();
        let name = self.app.graph.borrow_mut().number("KSTREAM-SINK-");
        self.add_sink(name, TopicName::External(topic.name.clone()), topic);
    }

    /// Runs a processor made by `factory`, with the stores named by `stores`.
    pub fn process<P>(
        self,
        stores: impl StoreSet,
        factory: impl Fn() -> P + Send + Sync + 'static,
    ) -> KStream<'a, P::KeyOut, P::ValueOut>
    where
        P: Processor<KeyIn = K, ValueIn = V>,
        P::KeyOut: Data,
        P::ValueOut: Data,
    {
        let connected = stores.indices();
        let name = self.app.graph.borrow_mut().number("KSTREAM-PROCESSOR-");
        let (wire_name, wire_stores) = (name.clone(), connected.clone());
        let wire: Wire = Box::new(move |wiring, node| {
            let outputs = wiring.outputs(node);
            let node = ProcessorNode {
                processor: factory(),
                name: wire_name.clone(),
                connected: wire_stores.clone(),
                outputs,
                number: 0,
            };
            let shared = Rc::new(RefCell::new(node));
            wiring.processors.push(shared.clone());
            boxed::<K, V>(Shared(shared))
        });
        let mut node = processor(
            name,
            vec![self.node],
            wire,
            defaults::<P::KeyOut, P::ValueOut>(),
        );
        node.stores = connected;
        let node = self.app.graph.borrow_mut().add(node);
        KStream {
            app: self.app,
            node,
            rekeyed: true,
            types: PhantomData,
        }
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

    fn key_format<V2>(self) -> Formats<K, V2> {
        Formats {
            key: self.formats().key,
            value: None,
        }
    }

    /// The one way an operator without a store joins the graph: it is its closure.
    pub(crate) fn then<K2: Clone + 'static, V2: Clone + 'static>(
        self,
        prefix: &str,
        formats: Formats<K2, V2>,
        rekeyed: bool,
        apply: impl Fn(&mut Context<'_>, &Outputs<K2, V2>, Record<K, V>) -> Result<()>
        + Send
        + Sync
        + 'static,
    ) -> KStream<'a, K2, V2> {
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.number(prefix);
        let node = graph.add(processor(
            name,
            vec![self.node],
            closure_wire(apply),
            formats,
        ));
        KStream {
            app: self.app,
            node,
            rekeyed,
            types: PhantomData,
        }
    }

    /// A sink node below this stream.
    pub(crate) fn add_sink(self, name: String, topic_name: TopicName, topic: Topic<K, V>) -> usize {
        let formats = Formats {
            key: topic.key,
            value: topic.value,
        };
        let mut graph = self.app.graph.borrow_mut();
        if formats.key.is_none() || formats.value.is_none() {
            graph.problem(format!(
                "{name}: topic '{}' has no format for its keys or values; give Topic::keys and Topic::values",
                topic.name
            ));
        }
        let (wire_formats, partition) = (formats.clone(), topic.partition);
        let wire: Wire = Box::new(move |wiring, node| {
            let topic = wiring.topology.output_topic(node);
            let known = "a built sink has its formats";
            boxed::<K, V>(Sink {
                topic,
                name: Arc::from(wiring.topology.output_topics()[topic as usize].as_str()),
                key: wire_formats.key.clone().expect(known),
                value: wire_formats.value.clone().expect(known),
                partition: partition.clone(),
                key_bytes: Vec::new(),
                value_bytes: Vec::new(),
            })
        });
        let mut node = processor(name, vec![self.node], wire, formats);
        node.kind = NodeKind::Sink { topic: topic_name };
        graph.add(node)
    }
}

fn defaults<K: Data, V: Data>() -> Formats<K, V> {
    let (key, value): (FormatOf<K>, FormatOf<V>) = (K::format(), V::format());
    Formats {
        key: Some(key),
        value: Some(value),
    }
}
