//! Random settings of a case. Not those that name hosts, folders or the application.
//! Invariant: every name is Kafka Streams' own.

use super::draft::{Draft, Node};
use serde_json::json;

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
            set(
                "dsl.store.format",
                self.random.weighted(&[(2, "headers"), (1, "default")]),
            );
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
