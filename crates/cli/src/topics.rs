//! `headwater topics`: what topics there are and how large. Not their content.
//! Invariant: a number of records that is only an upper limit is marked.

use crate::{data::Data, table::Table};
use anyhow::Result;
use headwater::log::{TopicId, TopicInfo, embedded::PartitionFiles};
use serde_json::{Value, json};
use std::{io::Write, path::Path};

/// Kafka's default of the setting, also the embedded log's.
const CLEANUP_POLICY: (&str, &str) = ("cleanup.policy", "delete");

pub(crate) fn run(dir: &Path, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let data = Data::open(dir)?;
    let mut rows = Vec::new();
    for topic in data.topics() {
        let files = data.files(&topic.name)?;
        rows.push((topic, files));
    }
    if as_json {
        let topics: Vec<Value> = rows
            .iter()
            .map(|(topic, files)| json(topic, files))
            .collect();
        writeln!(out, "{:#}", Value::from(topics))?;
        return Ok(());
    }
    let mut table = Table::new(&[
        "TOPIC",
        ">PARTITIONS",
        ">RECORDS",
        ">BYTES",
        "CLEANUP.POLICY",
        "ID",
    ]);
    for (topic, files) in &rows {
        let mark = if is_exact(files) { "" } else { "<=" };
        table.row(vec![
            topic.name.to_string(),
            topic.partitions.to_string(),
            format!("{mark}{}", records(files)),
            bytes(files).to_string(),
            cleanup_policy(topic).to_owned(),
            id(topic.id),
        ]);
    }
    Ok(table.print(out)?)
}

fn json(topic: &TopicInfo, files: &[PartitionFiles]) -> Value {
    json!({
        "topic": &*topic.name,
        "partitions": topic.partitions,
        "records": records(files),
        "records_exact": is_exact(files),
        "bytes": bytes(files),
        "cleanup_policy": cleanup_policy(topic),
        "id": id(topic.id),
    })
}

fn records(files: &[PartitionFiles]) -> i64 {
    files.iter().map(|files| files.end - files.start).sum()
}

/// Compaction removes records and keeps their offsets, so that counting offsets counts too many.
pub(crate) fn is_exact(files: &[PartitionFiles]) -> bool {
    let mut segments = files.iter().flat_map(|files| &files.segments);
    !segments.any(|segment| segment.compacted)
}

/// Bytes of all segments.
pub(crate) fn bytes(files: &[PartitionFiles]) -> u64 {
    let segments = files.iter().flat_map(|files| &files.segments);
    segments.map(|segment| segment.bytes).sum()
}

/// The policy that holds, given or default.
pub(crate) fn cleanup_policy(topic: &TopicInfo) -> &str {
    let given = topic.config.get(CLEANUP_POLICY.0);
    given.map_or(CLEANUP_POLICY.1, String::as_str)
}

/// The id as 32 hexadecimal digits.
pub(crate) fn id(id: TopicId) -> String {
    format!("{:032x}", id.0)
}
