//! Cogrouped streams, with and without windows. Invariant: a node that is not its own is left to the other families.

use super::group::store_of;
use super::window::{WindowsOf, aggregator, merger, windows};
use super::{Graph, Handle, Node};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::initial;
use crate::store::Family;
use crate::value::{Key, Ty, Val, present};
use headwater::{KCogroupedStream, Windowing};

/// A cogroup, and its windows.
#[derive(Clone)]
pub(crate) enum Cogroup<'a> {
    Plain(KCogroupedStream<'a, Val, Val>),
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
    let mut made = None;
    let mut types = None;
    for group in node.objects("groups")? {
        let from = graph.input(&group, "from")?;
        let Handle::Grouped(grouped) = from.handle else {
            return Err(Refusal::Unsupported("cogroup of windowed keys".into()));
        };
        let add = aggregator(group.required("aggregator")?)?;
        made = Some(match made {
            None => grouped.with_nulls().cogroup(add),
            Some(cogrouped) => {
                let cogrouped: KCogroupedStream<'_, Val, Val> = cogrouped;
                cogrouped.with_nulls().cogroup(grouped, add)
            }
        });
        types.get_or_insert((from.key, from.value));
    }
    let (Some(made), Some((key, value))) = (made, types) else {
        return Err(Refusal::Case("a cogroup of no groups".into()));
    };
    graph.put(node, Handle::Cogroup(Cogroup::Plain(made)), key, value);
    Ok(())
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
