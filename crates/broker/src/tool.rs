//! Kafka's own command line tools by short names. Not wrappers: arguments go to the class as they are.
//! Invariant: a name with a dot in it is a class and is run unchanged.

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

/// A tool by its short name, or by its class.
pub fn tool(class_path: &str, name: &str) -> Result<Command> {
    let class = match TOOLS.iter().find(|(short, _)| *short == name) {
        Some((_, class)) => class,
        None if name.contains('.') => name,
        None => bail!("no tool `{name}`\n\n{}", listing()),
    };
    let mut java = java(class_path);
    java.arg(class);
    Ok(java)
}

/// Java on this class path, quick to start, with chatter below warnings left out.
#[must_use]
pub fn java(class_path: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    java.args([
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        class_path,
    ]);
    java
}

/// The short names.
#[must_use]
pub fn listing() -> String {
    let lines = TOOLS
        .iter()
        .map(|(name, class)| format!("  {name:18} {class}"));
    format!("tools:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
