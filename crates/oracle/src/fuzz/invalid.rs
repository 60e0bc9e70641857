//! Makes a case wrong in one place, so that refusals are compared too. Not a source of unreadable case files: each
//! mistake is one a user can make.
//! Invariant: at most one mistake a case, or none where no node allows it.

use super::{
    draft::{Fields, Node},
    random::Random,
};
use serde_json::{Value, json};

/// Puts one mistake into the nodes.
pub(crate) fn spoil(random: &mut Random, nodes: &mut [Node]) {
    let mistakes: &[fn(&mut Random, &mut [Node]) -> bool] = &[
        name_twice,
        illegal_name,
        store_twice,
        missing_store,
        unconnected_store,
        negative_time,
        short_retention,
        large_advance,
        grace_without_history,
        topic_twice,
        unknown_parent,
    ];
    for _ in 0..20 {
        if random.pick(mistakes)(random, nodes) {
            return;
        }
    }
}

/// A node at random that fits.
fn some<'a>(
    random: &mut Random,
    nodes: &'a mut [Node],
    fits: impl Fn(&Node) -> bool,
) -> Option<&'a mut Node> {
    let fitting: Vec<usize> = (0..nodes.len()).filter(|at| fits(&nodes[*at])).collect();
    if fitting.is_empty() {
        return None;
    }
    let at = *random.pick(&fitting);
    Some(&mut nodes[at])
}

fn name_twice(random: &mut Random, nodes: &mut [Node]) -> bool {
    let Some(name) =
        some(random, nodes, |node| node.contains_key("name")).map(|node| node["name"].clone())
    else {
        return false;
    };
    let fits = |node: &Node| node.contains_key("from") && node.get("name") != Some(&name);
    let Some(node) = some(random, nodes, fits) else {
        return false;
    };
    node.set("name", name.as_str());
    true
}

fn illegal_name(random: &mut Random, nodes: &mut [Node]) -> bool {
    let Some(node) = some(random, nodes, |node| node.contains_key("from")) else {
        return false;
    };
    let name = *random.pick(&["a b", "", "x:y", ".", "..", "ü"]);
    node.set("name", name);
    true
}

fn store_name(node: &Node) -> Option<&Value> {
    node.get("store")?.get("name")
}

fn store_twice(random: &mut Random, nodes: &mut [Node]) -> bool {
    let Some(name) = some(random, nodes, |node| store_name(node).is_some())
        .and_then(|node| store_name(node).cloned())
    else {
        return false;
    };
    let fits = |node: &Node| store_name(node).is_some_and(|other| *other != name);
    let Some(node) = some(random, nodes, fits) else {
        return false;
    };
    node["store"]["name"] = name;
    true
}

fn missing_store(random: &mut Random, nodes: &mut [Node]) -> bool {
    let Some(node) = some(random, nodes, |node| node.contains_key("stores")) else {
        return false;
    };
    node.set("stores", json!(["nope"]));
    true
}

fn unconnected_store(random: &mut Random, nodes: &mut [Node]) -> bool {
    let fits = |node: &Node| node.contains_key("stores") && node["op"] != json!("connect");
    let Some(node) = some(random, nodes, fits) else {
        return false;
    };
    node.remove("stores");
    true
}

fn negative_time(random: &mut Random, nodes: &mut [Node]) -> bool {
    let is = |node: &Node| node.contains_key("window") || node["op"] == json!("stream_stream_join");
    let Some(node) = some(random, nodes, is) else {
        return false;
    };
    let fields = [
        "grace_ms",
        "size_ms",
        "gap_ms",
        "difference_ms",
        "advance_ms",
        "before_ms",
        "after_ms",
    ];
    let owner = if node.contains_key("window") {
        node.get_mut("window")
            .and_then(Value::as_object_mut)
            .expect("a window is an object")
    } else {
        node
    };
    let present: Vec<&&str> = fields
        .iter()
        .filter(|field| owner.contains_key(**field))
        .collect();
    if present.is_empty() {
        return false;
    }
    let field = **random.pick(&present);
    owner.set(field, *random.pick(&[-1, -30]));
    true
}

fn short_retention(random: &mut Random, nodes: &mut [Node]) -> bool {
    let fits = |node: &Node| {
        node.get("store")
            .is_some_and(|store| store.get("retention_ms").is_some())
    };
    let Some(node) = some(random, nodes, fits) else {
        return false;
    };
    node["store"]["retention_ms"] = json!(*random.pick(&[0, 1]));
    true
}

fn large_advance(random: &mut Random, nodes: &mut [Node]) -> bool {
    let fits = |node: &Node| {
        node.get("window")
            .is_some_and(|window| window.get("advance_ms").is_some())
    };
    let Some(node) = some(random, nodes, fits) else {
        return false;
    };
    let size_ms = node["window"]["size_ms"].as_i64().unwrap_or(1);
    node["window"]["advance_ms"] = json!(*random.pick(&[0, size_ms + 1]));
    true
}

fn grace_without_history(random: &mut Random, nodes: &mut [Node]) -> bool {
    let Some(node) = some(random, nodes, |node| {
        node["op"] == json!("stream_table_join")
    }) else {
        return false;
    };
    node.set("grace_ms", *random.pick(&[0, 10, 1_000_000]));
    true
}

fn topic_twice(random: &mut Random, nodes: &mut [Node]) -> bool {
    let is_table =
        |node: &Node| node["op"] == json!("table") || node["op"] == json!("global_table");
    let Some(topic) = some(random, nodes, |node| {
        node.contains_key("topic") && node["op"] != json!("to")
    })
    .map(|node| node["topic"].clone()) else {
        return false;
    };
    let Some(node) = some(random, nodes, |node| {
        is_table(node) && node["topic"] != topic
    }) else {
        return false;
    };
    node.set("topic", topic);
    true
}

fn unknown_parent(random: &mut Random, nodes: &mut [Node]) -> bool {
    let Some(node) = some(random, nodes, |node| node.contains_key("parents")) else {
        return false;
    };
    node.set("parents", json!(["nobody"]));
    true
}
