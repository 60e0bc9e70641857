//! The verdict on each setting of Kafka Streams' `StreamsConfig` and its clients: honoured, without effect, or refused.
//! Not the values. Invariant: a name that would change results and is not honoured is refused.

use headwater_log::setting::{self, SettingName, no_effect, refused};

const fn honoured(name: &'static str) -> SettingName {
    setting::honoured(name, "")
}

/// An embedded log has no connections; a cluster is given its settings where it is named.
const CLIENT: &str =
    "of Kafka's client: Kafka::with_properties; an embedded log has no connections";

const NAMES: &[SettingName] = &[
    honoured("application.server"),
    honoured("cache.max.bytes.buffering"),
    honoured("commit.interval.ms"),
    honoured("consumer.max.poll.interval.ms"),
    honoured("consumer.session.timeout.ms"),
    honoured("headwater.async.wait.max.ms"),
    honoured("headwater.block.cache.bytes"),
    honoured("headwater.checkpoint.interval.ms"),
    honoured("headwater.commit.when.idle"),
    honoured("headwater.write.back.max.bytes"),
    honoured("linger.ms"),
    honoured("max.poll.interval.ms"),
    honoured("max.task.idle.ms"),
    honoured("num.standby.replicas"),
    honoured("num.stream.threads"),
    honoured("processing.guarantee"),
    honoured("producer.linger.ms"),
    honoured("repartition.purge.interval.ms"),
    honoured("session.timeout.ms"),
    honoured("state.dir"),
    honoured("statestore.cache.max.bytes"),
    no_effect("acceptable.recovery.lag", "there are no warm-up replicas"),
    no_effect(
        "allow.os.group.write.access",
        "files have the process's own permissions",
    ),
    no_effect("auto.include.jmx.reporter", "there is no JMX"),
    no_effect(
        "buffered.records.per.partition",
        "inputs are bounded by bytes: Settings::input_bytes_max",
    ),
    no_effect("built.in.metrics.version", "counters have one version"),
    no_effect("client.id", "workers are named <application>-<process>-<n>"),
    no_effect("connections.max.idle.ms", CLIENT),
    no_effect("default.client.supplier", "clients come from the log"),
    no_effect("enable.metrics.push", "metrics are not pushed"),
    no_effect("log.summary.interval.ms", "the listener hears every commit"),
    no_effect("max.warmup.replicas", "there are no warm-up replicas"),
    no_effect("metadata.max.age.ms", CLIENT),
    no_effect("metadata.recovery.rebootstrap.trigger.ms", CLIENT),
    no_effect("metadata.recovery.strategy", CLIENT),
    no_effect("metric.reporters", "counters are read, not reported"),
    no_effect("metrics.num.samples", "counters are totals"),
    no_effect("metrics.recording.level", "counters are always kept"),
    no_effect("metrics.sample.window.ms", "counters are totals"),
    no_effect("poll.ms", "workers wait to be woken"),
    no_effect(
        "probing.rebalance.interval.ms",
        "there are no probing rebalances",
    ),
    no_effect(
        "rack.aware.assignment.non_overlap_cost",
        "tasks are not placed by rack",
    ),
    no_effect(
        "rack.aware.assignment.strategy",
        "tasks are not placed by rack",
    ),
    no_effect("rack.aware.assignment.tags", "tasks are not placed by rack"),
    no_effect(
        "rack.aware.assignment.traffic_cost",
        "tasks are not placed by rack",
    ),
    no_effect("receive.buffer.bytes", CLIENT),
    no_effect("reconnect.backoff.max.ms", CLIENT),
    no_effect("reconnect.backoff.ms", CLIENT),
    no_effect("request.timeout.ms", CLIENT),
    no_effect("retry.backoff.max.ms", CLIENT),
    no_effect("retry.backoff.ms", CLIENT),
    no_effect(
        "rocksdb.config.setter",
        "the disk engine is not RocksDB; budgets are headwater.write.back.max.bytes and headwater.block.cache.bytes",
    ),
    no_effect("security.protocol", CLIENT),
    no_effect("send.buffer.bytes", CLIENT),
    no_effect(
        "state.cleanup.delay.ms",
        "state of tasks that moved away is kept",
    ),
    no_effect(
        "state.cleanup.dir.max.age.ms",
        "state of tasks that moved away is kept",
    ),
    no_effect("task.assignor.class", "the log's coordinator assigns tasks"),
    no_effect(
        "task.timeout.ms",
        "workers retry until they are fenced or stopped",
    ),
    no_effect(
        "upgrade.from",
        "there is no older version to be upgraded from",
    ),
    refused(
        "application.id",
        "the topology's name is the application id: App::new(..)",
    ),
    refused(
        "bootstrap.servers",
        "the log is given to start(..) or run(..): Kafka::at",
    ),
    refused(
        "config.providers",
        "give values, not references to a provider",
    ),
    refused(
        "default.deserialization.exception.handler",
        "it belongs to the topology: App::set(\"deserialization.exception.handler\", ..)",
    ),
    refused("default.dsl.store", "it belongs to the topology: App::set"),
    refused(
        "default.key.serde",
        "types have formats: impl Data, or Topic::keys",
    ),
    refused(
        "default.list.key.serde.inner",
        "types have formats: impl Data, or Topic::keys",
    ),
    refused(
        "default.list.key.serde.type",
        "types have formats: impl Data, or Topic::keys",
    ),
    refused(
        "default.list.value.serde.inner",
        "types have formats: impl Data, or Topic::values",
    ),
    refused(
        "default.list.value.serde.type",
        "types have formats: impl Data, or Topic::values",
    ),
    refused(
        "default.production.exception.handler",
        "it belongs to the topology: App::set(\"production.exception.handler\", ..)",
    ),
    refused(
        "default.timestamp.extractor",
        "give Topic::timestamp_by on the source",
    ),
    refused(
        "default.value.serde",
        "types have formats: impl Data, or Topic::values",
    ),
    refused(
        "deserialization.exception.handler",
        "it belongs to the topology: App::set",
    ),
    refused("dsl.store.format", "it belongs to the topology: App::set"),
    refused(
        "dsl.store.suppliers.class",
        "it belongs to the topology: App::set",
    ),
    refused(
        "ensure.explicit.internal.resource.naming",
        "it belongs to the topology: App::set",
    ),
    refused(
        "errors.dead.letter.queue.topic.name",
        "it belongs to the topology: App::set",
    ),
    refused("group.protocol", "of Kafka's client: Kafka::with"),
    refused(
        "processing.exception.handler",
        "it belongs to the topology: App::set",
    ),
    refused("processor.wrapper.class", "processors cannot be wrapped"),
    refused(
        "production.exception.handler",
        "it belongs to the topology: App::set",
    ),
    refused(
        "replication.factor",
        "of Kafka's client: Kafka::with; an embedded log has one copy",
    ),
    refused(
        "topology.optimization",
        "it belongs to the topology: App::set",
    ),
    refused("window.size.ms", "windows have their size: windowed(..)"),
    refused(
        "windowed.inner.class.serde",
        "windowed keys have a format: windowed(..)",
    ),
    refused(
        "windowstore.changelog.additional.retention.ms",
        "it belongs to the topology: App::set",
    ),
];

/// Every known setting, in no particular order.
pub fn config_names() -> &'static [SettingName] {
    NAMES
}

pub(crate) fn lookup(name: &str) -> Option<&'static SettingName> {
    setting::find(NAMES, name)
}

/// The known name closest to `name`.
pub(crate) fn nearest(name: &str) -> &'static str {
    setting::nearest(NAMES, name)
}
