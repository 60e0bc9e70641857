//! Verbs of tables, and the ways between streams and tables. Not joins.
//! Invariant: a verb of a table with a store is the overload with `Materialized`, without it the one without.

use super::{Graph, Handle, Node, by_type, named, on_stream, on_table, typed};
use crate::Refusal;
use crate::case::Spec;
use crate::function::Function;
use crate::store::{Family, materialized};
use crate::value::{Key, Val};
use headwater::{KStream, KTable};

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    match node.op() {
        "to_stream" => {
            let from = graph.input(node, "from")?;
            on_table!(from, table => to_stream(graph, node, &from, table)?);
        }
        "to_table" => {
            let from = graph.input(node, "from")?;
            on_stream!(from, stream => to_table(graph, node, &from, stream)?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn to_stream<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    table: KTable<'a, K, Val>,
) -> Result<(), Refusal> {
    let table = named!(table, node);
    let Some(spec) = node.text("key_fn") else {
        let stream = typed(table.to_stream(), from.key, from.value);
        graph.put(node, K::stream(stream), from.key, from.value);
        return Ok(());
    };
    let keys = Function::parse(spec, from.key, from.value)?;
    let key_ty = keys.ty;
    by_type!(key_ty, K2 => {
        let select = move |key: &K, value: Option<&Val>| {
            K2::of(keys.call(&key.val(), value.unwrap_or(&Val::Null)))
        };
        // `toStream(mapper)` is `toStream().selectKey(mapper)`.
        let stream = table.to_stream().with_nulls().select_key(select);
        let stream = typed(stream, key_ty, from.value);
        graph.put(node, K2::stream(stream), key_ty, from.value);
    });
    Ok(())
}

fn to_table<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let spec = node.object("store")?.unwrap_or_default();
    let store = materialized::<K>(&spec, from.key, from.value, Family::KeyValue)?;
    let stream = named!(typed(stream, from.key, from.value), node);
    graph.put(node, K::table(stream.to_table(store)), from.key, from.value);
    Ok(())
}
