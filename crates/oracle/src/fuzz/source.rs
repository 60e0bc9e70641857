//! Random sources: streams, tables, global tables and global stores. Not the records that are sent to them.
//! Invariant: a topic has one key kind and one value kind, whoever reads it.

use super::{
    draft::{Draft, Fields, Global, Node, Shared, Table, Topic},
    kind::Kind,
};
use serde_json::{Value, json};

impl Draft {
    /// Some sources, at least one of them a stream or table.
    pub(crate) fn sources(&mut self) {
        let count = self.random.weighted(&[(25, 1), (40, 2), (25, 3), (10, 4)]);
        for at in 0..count {
            match self.random.weighted(&[(55, 0), (33, 1), (8, 2), (4, 3)]) {
                1 => self.table_source(),
                2 if at > 0 => self.global_table(),
                3 if at > 0 => self.global_store(),
                _ => self.stream_source(),
            }
        }
    }

    pub(crate) fn stream_source(&mut self) {
        let mut node = Node::new();
        let id = self.id("s");
        node.set("op", "stream");
        node.set("id", id.as_str());
        self.maybe_name(&mut node, "src");
        let streams = self
            .topics
            .iter()
            .filter(|topic| topic.name.starts_with("in"));
        let again: Vec<Topic> = streams.cloned().collect();
        let (key, value) = if !again.is_empty() && self.random.chance(6) {
            let topic = self.random.pick(&again).clone();
            node.set("topics", json!([topic.name]));
            (topic.key, topic.value)
        } else {
            let (key, value) = (self.source_key(), self.value_kind());
            self.stream_topics(&mut node, key, value);
            (key, value)
        };
        self.consumed(&mut node, key, value);
        self.add_node(node);
        self.add_stream(&id, key, value);
    }

    fn stream_topics(&mut self, node: &mut Node, key: Kind, value: Kind) {
        let first = self.topics.len() + 1;
        let (field, text, names) = match self.random.weighted(&[(86, 0), (9, 1), (5, 2)]) {
            1 => {
                let names = vec![format!("in{first}"), format!("also{first}")];
                ("topics", json!(names.clone()), names)
            }
            2 => {
                let names = vec![format!("pat{first}-a"), format!("pat{first}-b")];
                ("pattern", json!(format!("pat{first}-.*")), names)
            }
            _ => {
                let names = vec![format!("in{first}")];
                ("topics", json!(names.clone()), names)
            }
        };
        node.set(field, text);
        for name in names {
            self.topics.push(Topic { name, key, value });
        }
    }

    /// The key of a source: windowed ones are rare, since few applications read such topics.
    fn source_key(&mut self) -> Kind {
        self.random.weighted(&[
            (85, Kind::String),
            (9, Kind::Long),
            (3, Kind::Time { size_ms: 10 }),
            (3, Kind::Session),
        ])
    }

    fn consumed(&mut self, node: &mut Node, key: Kind, value: Kind) {
        node.set("key", key.json());
        node.set("value", value.json());
        if self.random.chance(5) {
            let function = *self.random.pick(&[
                "length|add:20",
                "parse_long",
                "mod:50",
                "if_null:x|length",
                "parse_long|add:5",
            ]);
            node.set("timestamp_fn", function);
        }
    }

    pub(crate) fn table_source(&mut self) {
        let mut node = Node::new();
        let id = self.id("t");
        node.set("op", "table");
        node.set("id", id.as_str());
        self.maybe_name(&mut node, "tab");
        let (key, value) = (self.source_key(), self.value_kind());
        let name = format!("tab{}", self.topics.len() + 1);
        node.set("topic", name.as_str());
        self.topics.push(Topic { name, key, value });
        self.consumed(&mut node, key, value);
        let materialized = self.kv_store();
        if let (Some(name), true) = (&materialized.named, key == Kind::String) {
            let shared = Shared {
                name: name.clone(),
                family: "kv",
                value,
                cached: true,
            };
            self.table_stores.push(shared);
        }
        if let Some(store) = materialized.store {
            node.set("store", store);
        }
        self.add_node(node);
        self.tables.push(Table {
            id,
            key,
            value,
            history_ms: materialized.history_ms,
            versioned: materialized.history_ms.is_some(),
            closes: false,
            stated: true,
        });
    }

