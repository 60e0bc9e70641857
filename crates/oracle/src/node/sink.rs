//! `to`: streams written to topics. Not repartition topics. Invariant: the formats are those of the stream's static types.

use super::{Graph, Handle, Node, named, on_stream};
use crate::Refusal;
use crate::case::Spec;
use crate::function::Function;
use crate::value::{Key, Val};
use headwater::{KStream, Topic};

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    if node.op() != "to" {
        return Ok(false);
    }
    let from = graph.input(node, "from")?;
    on_stream!(from, stream => to(stream, &from, node)?);
    Ok(true)
}

fn to<K: Key>(stream: KStream<'_, K, Val>, from: &Node<'_>, node: &Spec) -> Result<(), Refusal> {
    let topic = match node.text("topic_fn") {
        None => Topic::named(node.required("topic")?),
        Some(spec) => {
            let function = Function::parse(spec, from.key, from.value)?;
            let choose = move |key: &K, value: Option<&Val>| {
                let chosen = function.call(&key.val(), value.unwrap_or(&Val::Null));
                chosen.text()
            };
            Topic::chosen_by(choose).described_as("topic_fn")
        }
    };
    let topic = topic.keys(K::keys(from.key)).values(from.value.values());
    named!(stream, node).to(topic);
    Ok(())
}
