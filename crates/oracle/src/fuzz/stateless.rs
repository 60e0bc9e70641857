//! Random stateless operators on streams, and sinks. Not those of tables.
//! Invariant: each returns false and adds nothing where no stream fits.

use super::{
    draft::{Draft, Fields, Node, Stream, Table},
    function,
    kind::Kind,
};
use serde_json::Value;

/// A node of `op` on `from`, with an id that later nodes use.
pub(crate) fn on(op: &str, id: &str, from: &str) -> Node {
    let mut node = Node::new();
    node.set("op", op);
    node.set("id", id);
    node.set("from", from);
    node
}

impl Draft {
    /// One of the operators that keep nothing.
    pub(crate) fn stateless(&mut self) -> bool {
        match self.random.weighted(&[
            (12, 0),
            (18, 1),
            (8, 2),
            (12, 3),
            (7, 4),
            (9, 5),
            (4, 6),
            (8, 7),
            (8, 8),
            (8, 9),
        ]) {
            0 => self.filter(),
            1 => self.map_values(),
            2 => self.map(),
            3 => self.select_key(),
            4 => self.flat_map(),
            5 => self.flat_map_values(),
            6 => self.peek(),
            7 => self.merge(),
            8 => self.split(),
            _ => self.repartition(),
        }
    }

    fn filter(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("f");
        let op = if self.random.chance(70) {
            "filter"
        } else {
            "filter_not"
        };
        let mut node = on(op, &id, &stream.id);
        self.maybe_name(&mut node, "flt");
        let test = self.test(stream.key, stream.value);
        node.set("test", test);
        self.add_node(node);
        self.add_stream(&id, stream.key, stream.value);
        true
    }

    fn map_values(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("m");
        let mut node = on("map_values", &id, &stream.id);
        self.maybe_name(&mut node, "mv");
        let (function, value) = self.value_function(stream.key, stream.value);
        node.set("value_fn", function);
        self.add_node(node);
        self.add_stream(&id, stream.key, value);
        true
    }

    fn map(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("m");
        let mut node = on("map", &id, &stream.id);
        self.maybe_name(&mut node, "map");
        let key = self.key_kind();
        let key_function = self.key_function(stream.key, stream.value, key);
        let (function, value) = self.value_function(stream.key, stream.value);
        node.set("key_fn", key_function);
        node.set("value_fn", function);
        self.add_node(node);
        self.add_stream(&id, key, value);
        true
    }

    fn select_key(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("k");
        let mut node = on("select_key", &id, &stream.id);
        self.maybe_name(&mut node, "key");
        let key = self.key_kind();
        let function = self.key_function(stream.key, stream.value, key);
        node.set("key_fn", function);
        self.add_node(node);
        self.add_stream(&id, key, stream.value);
        true
    }

    fn flat_map(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("fm");
        let mut node = on("flat_map", &id, &stream.id);
        self.maybe_name(&mut node, "fm");
        let (list, item) = function::list(&mut self.random, stream.key, stream.value);
        let key = self.key_kind();
        let key_function = self.key_function(stream.key, item, key);
        let (function, value) = self.value_function(stream.key, item);
        node.set("list_fn", list);
        node.set("key_fn", key_function);
        node.set("value_fn", function);
        self.add_node(node);
        self.add_stream(&id, key, value);
        true
    }

    fn flat_map_values(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("fv");
        let mut node = on("flat_map_values", &id, &stream.id);
        self.maybe_name(&mut node, "fmv");
        let (list, item) = function::list(&mut self.random, stream.key, stream.value);
        node.set("list_fn", list);
        self.add_node(node);
        self.add_stream(&id, stream.key, item);
        true
    }

    fn peek(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("p");
        let op = if self.random.chance(70) {
            "peek"
        } else {
            "foreach"
        };
        let mut node = on(op, &id, &stream.id);
        self.maybe_name(&mut node, "pk");
        self.add_node(node);
        if op == "peek" {
            self.add_stream(&id, stream.key, stream.value);
        }
        true
    }