    pub(crate) fn global_table(&mut self) {
        let mut node = Node::new();
        let id = self.id("g");
        node.set("op", "global_table");
        node.set("id", id.as_str());
        self.maybe_name(&mut node, "glob");
        let key = self
            .random
            .weighted(&[(90, Kind::String), (10, Kind::Long)]);
        let value = self.value_kind();
        let name = format!("glob{}", self.topics.len() + 1);
        node.set("topic", name.as_str());
        self.topics.push(Topic { name, key, value });
        self.consumed(&mut node, key, value);
        let mut materialized = self.kv_store();
        while materialized.history_ms.is_some() {
            materialized = self.kv_store();
        }
        // A global table's supplier must name its store.
        if let Some(Value::Object(store)) = &mut materialized.store
            && !store.contains_key("name")
        {
            materialized.store = None;
        }
        if let (Some(name), Some(_)) = (&materialized.named, &materialized.store)
            && key == Kind::String
        {
            let shared = Shared {
                name: name.clone(),
                family: "kv",
                value,
                cached: false,
            };
            self.global_stores.push(shared);
        }
        if let Some(store) = materialized.store {
            node.set("store", store);
        }
        self.add_node(node);
        self.globals.push(Global { id, key, value });
    }

    fn global_store(&mut self) {
        let family = self.random.weighted(&[(3, "kv"), (1, "timestamped_kv")]);
        let value = self.value_kind();
        let (mut store, shared) = self.new_shared_store(family, value, false);
        // The builder of a global store is asked to log nothing: there is no changelog but the topic.
        store["logging"] = json!(false);
        let mut node = Node::new();
        node.set("op", "global_store");
        let name = format!("glob{}", self.topics.len() + 1);
        node.set("topic", name.as_str());
        self.topics.push(Topic {
            name,
            key: Kind::String,
            value,
        });
        node.set("key", "string");
        node.set("value", value.json());
        self.maybe_name(&mut node, "glob");
        node.set("store", store);
        self.add_node(node);
        self.global_stores.push(shared);
    }

    /// Sends a stream to a topic and reads that topic as another source.
    pub(crate) fn through(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let name = self.id("mid");
        let mut sink = Node::new();
        sink.set("op", "to");
        sink.set("from", stream.id);
        sink.set("topic", name.as_str());
        self.maybe_name(&mut sink, "mid");
        self.add_node(sink);
        let mut node = Node::new();
        node.set("key", stream.key.json());
        node.set("value", stream.value.json());
        let (key, value) = (stream.key, stream.value);
        let as_global = matches!(key, Kind::String | Kind::Long) && self.random.chance(15);
        if as_global {
            let id = self.id("g");
            node.set("op", "global_table");
            node.set("id", id.as_str());
            node.set("topic", name.as_str());
            self.add_node(node);
            self.globals.push(Global { id, key, value });
        } else if self.random.chance(50) {
            let id = self.id("t");
            node.set("op", "table");
            node.set("id", id.as_str());
            node.set("topic", name.as_str());
            let materialized = self.kv_store();
            let history_ms = materialized.history_ms;
            if let Some(store) = materialized.store {
                node.set("store", store);
            }
            self.add_node(node);
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
        } else {
            let id = self.id("s");
            node.set("op", "stream");
            node.set("id", id.as_str());
            node.set("topics", json!([name]));
            self.add_node(node);
            self.add_stream(&id, key, value);
        }
        if self.random.chance(40) {
            self.topics.push(Topic { name, key, value });
        }
        true
    }
}
