//! Random operators on tables. Not the aggregations that make tables, nor joins.
//! Invariant: a table tells whether its results come from a versioned store, which `suppress` refuses.

use super::{
    draft::{Draft, Fields, Node, Table},
    kind::Kind,
    stateless::on,
};
use serde_json::json;

impl Draft {
    /// One of the operators on a table.
    pub(crate) fn table_operator(&mut self) -> bool {
        match self.random.weighted(&[(25, 0), (25, 1), (20, 2), (30, 3)]) {
            0 => self.table_filter(),
            1 => self.table_map_values(),
            2 => self.transform_values(),
            _ => {
                let Some(table) = self.table_where(|_| true) else {
                    return false;
                };
                self.table_to_stream(&table);
                true
            }
        }
    }

    /// Gives the node a store or none, and adds the table that it makes of `from`.
    pub(crate) fn add_table(&mut self, mut node: Node, from: &Table, key: Kind, value: Kind) {
        let materialized = self.kv_store();
        let stored = materialized.store.is_some();
        if let Some(store) = materialized.store {
            node.set("store", store);
        }
        let id = node["id"].as_str().expect("an id is a string").to_owned();
        self.add_node(node);
        self.tables.push(Table {
            id,
            key,
            value,
            history_ms: materialized.history_ms,
            versioned: materialized.history_ms.is_some() || (!stored && from.versioned),
            closes: from.closes,
            stated: stored || from.stated,
        });
    }

    fn table_filter(&mut self) -> bool {
        let Some(table) = self.table_where(|_| true) else {
            return false;
        };
        let id = self.id("tf");
        let op = if self.random.chance(70) {
            "filter"
        } else {
            "filter_not"
        };
        let mut node = on(op, &id, &table.id);
        self.maybe_name(&mut node, "tf");
        let test = self.test(table.key, table.value);
        node.set("test", test);
        self.add_table(node, &table, table.key, table.value);
        true
    }

    fn table_map_values(&mut self) -> bool {
        let Some(table) = self.table_where(|_| true) else {
            return false;
        };
        let id = self.id("tm");
        let mut node = on("map_values", &id, &table.id);
        self.maybe_name(&mut node, "tm");
        let (function, value) = self.value_function(table.key, table.value);
        node.set("value_fn", function);
        let from = Table {
            stated: false,
            ..table
        };
        self.add_table(node, &from, from.key, value);
        true
    }

    fn transform_values(&mut self) -> bool {
        let Some(table) = self.table_where(|_| true) else {
            return false;
        };
        let counter = if self.random.chance(50) {
            // Its own store may be cached, and the order of two cached stores is Java's hash order.
            Some(self.shared_store("kv", Kind::Long, false))
        } else {
            None
        };
        let id = self.id("tv");
        let mut node = on("transform_values", &id, &table.id);
        self.maybe_name(&mut node, "tv");
        let (function, mut value) = self.value_function(table.key, table.value);
        node.set("value_fn", function);
        if let Some(counter) = counter {
            node.set("counter_store", counter.name);
            value = Kind::String;
        }
        let from = Table {
            stated: false,
            ..table
        };
        let counts = node.contains_key("counter_store");
        self.add_table(node, &from, from.key, value);
        // Kafka Streams recomputes a table without a store in the processors behind it, which lack the counter's store.
        if counts && let Some(made) = self.tables.pop_if(|made| !made.stated) {
            self.table_to_stream(&made);
        }
        true
    }

    /// Holds a table's updates back.
    pub(crate) fn suppress(&mut self) -> bool {
        let Some(table) = self
            .table_where(|table| table.closes && !table.versioned && table.serializes())
            .filter(|_| self.random.chance(75))
            .or_else(|| self.table_where(|table| !table.versioned && table.serializes()))
        else {
            return false;
        };
        let id = self.id("su");
        let mut node = on("suppress", &id, &table.id);
        self.maybe_name(&mut node, "sup");
        let until_close = table.closes && self.random.chance(65);
        if !until_close {
            let limit_ms = *self.random.pick(&[0, 1, 10, 30, 100, 1000]);
            node.set("time_limit_ms", limit_ms);
        }
        let records = self.random.chance(if until_close { 12 } else { 45 });
        let bytes = self.random.chance(if until_close { 8 } else { 25 });
        if records {
            node.set("max_records", self.random.between(1, 12));
        }
        if bytes {
            node.set("max_bytes", *self.random.pick(&[60, 150, 400, 2000]));
        }
        if !until_close && (records || bytes) && self.random.chance(85) {
            node.set("on_full", "emit_early");
        } else if self.random.chance(10) {
            node.set("on_full", "shut_down");
        }
        if self.random.chance(12) {
            let logging = match self.random.below(3) {
                0 => json!(false),
                1 => json!(true),
                _ => self.topic_settings(),
            };
            node.set("logging", logging);
        }
        self.add_node(node);
        self.tables.push(Table {
            id,
            history_ms: None,
            ..table
        });
        true
    }
}
