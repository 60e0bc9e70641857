//! Makes up a whole case from a seed and an index. Not run here: the judges do that.
//! Invariant: the same seed and index give the same case, byte for byte.

use super::{
    draft::{Draft, Fields},
    invalid,
    random::Random,
};
use serde_json::{Map, Value};

/// How often one may look for an operator that fits before a topology is taken as it is.
const ATTEMPTS_MAX: usize = 60;

/// Case `index` of `seed`.
pub fn case(seed: u64, index: u64) -> Value {
    let mut draft = Draft::new(Random::of_case(seed, index));
    if draft.random.chance(9) {
        draft.low_level();
    } else {
        dsl(&mut draft);
    }
    let unreadable = draft.random.chance(4);
    let input = draft.inputs(unreadable);
    let config = draft.settings(unreadable);
    let mut nodes = std::mem::take(&mut draft.nodes);
    if draft.random.chance(5) {
        invalid::spoil(&mut draft.random, &mut nodes);
    }
    let mut case = Map::new();
    case.set("name", format!("fuzz-{seed}-{index}"));
    if !config.is_empty() {
        case.set("config", Value::Object(config));
    }
    case.set(
        "nodes",
        nodes.into_iter().map(Value::Object).collect::<Vec<_>>(),
    );
    case.set("input", Value::Array(input));
    Value::Object(case)
}

fn dsl(draft: &mut Draft) {
    draft.sources();
    let wanted = draft.random.between(1, 8);
    let mut made = 0;
    for _ in 0..ATTEMPTS_MAX {
        if made == wanted {
            break;
        }
        made += i64::from(operator(draft));
    }
    draft.sinks();
}

/// Adds one operator, or none if what was drawn does not fit.
fn operator(draft: &mut Draft) -> bool {
    match draft.random.weighted(&[
        (26, 0),
        (15, 1),
        (4, 2),
        (5, 3),
        (12, 4),
        (6, 5),
        (6, 6),
        (26, 7),
        (13, 8),
        (3, 9),
    ]) {
        0 => draft.stateless(),
        1 => draft.aggregate_stream(),
        2 => draft.cogroup(),
        3 => draft.stream_to_table(),
        4 => draft.table_operator(),
        5 => draft.aggregate_table(),
        6 => draft.suppress(),
        7 => draft.join(),
        8 => draft.process(),
        _ => draft.through(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_an_index_name_one_case() {
        assert_eq!(case(3, 17).to_string(), case(3, 17).to_string());
        assert_ne!(case(3, 17)["nodes"], case(3, 18)["nodes"]);
    }

    #[test]
    fn nodes_are_built_on_earlier_nodes() {
        for index in 0..300 {
            let case = case(1, index);
            let mut known: Vec<&str> = Vec::new();
            for node in case["nodes"].as_array().expect("nodes are a list") {
                for field in ["from", "left", "right"] {
                    if let Some(id) = node[field].as_str() {
                        assert!(known.contains(&id), "case {index}: {id} is not there yet");
                    }
                }
                let branches = node["branches"].as_array().into_iter().flatten();
                let branches = branches.chain(node.get("default"));
                known.extend(branches.filter_map(|branch| branch["id"].as_str()));
                known.extend(node["id"].as_str());
            }
        }
    }
}
