//! Cogrouped streams, with and without windows. Invariant: a node that is not its own is left to the other families.

use super::group::store_of;
use super::window::{WindowsOf, aggregator, merger, windows};
use super::{Graph, Handle, Node};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::initial;
use crate::store::Family;
use crate::value::{Key, Ty, Val, present};
use headwater::{KCogroupedStream, KGroupedStream, Windowed, Windowing};

/// A cogroup, and its windows.
#[derive(Clone)]
pub(crate) enum Cogroup<'a> {
    Plain(KCogroupedStream<'a, Val, Val>),
    /// Of keys that are windowed already.
    Keyed(KCogroupedStream<'a, Windowed<Val>, Val>),
    Windowed(headwater::KWindowedCogroup<'a, Val, Val>, i64),
    Sessions(headwater::KSessionCogroup<'a, Val, Val>),
}

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "cogroup" => cogroup(graph, node)?,
        "windowed_by" | "aggregate" => {
            let from = graph.input(node, "from")?;
            let Handle::Cogroup(cogroup) = from.handle.clone() else {
                return Ok(false);
            };
            if node.op() == "aggregate" {
                aggregate(graph, node, &from, cogroup)?;
            } else {
                windowed_by(graph, node, &from, cogroup)?;
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn cogroup(graph: &mut Graph<'_>, node: &Spec) -> Result<(), Refusal> {
    let groups = node.objects("groups")?;
    let Some(first) = groups.first() else {
        return Err(Refusal::Case("a cogroup of no groups".into()));
    };
    let first = graph.input(first, "from")?;
    let made = if first.key.is_windowed() {
        Cogroup::Keyed(members(graph, &groups, |handle| match handle {
            Handle::WindowedGrouped(grouped) => Some(grouped),
            _ => None,
        })?)
    } else {
        Cogroup::Plain(members(graph, &groups, |handle| match handle {
            Handle::Grouped(grouped) => Some(grouped),
            _ => None,
        })?)
    };
    graph.put(node, Handle::Cogroup(made), first.key, first.value);
    Ok(())
}

/// The cogroup of `groups`, whose handles `pick` takes apart.
fn members<'a, K: Key>(
    graph: &Graph<'a>,
    groups: &[Spec],
    pick: impl Fn(Handle<'a>) -> Option<KGroupedStream<'a, K, Val>>,
) -> Result<KCogroupedStream<'a, K, Val>, Refusal> {
    let mut made: Option<KCogroupedStream<'a, K, Val>> = None;
    for group in groups {
        let Some(grouped) = pick(graph.input(group, "from")?.handle) else {
            return Err(Refusal::Case("a cogroup of other groups".into()));
        };
        let add = aggregator(group.required("aggregator")?)?;
        let add = move |key: &K, value: Option<Val>, row: Option<Val>| add(&key.val(), value, row);
        made = Some(match made {
            None => grouped.with_nulls().cogroup(add),
            Some(cogrouped) => cogrouped.with_nulls().cogroup(grouped, add),
        });
    }
    made.ok_or_else(|| Refusal::Case("a cogroup of no groups".into()))
}

fn windowed_by<'a>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    cogroup: Cogroup<'a>,
) -> Result<(), Refusal> {
    let Cogroup::Plain(cogrouped) = cogroup else {
        return Err(Refusal::Case("a cogroup is windowed twice".into()));
    };
    let windowed = match windows(node)? {
        WindowsOf::Time(windows) => {
            Cogroup::Windowed(cogrouped.windowed_by(windows), windows.size_ms())
        }
        WindowsOf::Session(windows) => Cogroup::Sessions(cogrouped.windowed_by(windows)),
    };
    graph.put(node, Handle::Cogroup(windowed), from.key, from.value);
    Ok(())
}

fn aggregate<'a>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    cogroup: Cogroup<'a>,
) -> Result<(), Refusal> {
    let (ty, row) = initial(node);
    let first = move || present(row.clone());
    let store = |family| store_of(node, from.key, ty, family);
    let name = node.text("name");
    match cogroup {
        Cogroup::Plain(cogrouped) => {
            let cogrouped = match name {
                Some(name) => cogrouped.named(name),
                None => cogrouped,
            };
            let store = store(Family::KeyValue)?;
            let table = cogrouped.with_nulls().aggregate(first, store);
            graph.put(node, Key::table(table), from.key, ty);
        }
        Cogroup::Keyed(cogrouped) => {
            let cogrouped = match name {
                Some(name) => cogrouped.named(name),
                None => cogrouped,
            };
            let store = store_of(node, from.key, ty, Family::KeyValue)?;
            let table = cogrouped.with_nulls().aggregate(first, store);
            graph.put(node, Key::table(table), from.key, ty);
        }
        Cogroup::Windowed(cogrouped, size_ms) => {
            let cogrouped = match name {
                Some(name) => cogrouped.named(name),
                None => cogrouped,
            };
            let store = store(Family::Window)?;
            let table = cogrouped.with_nulls().aggregate(first, store);
            graph.put(node, Key::table(table), Ty::TimeWindowed { size_ms }, ty);
        }
        Cogroup::Sessions(cogrouped) => {
            let cogrouped = match name {
                Some(name) => cogrouped.named(name),
                None => cogrouped,
            };
            let (store, merge) = (store(Family::Window)?, merger(node)?);
            let table = cogrouped.with_nulls().aggregate(first, merge, store);
            graph.put(node, Key::table(table), Ty::SessionWindowed, ty);
        }
    }
    Ok(())
}
