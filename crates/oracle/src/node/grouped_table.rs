//! Tables grouped by a new key, and their aggregations. Not grouped streams.
//! Invariant: the formats of group and store are those of the static types.

use super::group::{counted, store_of, zero};
use super::{Graph, Handle, Node, by_type, named, on_table, typed_table};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::{Aggregator, Reducer, initial};
use crate::function::Function;
use crate::store::Family;
use crate::value::{Key, Ty, Val, present, seen};
use headwater::{KGroupedTable, KTable};

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "group_by" => {
            let from = graph.input(node, "from")?;
            on_table!(from, table => group_by(graph, node, &from, table)?);
        }
        "count" | "reduce" | "aggregate" => {
            let from = graph.input(node, "from")?;
            match from.handle {
                Handle::GroupedTable(grouped) => aggregate(graph, node, &from, grouped)?,
                Handle::WindowedGroupedTable(grouped) => aggregate(graph, node, &from, grouped)?,
                _ => return Ok(false),
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn group_by<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    table: KTable<'a, K, Val>,
) -> Result<(), Refusal> {
    let keys = Function::parse(node.required("key_fn")?, from.key, from.value)?;
    let value_fn = node.text("value_fn").unwrap_or("value");
    let values = Function::parse(value_fn, from.key, from.value)?;
    let (key_ty, value_ty) = (keys.ty, values.ty);
    by_type!(key_ty, K2 => {
        let group = move |key: &K, value: Val| {
            let key = key.val();
            (K2::of(keys.call(&key, &value)), present(values.call(&key, &value)))
        };
        let table = typed_table(table, from.key, from.value);
        let grouped = named!(table.with_nulls().group_by(group), node);
        let grouped = grouped.keys(K2::keys(key_ty)).values(value_ty.values());
        graph.put(node, K2::grouped_table(grouped), key_ty, value_ty);
    });
    Ok(())
}

fn aggregate<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    grouped: KGroupedTable<'a, K, Val>,
) -> Result<(), Refusal> {
    let grouped = match node.text("name") {
        Some(name) => grouped.operator_named(name),
        None => grouped,
    };
    let (ty, table) = match node.op() {
        "count" => {
            let store = store_of(node, from.key, Ty::Long, Family::KeyValue)?;
            let back = |count: Val| Val::Long(count.number() - 1);
            let next = |count: Option<Val>| counted(count.unwrap_or_else(zero));
            (Ty::Long, grouped.count_as(next, back, store))
        }
        "reduce" => {
            let store = store_of(node, from.key, from.value, Family::KeyValue)?;
            let add = Reducer::parse(node.required("reducer")?)?;
            let subtract = Reducer::parse(node.required("subtractor")?)?;
            let table = grouped.with_nulls().reduce(
                move |old: Val, new: Val| present(add.call(&old, &new)),
                move |row: Val, old: Val| present(subtract.call(&row, &old)),
                store,
            );
            (from.value, table)
        }
        _ => {
            let (ty, row) = initial(node);
            let store = store_of(node, from.key, ty, Family::KeyValue)?;
            let add = Aggregator::parse(node.required("aggregator")?)?;
            let subtract = Aggregator::parse(node.required("subtractor")?)?;
            let table = grouped.with_nulls().aggregate(
                move || present(row.clone()),
                move |key: &K, value: Val, row: Option<Val>| {
                    present(add.call(&key.val(), &value, &seen(row)))
                },
                move |key: &K, value: Val, row: Val| {
                    present(subtract.call(&key.val(), &value, &row))
                },
                store,
            );
            (ty, table)
        }
    };
    let table = K::table(typed_table(table, from.key, ty));
    graph.put(node, table, from.key, ty);
    Ok(())
}
