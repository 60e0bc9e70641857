//! Global tables, their joins with streams, and global stores with the judge's own processor.
//! Invariant: a global store is known to later processors by its name, like a store that `add_store` added.

use super::source::consumed;
use super::{Graph, Handle, Node, by_type, named, on_stream, typed, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::Joiner;
use crate::function::Function;
use crate::store::{Family, StoreRef, entries_max, logging, materialized};
use crate::value::{Key, Ty, Val, present};
use headwater::streams::{Error, GlobalKTable};
use headwater::{KStream, Processor, ProcessorContext, Record, Store, Topic};
use std::marker::PhantomData;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "global_table" => table(graph, node)?,
        "global_store" => store(graph, node)?,
        "stream_global_join" => {
            let left = graph.input(node, "left")?;
            let right = graph.input(node, "right")?;
            let Handle::GlobalTable(table) = right.handle.clone() else {
                return Err(unsupported(node, "of these inputs"));
            };
            on_stream!(left, stream => join(graph, node, (&left, stream), (&right, table))?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn table(graph: &mut Graph<'_>, node: &Spec) -> Result<(), Refusal> {
    let (key, value) = (Ty::field(node, "key")?, Ty::field(node, "value")?);
    if key.is_windowed() {
        return Err(unsupported(node, "of windowed keys"));
    }
    let topic = Topic::named(node.required("topic")?);
    let topic = consumed::<Val>(topic, node, key, value)?;
    let table = match node.object("store")? {
        None => graph.app.global_table(topic),
        Some(store) => {
            let store = materialized::<Val>(&store, key, value, Family::KeyValue)?;
            graph.app.global_table_in(topic, store)
        }
    };
    graph.put(node, Handle::GlobalTable(table), key, value);
    Ok(())
}

fn store(graph: &mut Graph<'_>, node: &Spec) -> Result<(), Refusal> {
    let types = (Ty::field(node, "key")?, Ty::field(node, "value")?);
    let spec = node.required_object("store")?;
    let kind = spec.text("kind").unwrap_or("persistent");
    let store = Store::named(spec.required("name")?);
    let store = match kind {
        "persistent" => store.on_disk(),
        "in_memory" => store.in_memory(),
        "lru" => store.lru(entries_max(&spec)?),
        kind => return Err(unsupported(node, &format!("with a store of kind {kind}"))),
    };
    let ty = spec.required("type")?;
    if !matches!(ty, "kv" | "timestamped_kv") {
        return Err(unsupported(node, &format!("with a store of type {ty}")));
    }
    let store = match spec.bool("caching") {
        Some(true) => store.with_cache(),
        _ => store,
    };
    let (key, value) = (Ty::field(&spec, "key")?, Ty::field(&spec, "value")?);
    let store = logging(store, &spec);
    let store = store.keys(Val::keys(key)).values(value.values());
    by_type!(types.0, K => {
        let topic = Topic::named(node.required("topic")?);
        let topic = consumed::<K>(topic, node, types.0, types.1)?;
        let made = match ty {
            "kv" => StoreRef::KeyValue(graph.app.global_store(topic, store, |store| {
                Fill::<K>::new(StoreRef::KeyValue(store))
            })),
            _ => StoreRef::Timestamped(graph.app.timestamped_global_store(topic, store, |store| {
                Fill::<K>::new(StoreRef::Timestamped(store))
            })),
        };
        graph.stores.insert(spec.required("name")?.into(), made);
    });
    Ok(())
}

fn join<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    (left, stream): (&Node<'a>, KStream<'a, K, Val>),
    (right, table): (&Node<'a>, GlobalKTable<'a, Val, Val>),
) -> Result<(), Refusal> {
    let select = Function::parse(node.required("key_fn")?, left.key, left.value)?;
    let by = table.by(move |key: &K, value: &Val| select.call(&key.val(), value));
    let joiner = Joiner::of(node, left.value, right.value)?;
    let ty = joiner.ty;
    let join = move |key: &K, value: Option<&Val>, row: Option<&Val>| {
        let (value, row) = (value.unwrap_or(&Val::Null), row.unwrap_or(&Val::Null));
        present(joiner.call(&key.val(), value, row))
    };
    let stream = named!(stream, node).with_nulls();
    let joined = match node.text("type") {
        Some("left") => stream.left_join(by, join),
        _ => stream.join(by, join),
    };
    graph.put(node, K::stream(typed(joined, left.key, ty)), left.key, ty);
    Ok(())
}

/// Puts each value under the text of its key; null deletes, and null keys are ignored.
struct Fill<K> {
    store: StoreRef,
    types: PhantomData<fn(K)>,
}

impl<K> Fill<K> {
    fn new(store: StoreRef) -> Self {
        Self {
            store,
            types: PhantomData,
        }
    }
}

impl<K: Key> Processor for Fill<K> {
    type KeyIn = K;
    type ValueIn = Val;
    type KeyOut = ();
    type ValueOut = ();

    fn process(
        &mut self,
        record: Record<K, Val>,
        ctx: &mut ProcessorContext<'_, '_, (), ()>,
    ) -> Result<(), Error> {
        let key = record.key.val();
        if key == Val::Null {
            return Ok(());
        }
        let key = Val::Str(key.text());
        let value = record.value.unwrap_or(Val::Null);
        self.store.put(ctx, &key, &value, record.timestamp)
    }
}
