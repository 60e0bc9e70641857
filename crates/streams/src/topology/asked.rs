//! Which stores are asked for the keys of a source topic's records, so that their rows can be fetched ahead. Not a promise: keys
//! may be encoded otherwise there, and then only the fetching was in vain.
//! Invariant: no operator in between changes the key.

use super::Graph;
use headwater_store::Layout;
use std::collections::VecDeque;

/// For so many stores of a topic at most: each costs a little for every record.
const STORES_MAX: usize = 2;

/// By number of source topic.
pub(crate) fn stores_asked(
    graph: &Graph,
    node_topics: &[Vec<u32>],
    source_topics: usize,
) -> Vec<Vec<usize>> {
    let mut asked = vec![Vec::new(); source_topics];
    for (source, topics) in node_topics.iter().enumerate() {
        if !graph.nodes[source].parents.is_empty() {
            continue;
        }
        let stores = below(graph, source);
        for topic in topics {
            asked[*topic as usize].clone_from(&stores);
        }
    }
    asked
}

/// The stores of plain keys below a source, the nearest first.
fn below(graph: &Graph, source: usize) -> Vec<usize> {
    let (mut stores, mut seen, mut next) = (Vec::new(), vec![source], VecDeque::from([source]));
    while let Some(node) = next.pop_front() {
        let node = &graph.nodes[node];
        let table = node.table.as_ref().and_then(|table| table.store);
        for store in node.stores.iter().copied().chain(table) {
            let is_plain = matches!(graph.stores[store].layout, Layout::KeyValue);
            if is_plain && stores.len() < STORES_MAX && !stores.contains(&store) {
                stores.push(store);
            }
        }
        for child in &node.children {
            let changes = graph.groups[graph.nodes[*child].group].role.changes_key;
            if !changes && !seen.contains(child) {
                seen.push(*child);
                next.push_back(*child);
            }
        }
    }
    stores
}

#[cfg(test)]
mod tests {
    use crate::App;

    /// The names of the stores that are asked for the keys of topic `events`.
    #[track_caller]
    fn check(build: impl Fn(&App), expected: &[&str]) {
        let app = App::new("app");
        build(&app);
        let topology = app.build().expect("the topology is right");
        let topics = topology.source_topics();
        let topic = topics.iter().position(|topic| &**topic == "events");
        let topic = topic.expect("it is read") as u32;
        let stores = topology.stores_asked(topic).iter();
        let names: Vec<_> = stores
            .map(|store| topology.stores[*store].name.as_str())
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn stores_are_asked_for_keys_that_nothing_has_changed() {
        let events = |app: &App| {
            let events = app.stream::<String, String>("events");
            events.group_by_key().count("counts");
        };
        check(events, &["counts"]);
        check(
            |app| {
                let names = app.table::<String, String>("names");
                let events = app.stream::<String, String>("events");
                let long = events.filter(|_, event| event.len() > 3);
                long.join(names, |event, name| format!("{event} {name}"))
                    .to("out");
            },
            &["names-STATE-STORE-0000000000"],
        );
        check(
            |app| {
                let events = app.stream::<String, String>("events");
                let by_value = events.select_key(|_, event| event.clone());
                by_value.group_by_key().count("counts");
            },
            &[],
        );
    }
}
