//! Random groupings, windows, aggregations and cogroups, of streams and tables. Not the stores' own options.
//! Invariant: only string keys are windowed, because the serializers of windowed keys in the case files take strings.

use super::{
    draft::{Draft, Fields, Grouped, Node, Table},
    function,
    kind::Kind,
    stateless::on,
};
use serde_json::{Value, json};

/// A window and what follows from it.
struct Window {
    json: Value,
    /// The kind of the result's key.
    key: Kind,
    session: bool,
    /// The least retention, none where windows have no end.
    keep_ms: Option<i64>,
}

impl Draft {
    /// An aggregation of a stream, windowed in half the cases.
    pub(crate) fn aggregate_stream(&mut self) -> bool {
        let Some(grouped) = self.group(false) else {
            return false;
        };
        if grouped.key == Kind::String && self.random.chance(55) {
            self.aggregate_windowed(&grouped);
        } else {
            self.aggregate_plain(&grouped);
        }
        true
    }

    /// A grouped stream: an earlier one now and then. Two of a cogroup that need repartition topics need names.
    fn group(&mut self, cogroup: bool) -> Option<Grouped> {
        if !self.grouped.is_empty() && self.random.chance(20) {
            let grouped = self.grouped.clone();
            return Some(self.random.pick(&grouped).clone());
        }
        let stream = self.stream()?;
        let id = self.id("gr");
        let (mut node, key) = if self.random.chance(60) {
            (on("group_by_key", &id, &stream.id), stream.key)
        } else {
            let key = self.key_kind();
            let mut node = on("group_by", &id, &stream.id);
            let function = self.key_function(stream.key, stream.value, key);
            node.set("key_fn", function);
            (node, key)
        };
        self.maybe_name(&mut node, "grp");
        if cogroup && !node.contains_key("name") && self.random.chance(85) {
            let name = self.name("grp");
            node.set("name", name.as_str());
        }
        self.add_node(node);
        let grouped = Grouped {
            id,
            key,
            value: stream.value,
        };
        self.grouped.push(grouped.clone());
        Some(grouped)
    }

    /// The fields of an aggregation and the kind of its result.
    fn aggregation(&mut self, node: &mut Node, value: Kind, table: bool, session: bool) -> Kind {
        let fields = match self.random.below(3) {
            0 => ("count", Kind::Long),
            1 => ("reduce", value),
            _ => (
                "aggregate",
                self.random.weighted(&[(6, Kind::String), (4, Kind::Long)]),
            ),
        };
        let (op, result) = fields;
        node.set("op", op);
        match op {
            "reduce" => {
                let reducer = function::reducer(&mut self.random, value);
                node.set("reducer", reducer);
                if table {
                    let subtractor = match value {
                        Kind::Long => "diff".to_owned(),
                        _ => self
                            .random
                            .weighted(&[(4, "concat:-"), (1, "first"), (1, "null_if:a")])
                            .to_owned(),
                    };
                    node.set("subtractor", subtractor);
                }
            }
            "aggregate" => {
                let init = self.init(result);
                node.set("init", init);
                let aggregator = function::aggregator(&mut self.random, value, result);
                node.set("aggregator", aggregator);
                if table {
                    let subtractor = match result {
                        Kind::Long => *self.random.pick(&["diff", "uncount"]),
                        _ => *self.random.pick(&["concat:-", "concat:-", "null_if:a"]),
                    };
                    node.set("subtractor", subtractor);
                }
                if session {
                    let merger = function::reducer(&mut self.random, result);
                    node.set("merger", merger);
                }
            }
            _ => {}
        }
        result
    }

    fn init(&mut self, result: Kind) -> Value {
        match result {
            Kind::Long => json!(*self.random.pick(&[0, 0, 100])),
            _ if self.random.chance(15) => Value::Null,
            _ => json!(*self.random.pick(&["", "", "i"])),
        }
    }

    fn aggregate_plain(&mut self, grouped: &Grouped) {
        let id = self.id("ag");
        let mut node = on("", &id, &grouped.id);
        let result = self.aggregation(&mut node, grouped.value, false, false);
        self.maybe_name(&mut node, "agg");
        self.finish_plain(node, grouped.key, result);
    }

    fn finish_plain(&mut self, mut node: Node, key: Kind, value: Kind) {
        let id = node["id"].as_str().expect("an id is a string").to_owned();
        let materialized = self.kv_store();
        if let Some(store) = materialized.store {
            node.set("store", store);
        }
        self.add_node(node);
        let history_ms = materialized.history_ms;
        let versioned = history_ms.is_some();
        self.tables.push(Table {
            id,
            key,
            value,
            history_ms,
            versioned,
            closes: false,
            stated: true,
        });
    }

