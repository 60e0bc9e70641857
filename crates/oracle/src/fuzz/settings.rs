//! Random settings of a case. Not those that name hosts, folders or the application.
//! Invariant: every name is Kafka Streams' own.

use super::draft::{Draft, Node};
use serde_json::json;

/// True if a processor looks things up in a table's store. With headers kept, the judge's processor gets a wrapper there that it
/// does not know, and prints it whole.
fn looks_up_table(nodes: &[Node]) -> bool {
    let text = |node: &Node, field: &str| node.get(field)?.as_str().map(str::to_owned);
    let is_lookup = |node: &&Node| text(node, "processor").as_deref() == Some("lookup");
    let looked_up = nodes.iter().filter(is_lookup);
    let looked_up: Vec<String> = looked_up.filter_map(|node| text(node, "store")).collect();
    nodes
        .iter()
        .filter(|node| matches!(text(node, "op").as_deref(), Some("table" | "global_table")))
        .filter_map(|node| node.get("store")?.get("name")?.as_str())
        .any(|name| looked_up.iter().any(|looked_up| looked_up == name))
}

impl Draft {
    /// The `config` of a case; `unreadable` cases mostly go on past what they cannot read.
    pub(crate) fn settings(&mut self, unreadable: bool) -> Node {
        let mut config = Node::new();
        let mut set = |name: &str, value: &str| drop(config.insert(name.to_owned(), json!(value)));
        if self.random.chance(35) {
            let optimization = *self.random.pick(&[
                "all",
                "all",
                "all",
                "none",
                "merge.repartition.topics",
                "reuse.ktable.source.topics",
                "single.store.self.join",
                "reuse.ktable.source.topics,merge.repartition.topics",
            ]);
            set("topology.optimization", optimization);
        }
        if self.random.chance(30) {
            let bytes = *self.random.pick(&[
                "0", "0", "1", "80", "100", "150", "200", "300", "500", "1000", "1000000",
            ]);
            set("statestore.cache.max.bytes", bytes);
        }
        if self.random.chance(5) {
            set(
                "processing.guarantee",
                self.random
                    .weighted(&[(1, "exactly_once_v2"), (1, "at_least_once")]),
            );
        }
        if self.random.chance(7) {
            let stores = if self.random.chance(70) {
                "InMemory"
            } else {
                "RocksDB"
            };
            let class = format!(
                "org.apache.kafka.streams.state.BuiltInDslStoreSuppliers${stores}DslStoreSuppliers"
            );
            set("dsl.store.suppliers.class", &class);
        }
        if self.random.chance(8) {
            let format = self.random.weighted(&[(2, "headers"), (1, "default")]);
            if format == "default" || !looks_up_table(&self.nodes) {
                set("dsl.store.format", format);
            }
        }
        self.handlers(&mut config, unreadable);
        config
    }

    /// What is to happen to records that cannot be read or processed, and settings that few cases have.
    fn handlers(&mut self, config: &mut Node, unreadable: bool) {
        let mut set = |name: &str, value: &str| drop(config.insert(name.to_owned(), json!(value)));
        if unreadable && self.random.chance(70) {
            let class = "org.apache.kafka.streams.errors.LogAndContinueExceptionHandler";
            set("deserialization.exception.handler", class);
        }
        if self.random.chance(2) {
            let class = "org.apache.kafka.streams.errors.LogAndFailExceptionHandler";
            set("deserialization.exception.handler", class);
        }
        if self.random.chance(2) {
            let class = "org.apache.kafka.streams.errors.LogAndFailProcessingExceptionHandler";
            set("processing.exception.handler", class);
        }
        if self.random.chance(4) {
            let ms = *self.random.pick(&["-1", "10", "50", "1000"]);
            set("max.task.idle.ms", ms);
        }
        if self.fails && self.random.chance(60) {
            let class = "org.apache.kafka.streams.errors.LogAndContinueProcessingExceptionHandler";
            set("processing.exception.handler", class);
        }
        if self.random.chance(4) {
            set("ensure.explicit.internal.resource.naming", "true");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fuzz::case;
    use serde_json::Value;

    #[test]
    fn no_lookup_reads_a_table_that_keeps_headers() {
        let nodes = |case: &Value| case["nodes"].as_array().cloned().unwrap_or_default();
        let mut lookups = 0;
        for case in (0..2000).map(|index| case(310, index)) {
            let stores: Vec<Value> = (nodes(&case).iter())
                .filter(|node| node["processor"] == "lookup")
                .map(|node| node["store"].clone())
                .collect();
            let reads_table = nodes(&case).iter().any(|node| {
                let op = node["op"].as_str();
                matches!(op, Some("table" | "global_table"))
                    && stores.contains(&node["store"]["name"])
            });
            lookups += i32::from(reads_table);
            assert!(
                !(reads_table && case["config"]["dsl.store.format"] == "headers"),
                "{}",
                case["name"]
            );
        }
        assert!(lookups > 0, "no case looks anything up in a table");
    }
}
