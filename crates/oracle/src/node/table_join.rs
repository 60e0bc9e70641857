//! Joins with tables on the right: of streams, of tables, and of streams with global tables.
//! Invariant: the joiner sees null where Java's does.

use super::table::store_of;
use super::{Graph, Handle, Node, named, typed, typed_table, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::Joiner;
use crate::value::{Key, Val, present};
use headwater::{KStream, KTable};
use std::time::Duration;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    if !matches!(node.op(), "stream_table_join" | "table_table_join") {
        return Ok(false);
    }
    let left = graph.input(node, "left")?;
    let right = graph.input(node, "right")?;
    match (left.handle.clone(), right.handle.clone()) {
        (Handle::Stream(stream), Handle::Table(table)) => {
            stream_table_join(graph, node, (&left, stream), (&right, table))?;
        }
        (Handle::WindowedStream(stream), Handle::WindowedTable(table)) => {
            stream_table_join(graph, node, (&left, stream), (&right, table))?;
        }
        (Handle::Table(table), Handle::Table(other)) => {
            table_table_join(graph, node, (&left, table), (&right, other))?;
        }
        (Handle::WindowedTable(table), Handle::WindowedTable(other)) => {
            table_table_join(graph, node, (&left, table), (&right, other))?;
        }
        _ => return Err(unsupported(node, "of these keys")),
    }
    Ok(true)
}

fn stream_table_join<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    (left, stream): (&Node<'a>, KStream<'a, K, Val>),
    (right, table): (&Node<'a>, KTable<'a, K, Val>),
) -> Result<(), Refusal> {
    let joiner = Joiner::of(node, left.value, right.value)?;
    let ty = joiner.ty;
    let join = move |key: &K, value: Option<&Val>, row: Option<&Val>| {
        let (value, row) = (value.unwrap_or(&Val::Null), row.unwrap_or(&Val::Null));
        present(joiner.call(&key.val(), value, row))
    };
    let stream = named!(typed(stream, left.key, left.value), node).with_nulls();
    let left_join = node.text("type") == Some("left");
    let joined = match node.long("grace_ms") {
        None if left_join => stream.left_join(table, join),
        None => stream.join(table, join),
        Some(grace_ms) => {
            let table = table.grace(Duration::from_millis(grace_ms as u64));
            match left_join {
                true => stream.left_join(table, join),
                false => stream.join(table, join),
            }
        }
    };
    graph.put(node, K::stream(typed(joined, left.key, ty)), left.key, ty);
    Ok(())
}

fn table_table_join<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    (left, table): (&Node<'a>, KTable<'a, K, Val>),
    (right, other): (&Node<'a>, KTable<'a, K, Val>),
) -> Result<(), Refusal> {
    let joiner = Joiner::of(node, left.value, right.value)?;
    let ty = joiner.ty;
    let join = move |key: &K, left: Option<&Val>, right: Option<&Val>| {
        let (left, right) = (left.unwrap_or(&Val::Null), right.unwrap_or(&Val::Null));
        present(joiner.call(&key.val(), left, right))
    };
    let store = store_of(node, left.key, ty)?;
    let table = named!(typed_table(table, left.key, left.value), node).with_nulls();
    let joined = match (node.text("type").unwrap_or("inner"), store) {
        ("inner", None) => table.join(other, join),
        ("inner", Some(store)) => table.join_in(other, join, store),
        ("left", None) => table.left_join(other, join),
        ("left", Some(store)) => table.left_join_in(other, join, store),
        (_, None) => table.outer_join(other, join),
        (_, Some(store)) => table.outer_join_in(other, join, store),
    };
    let joined = K::table(typed_table(joined, left.key, ty));
    graph.put_table(node, joined, left.key, ty, node.has("store"));
    Ok(())
}
