//! Processors on streams, and the stores added for them. Not the low-level topology.
//! Invariant: a processor is connected to the stores its node lists, and to no others.

use super::{Graph, Handle, Node, by_type, named, on_stream, typed, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::processor::Plan;
use crate::store::{StoreRef, added};
use crate::value::{Key, Val};
use headwater::KStream;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "add_store" => {
            add_store(graph, node)?;
        }
        "process" => {
            let from = graph.input(node, "from")?;
            on_stream!(from, stream => process(graph, node, &from, stream)?);
        }
        "process_values" => {
            let from = graph.input(node, "from")?;
            on_stream!(from, stream => process_values(graph, node, &from, stream)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(super) fn add_store(graph: &mut Graph<'_>, node: &Spec) -> Result<(), Refusal> {
    let spec = node.required_object("store")?;
    let store = added(graph.app, &spec)?;
    graph.stores.insert(spec.required("name")?.into(), store);
    Ok(())
}

fn process<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let (plan, connected) = plan(graph, node, from)?;
    let (key, value) = (plan.key, plan.value);
    by_type!(key, K2 => {
        let factory = move || plan.processor::<K, K2>();
        let processed = named!(stream, node).process(connected, factory);
        graph.put(node, K2::stream(typed(processed, key, value)), key, value);
    });
    Ok(())
}

fn process_values<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let (plan, connected) = plan(graph, node, from)?;
    let (key, value) = (from.key, plan.value);
    let factory = move || plan.keyed::<K>();
    let processed = named!(stream, node).process_values(connected, factory);
    graph.put(node, K::stream(typed(processed, key, value)), key, value);
    Ok(())
}

/// What the node does, and the stores it is connected to.
fn plan(graph: &Graph<'_>, node: &Spec, from: &Node<'_>) -> Result<(Plan, Vec<String>), Refusal> {
    let connected = node.texts("stores");
    let store = match node.text("store") {
        // A name that no store has is the DSL's to refuse, if the processor is to be connected to it.
        Some(name) if connected.iter().any(|known| known == name) => {
            graph.stores.get(name).cloned()
        }
        Some(name) => Some(known(graph, node, name)?),
        None => None,
    };
    Ok((Plan::of(node, from.key, from.value, store)?, connected))
}

fn known(graph: &Graph<'_>, node: &Spec, name: &str) -> Result<StoreRef, Refusal> {
    let store = graph.stores.get(name).cloned();
    store.ok_or_else(|| {
        unsupported(
            node,
            &format!("with store {name}, which add_store did not add"),
        )
    })
}
