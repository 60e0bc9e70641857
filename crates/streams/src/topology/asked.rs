//! Which stores are asked for the keys of a source topic's records, so that their rows can be fetched ahead. Not a promise: keys
//! may be encoded otherwise there, and then only the fetching was in vain.
//! Invariant: no operator in between changes the key.

use super::{Graph, graph::StoreSpec};
use headwater_store::Layout;
use std::collections::VecDeque;

/// For so many stores of a topic at most: each costs a little for every record.
const STORES_MAX: usize = 2;

/// What a store is asked for with the key of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AskedFor {
    /// The row of the key.
    Row,
    /// The row of the key's window of this size in ms that the record is in.
    Window(i64),
    /// The rows of the key.
    Rows,
}

impl AskedFor {
    /// As the operators of such a store ask; `None` where that cannot be told.
    fn of(store: &StoreSpec) -> Option<Self> {
        match (&store.layout, store.tumbling_ms) {
            (Layout::KeyValue, _) => Some(Self::Row),
            (Layout::Window { .. }, Some(size_ms)) if size_ms > 0 => Some(Self::Window(size_ms)),
            (Layout::Window { .. } | Layout::Session { .. }, _) => Some(Self::Rows),
            (Layout::Versioned { .. } | Layout::Lru { .. }, _) => None,
        }
    }
}

/// By number of source topic.
pub(crate) fn stores_asked(
    graph: &Graph,
    node_topics: &[Vec<u32>],
    source_topics: usize,
) -> Vec<Vec<(usize, AskedFor)>> {
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

/// The stores below a source that are asked for keys, or for plain keys with times behind them, the nearest first.
fn below(graph: &Graph, source: usize) -> Vec<(usize, AskedFor)> {
    let (mut stores, mut seen, mut next) = (Vec::new(), vec![source], VecDeque::from([source]));
    while let Some(node) = next.pop_front() {
        let node = &graph.nodes[node];
        let table = node.table.as_ref().and_then(|table| table.store);
        for store in node.stores.iter().copied().chain(table) {
            let asked = AskedFor::of(&graph.stores[store]).map(|asked| (store, asked));
            let new = asked.filter(|asked| stores.len() < STORES_MAX && !stores.contains(asked));
            stores.extend(new);
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
    use super::AskedFor;
    use crate::{App, SessionWindows, TimeWindows};
    use std::time::Duration;

    /// The names of the stores that are asked for the keys of topic `events`.
    #[track_caller]
    fn check(build: impl Fn(&App), expected: &[(&str, AskedFor)]) {
        let app = App::new("app");
        build(&app);
        let topology = app.build().expect("the topology is right");
        let topics = topology.source_topics();
        let topic = topics.iter().position(|topic| &**topic == "events");
        let topic = topic.expect("it is read") as u32;
        let stores = topology.stores_asked(topic).iter();
        let names: Vec<_> = stores
            .map(|(store, asked)| (topology.stores[*store].name.as_str(), *asked))
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn windows_are_asked_for_one_row_and_sessions_for_all_of_a_key() {
        let second = Duration::from_secs(1);
        let count = |windows: TimeWindows| {
            move |app: &App| {
                let events = app.stream::<String, String>("events");
                events.group_by_key().windowed_by(windows).count("counts");
            }
        };
        let tumbling = TimeWindows::of(10 * second);
        check(count(tumbling), &[("counts", AskedFor::Window(10_000))]);
        check(
            count(tumbling.advance_by(second)),
            &[("counts", AskedFor::Rows)],
        );
        check(
            |app| {
                let events = app.stream::<String, String>("events");
                let sessions = SessionWindows::of(second);
                events.group_by_key().windowed_by(sessions).count("counts");
            },
            &[("counts", AskedFor::Rows)],
        );
    }

    #[test]
    fn stores_are_asked_for_keys_that_nothing_has_changed() {
        let events = |app: &App| {
            let events = app.stream::<String, String>("events");
            events.group_by_key().count("counts");
        };
        check(events, &[("counts", AskedFor::Row)]);
        check(
            |app| {
                let names = app.table::<String, String>("names");
                let events = app.stream::<String, String>("events");
                let long = events.filter(|_, event| event.len() > 3);
                long.join(names, |event, name| format!("{event} {name}"))
                    .to("out");
            },
            &[("names-STATE-STORE-0000000000", AskedFor::Row)],
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
