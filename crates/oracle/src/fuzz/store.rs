//! Random stores: the `store` object of DSL nodes and the stores of processors. Not what is put into them.
//! Invariant: a store that is offered has a valid description; what is invalid on purpose is made in `invalid`.

use super::{
    draft::{Draft, Fields, Node, Shared},
    kind::Kind,
};
use serde_json::{Value, json};

/// What a node materializes into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Materialized {
    pub(crate) store: Option<Value>,
    pub(crate) history_ms: Option<i64>,
    pub(crate) named: Option<String>,
}

impl Draft {
    /// A key-value store of a DSL node, or none in part of the cases.
    pub(crate) fn kv_store(&mut self) -> Materialized {
        if self.random.chance(40) {
            return Materialized::default();
        }
        let mut store = Node::new();
        let mut result = Materialized::default();
        let named = self.names_store();
        let kind = self.random.weighted(&[
            (60, ""),
            (6, "persistent"),
            (12, "in_memory"),
            (6, "plain"),
            (6, "lru"),
            (10, "versioned"),
        ]);
        match kind {
            "" => {}
            "lru" => {
                store.set("max_entries", self.random.between(1, 4));
            }
            "versioned" => {
                let history_ms = *self.random.pick(&[0, 5, 20, 100, 1000, 100_000]);
                store.set("history_ms", history_ms);
                if self.random.chance(40) {
                    let segment_ms = *self.random.pick(&[1, 5, 10, 50]);
                    store.set("segment_ms", segment_ms);
                }
                result.history_ms = Some(history_ms);
            }
            _ => {}
        }
        if !kind.is_empty() {
            store.set("kind", kind);
        }
        if named || matches!(kind, "plain" | "lru" | "versioned") {
            let name = self.name("store");
            store.set("name", name.as_str());
            result.named = Some(name);
        }
        self.store_options(&mut store, kind == "versioned");
        result.store = Some(Value::Object(store));
        result
    }

    /// The store of a window or session aggregation. `keep_ms` is the least retention Kafka Streams accepts,
    /// none where windows have no end.
    pub(crate) fn window_store(&mut self, keep_ms: Option<i64>) -> Option<Value> {
        if self.random.chance(35) {
            return None;
        }
        let mut store = Node::new();
        let named = self.names_store();
        let mut kind =
            self.random
                .weighted(&[(65, ""), (8, "persistent"), (18, "in_memory"), (9, "plain")]);
        if kind == "plain" && keep_ms.is_none() {
            kind = "";
        }
        if !kind.is_empty() {
            store.set("kind", kind);
        }
        if named || kind == "plain" {
            let name = self.name("win");
            store.set("name", name.as_str());
        }
        if let Some(keep_ms) = keep_ms
            && (kind == "plain" || self.random.chance(20))
        {
            let more_ms = *self.random.pick(&[0, 1, 30, 100_000, 200_000]);
            store.set("retention_ms", keep_ms.max(1) + more_ms);
        }
        self.store_options(&mut store, false);
        Some(Value::Object(store))
    }

    fn store_options(&mut self, store: &mut Node, versioned: bool) {
        match self.random.weighted(&[(60, 0), (28, 1), (12, 2)]) {
            1 => store.set("caching", false),
            2 => store.set("caching", true),
            _ => {}
        }
        // The judge lists a versioned store by the keys it has seen in records, so it keeps its changelog.
        match self.random.weighted(&[(84, 0), (6, 1), (4, 2), (6, 3)]) {
            1 if !versioned => store.set("logging", false),
            2 => store.set("logging", true),
            3 => {
                let settings = self.topic_settings();
                store.set("logging", settings);
            }
            _ => {}
        }
    }

    /// Settings of a changelog.
    pub(crate) fn topic_settings(&mut self) -> Value {
        match self.random.below(4) {
            0 => json!({"retention.ms": "1000", "cleanup.policy": "compact,delete"}),
            1 => json!({"segment.bytes": "1048576"}),
            2 => json!({"cleanup.policy": "delete"}),
            _ => json!({"min.insync.replicas": "2", "segment.ms": "60000"}),
        }
    }

    /// A store of processors of this family and value kind: an earlier one, or one that is added now.
    /// `may_cache` tells whether a cached one may be taken.
    pub(crate) fn shared_store(
        &mut self,
        family: &'static str,
        value: Kind,
        may_cache: bool,
    ) -> Shared {
        let fits = |store: &&Shared| {
            store.family == family && store.value == value && (may_cache || !store.cached)
        };
        let earlier: Vec<Shared> = self.stores.iter().filter(fits).cloned().collect();
        if !earlier.is_empty() && self.random.chance(50) {
            return self.random.pick(&earlier).clone();
        }
        let (store, shared) = self.new_shared_store(family, value, may_cache);
        self.add(json!({"op": "add_store", "store": store}));
        self.stores.push(shared.clone());
        shared
    }

    pub(crate) fn new_shared_store(
        &mut self,
        family: &'static str,
        value: Kind,
        may_cache: bool,
    ) -> (Value, Shared) {
        let name = self.name("st");
        let mut store = Node::new();
        store.set("name", name.as_str());
        store.set("type", family);
        store.set("key", "string");
        store.set("value", value.json());
        self.shared_shape(&mut store, family);
        // Versioned stores have no cache, and one that keeps duplicates must not have one.
        let can_cache = may_cache && family != "versioned" && !store.contains_key("duplicates");
        let cached = can_cache && self.random.chance(25);
        if cached {
            store.set("caching", true);
        } else if self.random.chance(10) {
            store.set("caching", false);
        }
        match self.random.below(20) {
            0 | 1 if family != "versioned" => store.set("logging", false),
            2 => store.set("logging", true),
            3 => {
                let settings = self.topic_settings();
                store.set("logging", settings);
            }
            _ => {}
        }
        (
            Value::Object(store),
            Shared {
                name,
                family,
                value,
                cached,
            },
        )
    }

    /// What the families of stores differ in.
    fn shared_shape(&mut self, store: &mut Node, family: &str) {
        let kind = match family {
            "versioned" => self.random.weighted(&[(3, ""), (1, "persistent")]),
            "kv" => {
                self.random
                    .weighted(&[(4, ""), (2, "persistent"), (3, "in_memory"), (1, "lru")])
            }
            _ => self
                .random
                .weighted(&[(3, ""), (2, "persistent"), (3, "in_memory")]),
        };
        if !kind.is_empty() {
            store.set("kind", kind);
        }
        if kind == "lru" {
            store.set("max_entries", self.random.between(1, 4));
        }
        match family {
            "window" => {
                let window_ms = *self.random.pick(&[5, 10, 30]);
                store.set("window_ms", window_ms);
                let retention_ms = window_ms + *self.random.pick(&[0, 10, 50, 100_000]);
                store.set("retention_ms", retention_ms);
                if self.random.chance(15) {
                    store.set("duplicates", true);
                }
            }
            "session" => {
                let retention_ms = *self.random.pick(&[20, 50, 100, 100_000]);
                store.set("retention_ms", retention_ms);
            }
            "versioned" => {
                let history_ms = *self.random.pick(&[0, 10, 50, 100, 100_000]);
                store.set("history_ms", history_ms);
                if self.random.chance(40) {
                    store.set("segment_ms", *self.random.pick(&[2, 10, 50]));
                }
            }
            _ => {}
        }
    }
}
