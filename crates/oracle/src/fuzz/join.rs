//! Random joins of streams, tables and global tables. Not their windows' stores beyond name, kind and logging.
//! Invariant: both sides have keys of one kind, or the key function makes such a key.

use super::{
    draft::{Draft, Fields, Node, Table},
    function,
    kind::Kind,
};
use serde_json::json;

/// Tables of sessions are refused by joins.
fn joins(table: &Table) -> bool {
    table.key != Kind::Session
}

impl Draft {
    /// One of the joins.
    pub(crate) fn join(&mut self) -> bool {
        match self
            .random
            .weighted(&[(30, 0), (24, 1), (10, 2), (20, 3), (16, 4)])
        {
            0 => self.stream_stream_join(),
            1 => self.stream_table_join(),
            2 => self.stream_global_join(),
            3 => self.table_table_join(),
            _ => self.foreign_key_join(),
        }
    }

    fn join_node(&mut self, op: &str, id: &str, left: &str, right: &str, types: &[&str]) -> Node {
        let mut node = Node::new();
        node.set("op", op);
        node.set("id", id);
        node.set("left", left);
        node.set("right", right);
        let kind = *self.random.pick(types);
        if kind != "inner" || self.random.chance(30) {
            node.set("type", kind);
        }
        self.maybe_name(&mut node, "join");
        node
    }

    fn joiner(&mut self, node: &mut Node, left: Kind, right: Kind, keyed: bool) -> Kind {
        let (text, kind) = function::joiner(&mut self.random, left, right, keyed, self.fails);
        if text != "concat" || self.random.chance(20) {
            node.set("joiner", text);
        }
        kind
    }

    fn stream_stream_join(&mut self) -> bool {
        let Some((left, right)) = self.pair(|left, right| left.key == right.key) else {
            return false;
        };
        let id = self.id("j");
        let types = ["inner", "left", "outer"];
        let mut node = self.join_node("stream_stream_join", &id, &left.id, &right.id, &types);
        let (before_ms, after_ms) = match self.random.below(8) {
            0 => (0, 10),
            1 => (10, 0),
            2 => (-5, 20),
            3 => (20, 5),
            4 => (0, 0),
            5 => (50, 50),
            _ => (10, 10),
        };
        node.set("before_ms", before_ms);
        node.set("after_ms", after_ms);
        node.set("grace_ms", *self.random.pick(&[0, 0, 5, 20, 100, 1000]));
        if self.random.chance(25) {
            let name = self.name("js");
            node.set("store_name", name);
        }
        if self.random.chance(30) {
            node.set(
                "store_kind",
                *self.random.pick(&["in_memory", "persistent"]),
            );
        }
        if self.random.chance(12) {
            let logging = match self.random.below(3) {
                0 => json!(false),
                1 => json!(true),
                _ => json!({"retention.ms": "5000"}),
            };
            node.set("logging", logging);
        }
        let value = self.joiner(&mut node, left.value, right.value, true);
        self.add_node(node);
        self.add_stream(&id, left.key, value);
        true
    }

    fn stream_table_join(&mut self) -> bool {
        let keys: Vec<Kind> = self.streams.iter().map(|stream| stream.key).collect();
        let fits = |table: &Table| keys.contains(&table.key) && joins(table);
        let Some(table) = self.table_where(fits) else {
            return false;
        };
        let Some(stream) = self.stream_where(|stream| stream.key == table.key) else {
            return false;
        };
        let id = self.id("j");
        let types = ["inner", "left"];
        let mut node = self.join_node("stream_table_join", &id, &stream.id, &table.id, &types);
        if let Some(history_ms) = table.history_ms
            && self.random.chance(60)
        {
            let grace_ms = *self.random.pick(&[0, 5, 10, 50]);
            node.set("grace_ms", grace_ms.min(history_ms));
        }
        let value = self.joiner(&mut node, stream.value, table.value, true);
        self.add_node(node);
        self.add_stream(&id, stream.key, value);
        true
    }

    fn stream_global_join(&mut self) -> bool {
        if self.globals.is_empty() {
            if self.random.chance(50) {
                return false;
            }
            self.global_table();
        }
        let Some(stream) = self.stream() else {
            return false;
        };
        let globals = self.globals.clone();
        let global = self.random.pick(&globals);
        let id = self.id("j");
        let types = ["inner", "left"];
        let mut node = self.join_node("stream_global_join", &id, &stream.id, &global.id, &types);
        let function = self.key_function(stream.key, stream.value, global.key);
        node.set("key_fn", function);
        let value = self.joiner(&mut node, stream.value, global.value, true);
        self.add_node(node);
        self.add_stream(&id, stream.key, value);
        true
    }

    fn table_pair(&mut self, fits: impl Fn(&Table, &Table) -> bool) -> Option<(Table, Table)> {
        let tables = self.tables.clone();
        let left = self.table_where(|left| tables.iter().any(|right| fits(left, right)))?;
        let right = self.table_where(|right| fits(&left, right))?;
        Some((left, right))
    }

    fn table_table_join(&mut self) -> bool {
        let alike = |left: &Table, right: &Table| left.key == right.key && joins(left);
        let different = |left: &Table, right: &Table| alike(left, right) && left.id != right.id;
        let Some((left, right)) = self
            .table_pair(different)
            .or_else(|| self.table_pair(alike))
        else {
            return false;
        };
        let id = self.id("j");
        let types = ["inner", "left", "outer"];
        let mut node = self.join_node("table_table_join", &id, &left.id, &right.id, &types);
        let value = self.joiner(&mut node, left.value, right.value, false);
        let from = Table {
            versioned: left.versioned || right.versioned,
            closes: left.closes && right.closes,
            stated: false,
            ..left.clone()
        };
        self.add_table(node, &from, left.key, value);
        true
    }

    fn foreign_key_join(&mut self) -> bool {
        let Some((left, right)) = self.table_pair(|left, right| {
            !right.key.is_windowed() && joins(left) && left.serializes() && right.serializes()
        }) else {
            return false;
        };
        let id = self.id("j");
        let types = ["inner", "left"];
        let mut node = self.join_node("foreign_key_join", &id, &left.id, &right.id, &types);
        let function = self.key_function(left.key, left.value, right.key);
        node.set("fk_fn", function);
        let value = self.joiner(&mut node, left.value, right.value, false);
        let from = Table {
            versioned: false,
            closes: false,
            stated: false,
            ..left.clone()
        };
        self.add_table(node, &from, left.key, value);
        true
    }
}