    fn merge(&mut self) -> bool {
        let Some((left, right)) = self.pair(|left, right| {
            left.key == right.key && left.value == right.value && left.id != right.id
        }) else {
            return false;
        };
        let id = self.id("mg");
        let mut node = Node::new();
        node.set("op", "merge");
        node.set("id", id.as_str());
        node.set("left", left.id);
        node.set("right", right.id);
        self.maybe_name(&mut node, "mg");
        self.add_node(node);
        self.add_stream(&id, left.key, left.value);
        true
    }

    /// Two streams that fit; the second may be the first.
    pub(crate) fn pair(
        &mut self,
        fits: impl Fn(&Stream, &Stream) -> bool,
    ) -> Option<(Stream, Stream)> {
        let streams = self.streams.clone();
        let left = self.stream_where(|left| streams.iter().any(|right| fits(left, right)))?;
        let right = self.stream_where(|right| fits(&left, right))?;
        Some((left, right))
    }

    fn split(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let mut node = Node::new();
        node.set("op", "split");
        node.set("from", stream.id.as_str());
        self.maybe_name(&mut node, "split");
        let mut branches = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            let mut branch = self.branch(&stream, "yes");
            let test = self.test(stream.key, stream.value);
            branch.set("test", test);
            branches.push(Value::Object(branch));
        }
        node.set("branches", Value::Array(branches));
        if self.random.chance(60) {
            let branch = self.branch(&stream, "rest");
            node.set("default", Value::Object(branch));
        }
        self.add_node(node);
        true
    }

    fn branch(&mut self, stream: &Stream, prefix: &str) -> Node {
        let id = self.id("b");
        let mut branch = Node::new();
        branch.set("id", id.as_str());
        self.maybe_name(&mut branch, prefix);
        self.add_stream(&id, stream.key, stream.value);
        branch
    }

    fn repartition(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("r");
        let mut node = on("repartition", &id, &stream.id);
        self.maybe_name(&mut node, "rep");
        if self.random.chance(25) {
            node.set("partitions", self.random.between(1, 6));
        }
        self.add_node(node);
        self.add_stream(&id, stream.key, stream.value);
        true
    }

    /// A table of a stream's newest values.
    pub(crate) fn stream_to_table(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let id = self.id("tt");
        let mut node = on("to_table", &id, &stream.id);
        self.maybe_name(&mut node, "tt");
        let materialized = self.kv_store();
        if let Some(store) = materialized.store {
            node.set("store", store);
        }
        self.add_node(node);
        self.tables.push(Table {
            id,
            key: stream.key,
            value: stream.value,
            history_ms: materialized.history_ms,
            versioned: materialized.history_ms.is_some(),
            closes: false,
            stated: true,
        });
        true
    }

    /// A sink of the stream with this id.
    pub(crate) fn sink(&mut self, stream: &Stream) {
        let mut node = Node::new();
        node.set("op", "to");
        node.set("from", stream.id.as_str());
        self.maybe_name(&mut node, "sink");
        if self.random.chance(8) {
            let function = *self
                .random
                .pick(&["key|prefix:1|prepend:dyn-", "length|prepend:len-"]);
            node.set("topic_fn", function);
        } else if self.random.chance(10) {
            node.set("topic", "out");
        } else {
            let topic = self.id("out");
            node.set("topic", topic);
        }
        self.add_node(node);
    }

    /// Sinks for nearly all that nothing was built on, so that it can be seen.
    pub(crate) fn sinks(&mut self) {
        for table in self.tables.clone() {
            if self.is_unused(&table.id) && self.random.chance(90) {
                self.table_to_stream(&table);
            }
        }
        for stream in self.streams.clone() {
            if self.is_unused(&stream.id) && self.random.chance(95) {
                self.sink(&stream);
            }
        }
    }

    /// The updates of a table as a stream.
    pub(crate) fn table_to_stream(&mut self, table: &Table) {
        let id = self.id("ts");
        let mut node = on("to_stream", &id, &table.id);
        self.maybe_name(&mut node, "ts");
        let mut key = table.key;
        if self.random.chance(12) {
            key = Kind::String;
            let function = self.key_function(table.key, table.value, key);
            node.set("key_fn", function);
        }
        self.add_node(node);
        self.add_stream(&id, key, table.value);
    }
}
