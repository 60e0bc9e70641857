//! `split`: a stream into branches, the first whose test holds takes the record. Not several filters.
//! Invariant: branches are named in the order of the case, the default last.

use super::{Graph, Handle, Node, named, on_stream, typed};
use crate::Refusal;
use crate::case::Spec;
use crate::function::Test;
use crate::value::{Key, Val};
use headwater::KStream;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    if node.op() != "split" {
        return Ok(false);
    }
    let from = graph.input(node, "from")?;
    on_stream!(from, stream => split(graph, node, &from, stream)?);
    Ok(true)
}

fn split<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    stream: KStream<'a, K, Val>,
) -> Result<(), Refusal> {
    let specs = node.objects("branches")?;
    let parse = |spec: &Spec| Test::parse(spec.required("test")?, from.key, from.value);
    let tests: Vec<Test> = specs.iter().map(parse).collect::<Result<_, _>>()?;
    let default = node.object("default")?;
    let branches = named!(stream, node).split(|split| {
        let mut branches = Vec::new();
        for (spec, test) in specs.iter().zip(tests) {
            let holds = move |key: &K, value: Option<&Val>| {
                test.holds(&key.val(), value.unwrap_or(&Val::Null))
            };
            branches.push(named!(split, spec).branch_with_nulls(holds));
        }
        let default = default.as_ref();
        branches.extend(default.map(|spec| named!(split, spec).default_branch()));
        branches
    });
    for (spec, branch) in specs.iter().chain(&default).zip(branches) {
        let branch = K::stream(typed(branch, from.key, from.value));
        graph.put(spec, branch, from.key, from.value);
    }
    Ok(())
}
