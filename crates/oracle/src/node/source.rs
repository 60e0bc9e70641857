//! Streams and tables read from topics, and stores added for processors. Not global tables.
//! Invariant: the static types of a source decide its formats and whether its keys are windowed.

use super::{Graph, by_type};
use crate::Refusal;
use crate::case::Spec;
use crate::function::Function;
use crate::store::{Family, materialized};
use crate::value::{Key, Ty, Val};
use headwater::Topic;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    let types = (Ty::field(node, "key")?, Ty::field(node, "value")?);
    match node.op() {
        "stream" => by_type!(types.0, K => stream::<K>(graph, node, types)?),
        "table" => by_type!(types.0, K => table::<K>(graph, node, types)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn stream<K: Key>(
    graph: &mut Graph<'_>,
    node: &Spec,
    (key, value): (Ty, Ty),
) -> Result<(), Refusal> {
    let topic = match node.text("pattern") {
        Some(pattern) => Topic::matching(pattern),
        None => Topic::named_all(node.texts("topics")),
    };
    let topic = consumed::<K>(topic, node, key, value)?;
    let stream = graph.app.stream(topic);
    graph.put(node, K::stream(stream), key, value);
    Ok(())
}

fn table<K: Key>(
    graph: &mut Graph<'_>,
    node: &Spec,
    (key, value): (Ty, Ty),
) -> Result<(), Refusal> {
    let topic = Topic::named(node.required("topic")?);
    let topic = consumed::<K>(topic, node, key, value)?;
    let table = match node.object("store")? {
        None => graph.app.table(topic),
        Some(store) => {
            let store = materialized::<K>(&store, key, value, Family::KeyValue)?;
            graph.app.table_in(topic, store)
        }
    };
    graph.put(node, K::table(table), key, value);
    Ok(())
}

/// A source's topic with its formats and options.
pub(super) fn consumed<K: Key>(
    topic: Topic<K, Val>,
    node: &Spec,
    key: Ty,
    value: Ty,
) -> Result<Topic<K, Val>, Refusal> {
    let mut topic = topic.keys(K::keys(key)).values(value.values());
    if let Some(name) = node.text("name") {
        topic = topic.source_named(name);
    }
    Ok(match node.text("timestamp_fn") {
        None => topic,
        Some(spec) => {
            let function = Function::parse(spec, key, value)?;
            topic.timestamp_by(move |key: &K, value: Option<&Val>, _| {
                let value = value.unwrap_or(&Val::Null);
                match function.call(&key.val(), value) {
                    Val::Null => -1,
                    other => other.number(),
                }
            })
        }
    })
}
