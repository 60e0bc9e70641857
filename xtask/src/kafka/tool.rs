//! Kafka's own command line tools by short names. Not wrappers: arguments go to the class as they are.
//! Invariant: a name with a dot in it is a class and is run unchanged.

use crate::process;
use anyhow::{Result, bail};
use std::process::Command;

const TOOLS: &[(&str, &str)] = &[
    ("acls", "org.apache.kafka.tools.AclCommand"),
    ("configs", "kafka.admin.ConfigCommand"),
    (
        "console-consumer",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ),
    ("console-producer", "org.apache.kafka.tools.ConsoleProducer"),
    ("dump-log", "org.apache.kafka.tools.DumpLogSegments"),
    ("get-offsets", "org.apache.kafka.tools.GetOffsetShell"),
    (
        "groups",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ),
    (
        "producer-perf",
        "org.apache.kafka.tools.ProducerPerformance",
    ),
    ("storage", "kafka.tools.StorageTool"),
    (
        "streams-groups",
        "org.apache.kafka.tools.streams.StreamsGroupCommand",
    ),
    ("streams-reset", "org.apache.kafka.tools.StreamsResetter"),
    ("topics", "org.apache.kafka.tools.TopicCommand"),
    ("transactions", "org.apache.kafka.tools.TransactionsCommand"),
];

/// Runs a tool in the foreground.
pub(super) fn run(class_path: &str, arguments: &[String]) -> Result<()> {
    let Some((tool, rest)) = arguments.split_first() else {
        bail!("which tool?\n\n{}", listing());
    };
    let class = match TOOLS.iter().find(|(name, _)| name == tool) {
        Some((_, class)) => class,
        None if tool.contains('.') => tool.as_str(),
        None => bail!("no tool `{tool}`\n\n{}", listing()),
    };
    process::run(java(class_path).arg(class).args(rest))
}

/// Java on this class path, with the broker's chatter below warnings left out.
pub(super) fn java(class_path: &str) -> Command {
    let mut java = Command::new("java");
    java.args([
        "-cp",
        class_path,
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    ]);
    java
}

/// The short names.
pub(super) fn listing() -> String {
    let lines = TOOLS
        .iter()
        .map(|(name, class)| format!("  {name:18} {class}"));
    format!("tools:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
