//! Foreign-key joins of tables. Not joins by primary key. Invariant: the foreign key is a function of key and value, and null
//! names no row.

use super::{Graph, Handle, Node, named, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::Joiner;
use crate::function::Function;
use crate::store::{Family, materialized};
use crate::value::{Key, Ty, Val, present};
use headwater::KTable;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    if node.op() != "foreign_key_join" {
        return Ok(false);
    }
    let left = graph.input(node, "left")?;
    let right = graph.input(node, "right")?;
    match (left.handle.clone(), right.handle.clone()) {
        (Handle::Table(l), Handle::Table(r)) => join(graph, node, (&left, l), (&right, r))?,
        (Handle::Table(l), Handle::WindowedTable(r)) => join(graph, node, (&left, l), (&right, r))?,
        (Handle::WindowedTable(l), Handle::Table(r)) => join(graph, node, (&left, l), (&right, r))?,
        (Handle::WindowedTable(l), Handle::WindowedTable(r)) => {
            join(graph, node, (&left, l), (&right, r))?;
        }
        _ => return Err(unsupported(node, "of these inputs")),
    }
    Ok(true)
}

fn join<'a, K: Key, F: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    (left, table): (&Node<'a>, KTable<'a, K, Val>),
    (right, other): (&Node<'a>, KTable<'a, F, Val>),
) -> Result<(), Refusal> {
    let extract = Function::parse(node.required("fk_fn")?, left.key, left.value)?;
    let other = other.keys(F::keys(right.key)).values(right.values());
    let by =
        other.by(move |key: &K, value: &Val| present(extract.call(&key.val(), value)).map(F::of));
    let joiner = Joiner::of(node, left.value, right.value)?;
    let ty = joiner.ty;
    let join = move |key: &K, value: Option<&Val>, row: Option<&Val>| {
        let (value, row) = (value.unwrap_or(&Val::Null), row.unwrap_or(&Val::Null));
        present(joiner.call(&key.val(), value, row))
    };
    // Java takes the serdes that both tables know.
    let table = table.keys(K::keys(left.key)).values(left.values());
    let table = named!(table, node).with_nulls();
    let store = match node.object("store")? {
        Some(spec) => Some(materialized::<K>(&spec, left.key, ty, Family::KeyValue)?),
        None => None,
    };
    let joined = match (node.text("type"), store) {
        (Some("left"), None) => table.left_join(by, join),
        (Some("left"), Some(store)) => table.left_join_in(by, join, store),
        (_, None) => table.join(by, join),
        (_, Some(store)) => table.join_in(by, join, store),
    };
    let stated = node.has("store");
    let values = if stated { ty } else { Ty::Str };
    let joined = joined.keys(K::keys(left.key)).values(values.values());
    graph.put_table(node, K::table(joined), left.key, ty, stated);
    Ok(())
}
