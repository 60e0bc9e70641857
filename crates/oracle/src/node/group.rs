//! Grouped streams and their aggregations without windows. Windows, cogroups and grouped tables have files of their own.
//! Invariant: the formats of group and store are those of the static types.

use super::{Graph, Handle, Node, by_type, named, on_stream, typed};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::{Aggregator, Reducer, initial};
use crate::function::Function;
use crate::store::{Family, materialized};
use crate::value::{Key, Ty, Val, present, seen};
use headwater::{KGroupedStream, KStream, Store};

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "group_by_key" => {
            let from = graph.input(node, "from")?;
            on_stream!(from, stream => group_by_key(graph, node, &from, stream));
        }
        "group_by" => {
            let from = graph.input(node, "from")?;
            on_stream!(from, stream => group_by(graph, node, &from, stream)?);
        }
        "count" | "reduce" | "aggregate" => {
            let from = graph.input(node, "from")?;
            match from.handle {
                Handle::Grouped(grouped) => aggregate(graph, node, &from, grouped)?,
                Handle::WindowedGrouped(grouped) => aggregate(graph, node, &from, grouped)?,
                _ => return Ok(false),
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn group_by_key<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) {
    let grouped = named!(typed(stream, from.key, from.value).group_by_key(), node);
    graph.put(node, K::grouped(grouped), from.key, from.value);
}

fn group_by<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let keys = Function::parse(node.required("key_fn")?, from.key, from.value)?;
    let key_ty = keys.ty;
    by_type!(key_ty, K2 => {
        let select = move |key: &K, value: Option<&Val>| {
            K2::of(keys.call(&key.val(), value.unwrap_or(&Val::Null)))
        };
        let grouped = named!(stream.with_nulls().group_by(select), node);
        let grouped = grouped.keys(K2::keys(key_ty)).values(from.value.values());
        graph.put(node, K2::grouped(grouped), key_ty, from.value);
    });
    Ok(())
}

/// The store of an aggregation: always the overload with `Materialized`.
pub(super) fn store_of<K: Key>(
    node: &Spec,
    key: Ty,
    value: Ty,
    family: Family,
) -> Result<Store<K, Val>, Refusal> {
    let spec = node.object("store")?.unwrap_or_default();
    materialized(&spec, key, value, family)
}

fn aggregate<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    grouped: KGroupedStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let grouped = match node.text("name") {
        Some(name) => grouped.operator_named(name),
        None => grouped,
    };
    let (ty, table) = match node.op() {
        "count" => {
            let store = store_of(node, from.key, Ty::Long, Family::KeyValue)?;
            (Ty::Long, grouped.count_as(zero, counted, store))
        }
        "reduce" => {
            let store = store_of(node, from.key, from.value, Family::KeyValue)?;
            let reducer = Reducer::parse(node.required("reducer")?)?;
            let reduce = move |old: Val, new: Option<Val>| present(reducer.call(&old, &seen(new)));
            (from.value, grouped.with_nulls().reduce(reduce, store))
        }
        _ => {
            let (ty, row) = initial(node);
            let store = store_of(node, from.key, ty, Family::KeyValue)?;
            let aggregator = Aggregator::parse(node.required("aggregator")?)?;
            let add = move |key: &K, value: Option<Val>, row: Option<Val>| {
                present(aggregator.call(&key.val(), &seen(value), &seen(row)))
            };
            let first = move || present(row.clone());
            (ty, grouped.with_nulls().aggregate(first, add, store))
        }
    };
    graph.put(node, K::table(table), from.key, ty);
    Ok(())
}

/// A count before the first record.
pub(super) fn zero() -> Val {
    Val::Long(0)
}

/// A count after one more record.
pub(super) fn counted(count: Val) -> Val {
    Val::Long(count.number() + 1)
}
