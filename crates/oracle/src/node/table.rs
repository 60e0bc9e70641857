//! Verbs of tables, and the ways between streams and tables. Not joins.
//! Invariant: a verb of a table with a store is the overload with `Materialized`, without it the one without.

use super::{
    Graph, Handle, Node, by_type, named, on_stream, on_table, typed, typed_table, unsupported,
};
use crate::Refusal;
use crate::case::Spec;
use crate::function::{Function, Test};
use crate::store::{Family, materialized};
use crate::value::{Key, Ty, Val, present, seen};
use headwater::streams::{Error, TransformContext, ValueTransformer};
use headwater::{KStream, KTable, Store, StoreHandle};
use std::marker::PhantomData;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "to_stream" => {
            let from = graph.input(node, "from")?;
            on_table!(from, table => to_stream(graph, node, &from, table)?);
        }
        "to_table" => {
            let from = graph.input(node, "from")?;
            on_stream!(from, stream => to_table(graph, node, &from, stream)?);
        }
        "filter" | "filter_not" | "map_values" | "transform_values" => {
            let from = graph.input(node, "from")?;
            on_table!(from, table => verb(graph, node, &from, table)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn verb<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    table: KTable<'a, K, Val>,
) -> Result<(), Refusal> {
    let table = named!(typed_table(table, from.key, from.value), node);
    let (table, ty) = match node.op() {
        "filter" | "filter_not" => (filter(node, from, table)?, from.value),
        "map_values" => map_values(node, from, table)?,
        _ => transform_values(graph, node, from, table)?,
    };
    let stated = node.has("store") || (node.op().starts_with("filter") && from.stated);
    let table = K::table(typed_table(table, from.key, ty));
    graph.put_table(node, table, from.key, ty, stated);
    Ok(())
}

/// The store of a verb, where it has the overload with `Materialized`.
pub(super) fn store_of<K: Key>(
    node: &Spec,
    key: Ty,
    value: Ty,
) -> Result<Option<Store<K, Val>>, Refusal> {
    let spec = node.object("store")?;
    spec.map(|spec| materialized::<K>(&spec, key, value, Family::KeyValue))
        .transpose()
}

fn filter<'a, K: Key>(
    node: &Spec,
    from: &Node<'a>,
    table: KTable<'a, K, Val>,
) -> Result<KTable<'a, K, Val>, Refusal> {
    let test = Test::parse(node.required("test")?, from.key, from.value)?;
    let holds = move |key: &K, value: &Val| test.holds(&key.val(), value);
    let store = store_of(node, from.key, from.value)?;
    Ok(match (node.op(), store) {
        ("filter", None) => table.filter(holds),
        ("filter", Some(store)) => table.filter_in(holds, store),
        (_, None) => table.filter_not(holds),
        (_, Some(store)) => table.filter_not_in(holds, store),
    })
}

fn map_values<'a, K: Key>(
    node: &Spec,
    from: &Node<'a>,
    table: KTable<'a, K, Val>,
) -> Result<(KTable<'a, K, Val>, Ty), Refusal> {
    let values = Function::parse(node.required("value_fn")?, from.key, from.value)?;
    let ty = values.ty;
    let map = move |key: &K, value: Val| present(values.call(&key.val(), &value));
    let table = table.with_nulls();
    let table = match store_of(node, from.key, ty)? {
        None => table.map_values(map),
        Some(store) => table.map_values_in(map, store),
    };
    Ok((table, ty))
}

fn transform_values<'a, K: Key>(
    graph: &Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    table: KTable<'a, K, Val>,
) -> Result<(KTable<'a, K, Val>, Ty), Refusal> {
    let values = Function::parse(node.required("value_fn")?, from.key, from.value)?;
    let counter = match node.text("counter_store") {
        None => None,
        Some(name) => graph.stores.get(name).and_then(|store| store.key_value()),
    };
    if counter.is_none() && node.has("counter_store") {
        return Err(unsupported(node, "with this counter_store"));
    }
    let ty = counter.map_or(values.ty, |_| Ty::Str);
    let stores: Vec<_> = counter.into_iter().collect();
    let factory = move || Transformer::<K> {
        values: values.clone(),
        counter,
        keys: PhantomData,
    };
    let table = match store_of(node, from.key, ty)? {
        None => table.transform_values(stores, factory),
        Some(store) => table.transform_values_in(stores, factory, store),
    };
    Ok((table, ty))
}

/// Gives the function's result, and with a counter how often it was called for the key.
struct Transformer<K> {
    values: Function,
    counter: Option<StoreHandle<Val, Val>>,
    keys: PhantomData<fn(K)>,
}

impl<K: Key> ValueTransformer for Transformer<K> {
    type Key = K;
    type Value = Val;
    type Out = Val;

    fn transform(
        &mut self,
        key: &K,
        value: Option<Val>,
        ctx: &mut TransformContext<'_, '_>,
    ) -> Result<Option<Val>, Error> {
        let key = key.val();
        let result = self.values.call(&key, &seen(value));
        let Some(counter) = self.counter else {
            return Ok(present(result));
        };
        let mut store = ctx.store(counter)?;
        let key = Val::Str(key.text());
        let count = seen(store.get(&key)?).number() + 1;
        store.put(&key, &Val::Long(count))?;
        Ok(match result {
            Val::Null => None,
            result => Some(Val::Str(format!("{}#{count}", result.text()))),
        })
    }
}

fn to_stream<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    table: KTable<'a, K, Val>,
) -> Result<(), Refusal> {
    let table = named!(table, node);
    let Some(spec) = node.text("key_fn") else {
        let stream = typed(table.to_stream(), from.key, from.value);
        graph.put(node, K::stream(stream), from.key, from.value);
        return Ok(());
    };
    let keys = Function::parse(spec, from.key, from.value)?;
    let key_ty = keys.ty;
    by_type!(key_ty, K2 => {
        let select = move |key: &K, value: Option<&Val>| {
            K2::of(keys.call(&key.val(), value.unwrap_or(&Val::Null)))
        };
        // `toStream(mapper)` is `toStream().selectKey(mapper)`.
        let stream = table.to_stream().with_nulls().select_key(select);
        let stream = typed(stream, key_ty, from.value);
        graph.put(node, K2::stream(stream), key_ty, from.value);
    });
    Ok(())
}

fn to_table<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let spec = node.object("store")?.unwrap_or_default();
    let store = materialized::<K>(&spec, from.key, from.value, Family::KeyValue)?;
    let stream = named!(typed(stream, from.key, from.value), node);
    graph.put(node, K::table(stream.to_table(store)), from.key, from.value);
    Ok(())
}
