//! Processors on streams, and the stores added for them. Not the low-level topology.
//! Invariant: a processor is connected to the stores its node lists, and to no others.

use super::{Graph, Handle, Node, by_type, named, on_stream, typed, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::processor::Plan;
use crate::store::{StoreRef, added};
use crate::value::{Key, Val};
use headwater::KStream;
use headwater::streams::StoreSet;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "add_store" => {
            let spec = node.required_object("store")?;
            let store = added(graph.app, &spec)?;
            graph.stores.insert(spec.required("name")?.into(), store);
        }
        "process" => {
            let from = graph.input(node, "from")?;
            on_stream!(from, stream => process(graph, node, &from, stream)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn process<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let mut connected = Connected(Vec::new());
    for name in node.texts("stores") {
        connected.0.extend(known(graph, node, &name)?.indices());
    }
    let store = match node.text("store") {
        Some(name) => Some(known(graph, node, name)?),
        None => None,
    };
    let plan = Plan::of(node, from.key, from.value, store)?;
    let (key, value) = (plan.key, plan.value);
    by_type!(key, K2 => {
        let factory = move || plan.processor::<K, K2>();
        let processed = named!(stream, node).process(connected, factory);
        graph.put(node, K2::stream(typed(processed, key, value)), key, value);
    });
    Ok(())
}

fn known(graph: &Graph<'_>, node: &Spec, name: &str) -> Result<StoreRef, Refusal> {
    let store = graph.stores.get(name).copied();
    store.ok_or_else(|| {
        unsupported(
            node,
            &format!("with store {name}, which add_store did not add"),
        )
    })
}

/// The stores of a case by their numbers.
pub(super) struct Connected(pub(super) Vec<usize>);

impl StoreSet for Connected {
    fn indices(&self) -> Vec<usize> {
        self.0.clone()
    }
}
