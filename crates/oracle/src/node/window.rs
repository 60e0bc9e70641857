//! Windows of time and their aggregations: tumbling and hopping. Not sessions and sliding windows.
//! Invariant: the result's key is windowed, and its size is that of the windows.

use super::group::{counted, store_of};
use super::{Graph, Handle, Node, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::{Aggregator, Reducer, initial};
use crate::store::Family;
use crate::value::{Key, Ty, Val, present, seen};
use headwater::{KWindowedStream, TimeWindows};
use std::time::Duration;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    let from = || graph.input(node, "from");
    match node.op() {
        "windowed_by" => {
            let from = from()?;
            windowed_by(graph, node, from)
        }
        "count" | "reduce" | "aggregate" => {
            let from = from()?;
            let Handle::TimeWindowed(windowed, size_ms) = from.handle else {
                return Ok(false);
            };
            aggregate(graph, node, &from, windowed, size_ms)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn windowed_by<'a>(graph: &mut Graph<'a>, node: &Spec, from: Node<'a>) -> Result<bool, Refusal> {
    let Handle::Grouped(grouped) = from.handle else {
        return Ok(false);
    };
    let spec = node.required_object("window")?;
    let kind = spec.required("type")?;
    if !matches!(kind, "tumbling" | "hopping") {
        return Err(unsupported(node, kind));
    }
    if node.text("emit") == Some("on_window_close") {
        return Err(unsupported(node, "on_window_close"));
    }
    let size_ms = spec.required_long("size_ms")?;
    let mut windows = TimeWindows::of(duration(size_ms)?);
    if let Some(advance_ms) = spec.long("advance_ms") {
        windows = windows.advance_by(duration(advance_ms)?);
    }
    windows = windows.grace(duration(spec.long("grace_ms").unwrap_or(0))?);
    let handle = Handle::TimeWindowed(grouped.windowed_by(windows), size_ms);
    graph.put(node, handle, from.key, from.value);
    Ok(true)
}

fn duration(ms: i64) -> Result<Duration, Refusal> {
    let ms = u64::try_from(ms);
    let ms = ms.map_err(|_| Refusal::Unsupported("a negative duration".into()))?;
    Ok(Duration::from_millis(ms))
}

fn aggregate<'a>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    windowed: KWindowedStream<'a, Val, Val>,
    size_ms: i64,
) -> Result<(), Refusal> {
    let windowed = match node.text("name") {
        Some(name) => windowed.named(name),
        None => windowed,
    };
    let (ty, table) = match node.op() {
        "count" => {
            let store = store_of(node, from.key, Ty::Long, Family::Window)?;
            (Ty::Long, windowed.count_as(counted, store))
        }
        "reduce" => {
            let store = store_of(node, from.key, from.value, Family::Window)?;
            let reducer = Reducer::parse(node.required("reducer")?)?;
            let reduce = move |old: Val, new: Option<Val>| present(reducer.call(&old, &seen(new)));
            (from.value, windowed.with_nulls().reduce(reduce, store))
        }
        _ => {
            let (ty, row) = initial(node);
            let store = store_of(node, from.key, ty, Family::Window)?;
            let aggregator = Aggregator::parse(node.required("aggregator")?)?;
            let add = move |key: &Val, value: Option<Val>, row: Option<Val>| {
                present(aggregator.call(key, &seen(value), &seen(row)))
            };
            let first = move || present(row.clone());
            (ty, windowed.with_nulls().aggregate(first, add, store))
        }
    };
    let key = Ty::TimeWindowed { size_ms };
    graph.put(node, Key::table(table), key, ty);
    Ok(())
}