    fn window(&mut self) -> Window {
        let grace_ms = *self.random.pick(&[0, 0, 5, 20, 50, 1000]);
        let size_ms = *self.random.pick(&[1, 5, 10, 10, 20, 50, 100]);
        match self
            .random
            .weighted(&[(30, 0), (20, 1), (22, 2), (23, 3), (5, 4)])
        {
            0 => Window {
                json: json!({"type": "tumbling", "size_ms": size_ms, "grace_ms": grace_ms}),
                key: Kind::Time { size_ms },
                session: false,
                keep_ms: Some(size_ms + grace_ms),
            },
            1 => {
                let size_ms = size_ms.max(5);
                let advance_ms = self.random.between((size_ms / 5).max(1), size_ms);
                Window {
                    json: json!({"type": "hopping", "size_ms": size_ms, "advance_ms": advance_ms, "grace_ms": grace_ms}),
                    key: Kind::Time { size_ms },
                    session: false,
                    keep_ms: Some(size_ms + grace_ms),
                }
            }
            2 => {
                let difference_ms = *self.random.pick(&[1, 5, 10, 10, 20, 20, 50, 50, 100, 0]);
                Window {
                    json: json!({"type": "sliding", "difference_ms": difference_ms, "grace_ms": grace_ms}),
                    key: Kind::Time {
                        size_ms: difference_ms,
                    },
                    session: false,
                    keep_ms: Some(2 * difference_ms + grace_ms),
                }
            }
            3 => {
                let gap_ms = *self.random.pick(&[0, 1, 5, 10, 30]);
                Window {
                    json: json!({"type": "session", "gap_ms": gap_ms, "grace_ms": grace_ms}),
                    key: Kind::Session,
                    session: true,
                    keep_ms: Some(gap_ms + grace_ms),
                }
            }
            _ => Window {
                json: json!({"type": "unlimited", "start_ms": *self.random.pick(&[0, 0, 10, 40])}),
                key: Kind::Time { size_ms: i64::MAX },
                session: false,
                keep_ms: None,
            },
        }
    }

    fn windowed_by(&mut self, from: &str, cogroup: bool) -> (String, Window) {
        let window = self.window();
        let id = self.id("w");
        let mut node = on("windowed_by", &id, from);
        node.set("window", window.json.clone());
        // Java's cogroup has no strategy, and windows without an end never close.
        if !cogroup && window.keep_ms.is_some() {
            match self.random.below(10) {
                0..=2 => node.set("emit", "on_window_close"),
                3 => node.set("emit", "on_window_update"),
                _ => {}
            }
        }
        self.add_node(node);
        (id, window)
    }

    fn aggregate_windowed(&mut self, grouped: &Grouped) {
        let (windowed, window) = self.windowed_by(&grouped.id, false);
        let id = self.id("wa");
        let mut node = on("", &id, &windowed);
        let result = self.aggregation(&mut node, grouped.value, false, window.session);
        self.maybe_name(&mut node, "wag");
        self.finish_windowed(node, &window, result);
    }

    fn finish_windowed(&mut self, mut node: Node, window: &Window, value: Kind) {
        let id = node["id"].as_str().expect("an id is a string").to_owned();
        if let Some(store) = self.window_store(window.keep_ms) {
            node.set("store", store);
        }
        self.add_node(node);
        self.tables.push(Table {
            id,
            key: window.key,
            value,
            history_ms: None,
            versioned: false,
            closes: window.keep_ms.is_some(),
            stated: true,
        });
    }

    /// An aggregation of several grouped streams into one table.
    pub(crate) fn cogroup(&mut self) -> bool {
        let Some(first) = self.group(true) else {
            return false;
        };
        let mut all = vec![first.clone()];
        for _ in 0..self.random.between(0, 2) {
            if let Some(next) = self.group(true).filter(|next| {
                next.key == first.key && all.iter().all(|earlier| earlier.id != next.id)
            }) {
                all.push(next);
            }
        }
        let result = self.random.weighted(&[(6, Kind::String), (4, Kind::Long)]);
        let groups: Vec<Value> = all
            .iter()
            .map(|grouped| {
                let aggregator = function::aggregator(&mut self.random, grouped.value, result);
                json!({"from": grouped.id, "aggregator": aggregator})
            })
            .collect();
        let cogroup = self.id("cg");
        self.add(json!({"op": "cogroup", "id": cogroup, "groups": groups}));
        let init = self.init(result);
        if first.key == Kind::String && self.random.chance(50) {
            let (windowed, window) = self.windowed_by(&cogroup, true);
            let id = self.id("ca");
            let mut node = on("aggregate", &id, &windowed);
            node.set("init", init);
            if window.session {
                let merger = function::reducer(&mut self.random, result);
                node.set("merger", merger);
            }
            self.maybe_name(&mut node, "cag");
            self.finish_windowed(node, &window, result);
        } else {
            let id = self.id("ca");
            let mut node = on("aggregate", &id, &cogroup);
            node.set("init", init);
            self.maybe_name(&mut node, "cag");
            self.finish_plain(node, first.key, result);
        }
        true
    }

    /// An aggregation of a table.
    pub(crate) fn aggregate_table(&mut self) -> bool {
        let Some(table) = self.table_where(|_| true) else {
            return false;
        };
        let grouped = self.id("gt");
        let mut group = on("group_by", &grouped, &table.id);
        let key = self.key_kind();
        let key_function = self.key_function(table.key, table.value, key);
        group.set("key_fn", key_function);
        let mut value = table.value;
        if self.random.chance(40) {
            let (function, kind) = self.value_function(table.key, table.value);
            group.set("value_fn", function);
            value = kind;
        }
        self.maybe_name(&mut group, "grp");
        self.add_node(group);
        let id = self.id("ta");
        let mut node = on("", &id, &grouped);
        let result = self.aggregation(&mut node, value, true, false);
        self.maybe_name(&mut node, "tag");
        self.finish_plain(node, key, result);
        true
    }
}
