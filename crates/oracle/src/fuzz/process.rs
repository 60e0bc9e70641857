//! Random processors on streams, with the stores they use. Not those of low-level topologies, which share `processor`.
//! Invariant: a processor is connected to at most one cached store, because the order of two is Java's hash order.

use super::{
    draft::{Draft, Fields, Node, Shared},
    kind::Kind,
    stateless::on,
};

/// What a chosen processor needs and makes.
pub(crate) struct Chosen {
    pub(crate) fields: Node,
    pub(crate) key: Kind,
    pub(crate) value: Kind,
    /// The store it uses, and whether it has to be connected to it.
    pub(crate) store: Option<(Shared, bool)>,
}

impl Draft {
    /// `process` or `process_values`.
    pub(crate) fn process(&mut self) -> bool {
        let Some(stream) = self.stream() else {
            return false;
        };
        let fixed = self.random.chance(40);
        let chosen = self.processor(stream.key, stream.value, fixed, None);
        let id = self.id("pr");
        let op = if fixed { "process_values" } else { "process" };
        let mut node = on(op, &id, &stream.id);
        node.extend(chosen.fields);
        self.maybe_name(&mut node, "proc");
        let mut connected = Vec::new();
        let mut cached = false;
        if let Some((store, connect)) = chosen.store {
            node.set("store", store.name.as_str());
            if connect {
                cached = store.cached;
                connected.push(store.name);
            }
        }
        if !self.stores.is_empty() && self.random.chance(8) {
            let stores = self.stores.clone();
            let more = self.random.pick(&stores);
            if !(connected.contains(&more.name) || cached && more.cached) {
                connected.push(more.name.clone());
            }
        }
        if !connected.is_empty() {
            node.set("stores", connected);
        }
        self.add_node(node);
        self.add_stream(&id, chosen.key, chosen.value);
        true
    }

    /// Chooses a processor for records of these kinds. Stores are taken from `own` where given, else from those
    /// that streams share.
    pub(crate) fn processor(
        &mut self,
        key: Kind,
        value: Kind,
        fixed: bool,
        own: Option<&mut Vec<(serde_json::Value, Shared)>>,
    ) -> Chosen {
        let name = self.random.weighted(&[
            (14, "running_total"),
            (10, "put"),
            (12, "lookup"),
            (9, "dedup"),
            (9, "session_tracker"),
            (8, "versioned_put"),
            (7, "versioned_get"),
            (if fixed { 0 } else { 8 }, "buffer"),
            (if fixed { 0 } else { 5 }, "tick"),
            (if fixed { 0 } else { 5 }, "stream_tick"),
            (4, "add_header"),
            (3, "drop_headers"),
            (4, "header_to_value"),
            (4, "set_ts"),
            (6, "metadata"),
            (3, "identity"),
            (if self.fails { 20 } else { 1 }, "fail_if"),
        ]);
        let (key_out, value_out) = results(name, key, value);
        let fields = self.processor_fields(name, key, value);
        let store = self.processor_store(name, own);
        Chosen {
            fields,
            key: key_out,
            value: value_out,
            store,
        }
    }

    fn processor_fields(&mut self, name: &str, key: Kind, value: Kind) -> Node {
        let mut fields = Node::new();
        fields.set("processor", name);
        match name {
            "dedup" => fields.set("window_ms", *self.random.pick(&[0, 5, 10])),
            "session_tracker" => fields.set("gap_ms", *self.random.pick(&[0, 5, 10, 20])),
            "versioned_get" => fields.set("offset_ms", *self.random.pick(&[0, 5, 20])),
            "buffer" | "tick" | "stream_tick" => {
                fields.set("every_ms", *self.random.pick(&[1, 7, 10, 30, 100]));
            }
            "add_header" => {
                fields.set("header", *self.random.pick(&["h", "x"]));
                fields.set("header_value", *self.random.pick(&["1", ""]));
            }
            "header_to_value" => fields.set("header", *self.random.pick(&["h", "x"])),
            "set_ts" => fields.set("offset_ms", *self.random.pick(&[0, 1, 20, 100, -10])),
            "fail_if" => {
                let test = self.test(key, value);
                fields.set("test", test);
            }
            _ => {}
        }
        fields
    }

    fn processor_store(
        &mut self,
        processor: &str,
        own: Option<&mut Vec<(serde_json::Value, Shared)>>,
    ) -> Option<(Shared, bool)> {
        let (family, value) = match processor {
            "running_total" => (
                self.random.weighted(&[(3, "kv"), (2, "timestamped_kv")]),
                Kind::Long,
            ),
            "put" | "buffer" => ("kv", Kind::String),
            "lookup" => {
                if !self.global_stores.is_empty() && self.random.chance(40) {
                    let stores = self.global_stores.clone();
                    return Some((self.random.pick(&stores).clone(), false));
                }
                if own.is_none() && !self.table_stores.is_empty() && self.random.chance(30) {
                    let stores = self.table_stores.clone();
                    return Some((self.random.pick(&stores).clone(), true));
                }
                self.random.weighted(&[
                    (4, ("kv", Kind::String)),
                    (3, ("kv", Kind::Long)),
                    (2, ("timestamped_kv", Kind::Long)),
                    (2, ("versioned", Kind::String)),
                ])
            }
            "dedup" => ("window", Kind::String),
            "session_tracker" => ("session", Kind::Long),
            "versioned_put" | "versioned_get" => ("versioned", Kind::String),
            _ => return None,
        };
        let Some(own) = own else {
            return Some((self.shared_store(family, value, true), true));
        };
        let fitting: Vec<Shared> = own
            .iter()
            .filter(|(_, shared)| shared.family == family && shared.value == value)
            .map(|(_, shared)| shared.clone())
            .collect();
        if !fitting.is_empty() && self.random.chance(60) {
            return Some((self.random.pick(&fitting).clone(), true));
        }
        let made = self.new_shared_store(family, value, true);
        let shared = made.1.clone();
        own.push(made);
        Some((shared, true))
    }
}

/// The kinds of what a processor forwards.
fn results(name: &str, key: Kind, value: Kind) -> (Kind, Kind) {
    match name {
        "running_total" | "versioned_put" => (key, Kind::Long),
        "buffer" | "tick" | "stream_tick" => (Kind::String, Kind::String),
        "session_tracker" | "versioned_get" | "lookup" | "header_to_value" | "metadata" => {
            (key, Kind::String)
        }
        _ => (key, value),
    }
}
