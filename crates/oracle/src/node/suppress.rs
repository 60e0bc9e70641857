//! Suppression of a table. Not windows. Invariant: an option is set only where the case sets it.

use super::{Graph, Handle, Node, named, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::value::{Key, Val};
use headwater::streams::{SuppressUntil, TimeLimit};
use headwater::{KTable, Suppress};
use std::time::Duration;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    if node.op() != "suppress" {
        return Ok(false);
    }
    let from = graph.input(node, "from")?;
    match (from.handle.clone(), node.long("time_limit_ms")) {
        (Handle::Table(table), Some(limit_ms)) => {
            suppress(graph, node, &from, table, until(node, limit_ms)?)
        }
        (Handle::WindowedTable(table), Some(limit_ms)) => {
            suppress(graph, node, &from, table, until(node, limit_ms)?)
        }
        (Handle::WindowedTable(table), None) => {
            let closes = bounded(node, Suppress::until_window_closes());
            suppress(graph, node, &from, table, closes)
        }
        // Java finds no windows upstream; Rust has no such call.
        (Handle::Table(_), None) => {
            return Err(unsupported(node, "until windows close without windows"));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn until(node: &Spec, limit_ms: i64) -> Result<Suppress<TimeLimit>, Refusal> {
    let limit_ms = u64::try_from(limit_ms).map_err(|_| unsupported(node, "a negative limit"))?;
    let suppress = bounded(
        node,
        Suppress::until_time_limit(Duration::from_millis(limit_ms)),
    );
    Ok(match node.text("on_full") {
        Some("emit_early") => suppress.emit_early_when_full(),
        _ => suppress,
    })
}

fn bounded<T>(node: &Spec, mut suppress: Suppress<T>) -> Suppress<T> {
    let bound = |field| {
        let bound = node.long(field);
        bound.map(|bound| usize::try_from(bound).unwrap_or(0))
    };
    if let Some(records) = bound("max_records") {
        suppress = suppress.max_records(records);
    }
    if let Some(bytes) = bound("max_bytes") {
        suppress = suppress.max_bytes(bytes);
    }
    if node.bool("logging") == Some(false) {
        return suppress.without_changelog();
    }
    let settings = node.settings("logging").into_iter();
    settings.fold(suppress, |suppress, (name, value)| {
        suppress.changelog_setting(&name, &value)
    })
}

fn suppress<'a, K: Key, T: SuppressUntil<K> + 'static>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    table: KTable<'a, K, Val>,
    suppress: Suppress<T>,
) {
    let table = named!(table, node).keys(K::keys(from.key));
    let table = table.values(from.values()).suppress(suppress);
    graph.put_table(node, K::table(table), from.key, from.value, from.stated);
}
