//! `repartition`: a stream through a topic of its own. Not the repartitions that groups and joins make.
//! Invariant: the formats are those of the stream's static types.

use super::{Graph, Handle, Node, on_stream, typed};
use crate::Refusal;
use crate::case::Spec;
use crate::value::{Key, Val};
use headwater::{KStream, Repartitioned};

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    if node.op() != "repartition" {
        return Ok(false);
    }
    let from = graph.input(node, "from")?;
    on_stream!(from, stream => repartition(graph, node, &from, stream)?);
    Ok(true)
}

fn repartition<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let mut how = match node.text("name") {
        Some(name) => Repartitioned::named(name),
        None => Repartitioned::default(),
    };
    if let Some(partitions) = node.long("partitions") {
        let partitions = u32::try_from(partitions);
        how = how.partitions(partitions.map_err(|_| Refusal::Case("partitions".into()))?);
    }
    let stream = typed(stream, from.key, from.value).repartition(how);
    let stream = typed(stream, from.key, from.value);
    graph.put(node, K::stream(stream), from.key, from.value);
    Ok(())
}
