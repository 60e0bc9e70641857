//! The low-level topology: sources, processors and sinks by name. Not streams of the DSL.
//! Invariant: the types of an operator come from its first parent.

use super::{Graph, by_type, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::function::Function;
use crate::processor::Plan;
use crate::value::{Key, Ty, Val};
use headwater::Topic;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "source" => {
            let (key, value) = (Ty::field(node, "key")?, Ty::field(node, "value")?);
            by_type!(key, K => source::<K>(graph, node, key, value)?);
            note(graph, node, key, value)?;
        }
        "processor" => processor(graph, node)?,
        "sink" => {
            let (key, value) = types(graph, node);
            by_type!(key, K => sink::<K>(graph, node, key, value)?);
        }
        "connect" => {
            let name = node.required("processor_name")?;
            graph.app.connect(name, node.texts("stores"));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// True for a node that makes the whole case a low-level topology.
pub(super) fn is_low_level(node: &Spec) -> bool {
    matches!(node.op(), "source" | "processor" | "sink" | "connect")
}

fn source<K: Key>(graph: &Graph<'_>, node: &Spec, key: Ty, value: Ty) -> Result<(), Refusal> {
    let topic = Topic::named_all(node.texts("topics"));
    let topic = topic.keys(K::keys(key)).values(value.values());
    graph.app.add_source(node.required("name")?, topic);
    Ok(())
}

fn processor(graph: &mut Graph<'_>, node: &Spec) -> Result<(), Refusal> {
    let (from_key, from_value) = types(graph, node);
    let store = match node.text("store") {
        None => None,
        Some(name) => match graph.stores.get(name) {
            Some(store) => Some(store.clone()),
            None => return Err(unsupported(node, &format!("with store {name}"))),
        },
    };
    let plan = Plan::of(node, from_key, from_value, store)?;
    let (key, value) = (plan.key, plan.value);
    let (name, parents) = (node.required("name")?, node.texts("parents"));
    by_type!(from_key, K => by_type!(key, K2 => {
        let factory = move || plan.processor::<K, K2>();
        graph.app.add_processor(name, parents, node.texts("stores"), factory);
    }));
    note(graph, node, key, value)
}

fn sink<K: Key>(graph: &Graph<'_>, node: &Spec, key: Ty, value: Ty) -> Result<(), Refusal> {
    let topic = match node.text("topic_fn") {
        None => Topic::named(node.required("topic")?),
        Some(spec) => {
            let function = Function::parse(spec, key, value)?;
            let choose = move |key: &K, value: Option<&Val>| {
                let chosen = function.call(&key.val(), value.unwrap_or(&Val::Null));
                chosen.text()
            };
            Topic::chosen_by(choose).described_as("topic_fn")
        }
    };
    let topic = topic.keys(K::keys(key)).values(value.values());
    let parents = node.texts("parents");
    graph.app.add_sink(node.required("name")?, topic, parents);
    Ok(())
}

/// The types that the first parent sends.
fn types(graph: &Graph<'_>, node: &Spec) -> (Ty, Ty) {
    let parents = node.texts("parents");
    let known = parents.first().and_then(|name| graph.sends.get(name));
    known.copied().unwrap_or((Ty::Str, Ty::Str))
}

fn note(graph: &mut Graph<'_>, node: &Spec, key: Ty, value: Ty) -> Result<(), Refusal> {
    let name = node.required("name")?.to_owned();
    graph.sends.insert(name, (key, value));
    Ok(())
}
