//! Verbs of streams that keep nothing: filter, map, flat map, peek, merge. Those of tables are in `table`.
//! Invariant: functions see null where Java's do, through `with_nulls`.

use super::{Graph, Handle, Node, by_type, named, on_stream, typed};
use crate::Refusal;
use crate::case::Spec;
use crate::function::{Function, ListFunction, Test};
use crate::value::{Key, Ty, Val, present, seen};
use headwater::KStream;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "filter" | "filter_not" | "map_values" | "map" | "select_key" | "flat_map"
        | "flat_map_values" | "peek" | "foreach" => {
            let from = graph.input(node, "from")?;
            on_stream!(from, stream => verb(graph, node, &from, stream)?);
        }
        "merge" => merge(graph, node)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn verb<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let stream = named!(stream, node);
    match node.op() {
        "filter" | "filter_not" => filter(graph, node, from, stream),
        "map_values" => map_values(graph, node, from, stream),
        "map" => map(graph, node, from, stream),
        "select_key" => select_key(graph, node, from, stream),
        "flat_map" => flat_map(graph, node, from, stream),
        "flat_map_values" => flat_map_values(graph, node, from, stream),
        "peek" => {
            let peeked = stream.with_nulls().peek(|_, _| {});
            put(graph, node, peeked, from.key, from.value);
            Ok(())
        }
        _ => {
            stream.with_nulls().for_each(|_, _| {});
            Ok(())
        }
    }
}

/// Keeps a stream with the formats of its types.
fn put<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    stream: KStream<'a, K, Val>,
    key: Ty,
    value: Ty,
) {
    graph.put(node, K::stream(typed(stream, key, value)), key, value);
}

fn filter<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let test = Test::parse(node.required("test")?, from.key, from.value)?;
    let holds =
        move |key: &K, value: Option<&Val>| test.holds(&key.val(), value.unwrap_or(&Val::Null));
    let stream = stream.with_nulls();
    let kept = match node.op() {
        "filter" => stream.filter(holds),
        _ => stream.filter_not(holds),
    };
    put(graph, node, kept, from.key, from.value);
    Ok(())
}

fn map_values<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let function = Function::parse(node.required("value_fn")?, from.key, from.value)?;
    let ty = function.ty;
    let map = move |key: &K, value: Option<Val>| present(function.call(&key.val(), &seen(value)));
    let mapped = stream.with_nulls().map_values(map);
    put(graph, node, mapped, from.key, ty);
    Ok(())
}

fn map<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let keys = Function::parse(node.required("key_fn")?, from.key, from.value)?;
    let values = Function::parse(node.required("value_fn")?, from.key, from.value)?;
    let (key_ty, value_ty) = (keys.ty, values.ty);
    by_type!(key_ty, K2 => {
        let map = move |key: K, value: Option<Val>| {
            let (key, value) = (key.val(), seen(value));
            let new_key = K2::of(keys.call(&key, &value));
            (new_key, present(values.call(&key, &value)))
        };
        put(graph, node, stream.with_nulls().map(map), key_ty, value_ty);
    });
    Ok(())
}

fn select_key<'a, K: Key>(
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
        put(graph, node, stream.with_nulls().select_key(select), key_ty, from.value);
    });
    Ok(())
}

fn flat_map<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let list = ListFunction::parse(node.required("list_fn")?, from.key, from.value)?;
    let keys = Function::parse(node.required("key_fn")?, from.key, list.ty)?;
    let values = Function::parse(node.required("value_fn")?, from.key, list.ty)?;
    let (key_ty, value_ty) = (keys.ty, values.ty);
    by_type!(key_ty, K2 => {
        let map = move |key: K, value: Option<Val>| {
            let key = key.val();
            let items = list.call(&key, &seen(value)).into_iter();
            let pair = |item: Val| {
                let new_key = K2::of(keys.call(&key, &item));
                (new_key, present(values.call(&key, &item)))
            };
            items.map(pair).collect::<Vec<_>>()
        };
        put(graph, node, stream.with_nulls().flat_map(map), key_ty, value_ty);
    });
    Ok(())
}

fn flat_map_values<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let list = ListFunction::parse(node.required("list_fn")?, from.key, from.value)?;
    let ty = list.ty;
    let map = move |key: &K, value: Option<Val>| {
        let items = list.call(&key.val(), &seen(value)).into_iter();
        items.map(present).collect::<Vec<_>>()
    };
    let mapped = stream.with_nulls().flat_map_values(map);
    put(graph, node, mapped, from.key, ty);
    Ok(())
}

fn merge(graph: &mut Graph<'_>, node: &Spec) -> Result<(), Refusal> {
    let left = graph.input(node, "left")?;
    let right = graph.input(node, "right")?;
    let (key, value) = (left.key, left.value);
    match (left.handle, right.handle) {
        (Handle::Stream(left), Handle::Stream(right)) => {
            put(graph, node, named!(left, node).merge(right), key, value);
        }
        (Handle::WindowedStream(left), Handle::WindowedStream(right)) => {
            put(graph, node, named!(left, node).merge(right), key, value);
        }
        _ => {
            return Err(Refusal::Case(
                "merge needs two streams of equal keys".into(),
            ));
        }
    }
    Ok(())
}
