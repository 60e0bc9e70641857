//! `headwater topics`: what topics there are and how large. Not their content.
//! Invariant: a number of records that is only an upper limit is marked.

use crate::{data::Data, place::Place, table::Table};
use anyhow::Result;
use headwater::log::{OffsetSpec, TopicId, TopicInfo, TopicPartition, embedded::PartitionFiles};
use serde_json::{Value, json};
use std::io::Write;

/// Kafka's default of the setting, also the embedded log's.
const CLEANUP_POLICY: (&str, &str) = ("cleanup.policy", "delete");

/// How much a topic holds.
struct Size {
    records: i64,
    is_exact: bool,
    /// `None` where the files are a broker's.
    bytes: Option<u64>,
}

pub(crate) fn run(place: &Place, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut data = Data::open(place)?;
    let mut rows = Vec::new();
    for topic in data.topics()? {
        let size = size(&mut data, &topic)?;
        rows.push((topic, size));
    }
    if as_json {
        let topics: Vec<Value> = rows.iter().map(|(topic, size)| json(topic, size)).collect();
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
    for (topic, size) in &rows {
        let mark = if size.is_exact { "" } else { "<=" };
        table.row(vec![
            topic.name.to_string(),
            topic.partitions.to_string(),
            format!("{mark}{}", size.records),
            size.bytes.map_or("-".into(), |bytes| bytes.to_string()),
            cleanup_policy(topic).to_owned(),
            id(topic.id),
        ]);
    }
    Ok(table.print(out)?)
}

fn json(topic: &TopicInfo, size: &Size) -> Value {
    json!({
        "topic": &*topic.name,
        "partitions": topic.partitions,
        "records": size.records,
        "records_exact": size.is_exact,
        "bytes": size.bytes,
        "cleanup_policy": cleanup_policy(topic),
        "id": id(topic.id),
    })
}

fn size(data: &mut Data, topic: &TopicInfo) -> Result<Size> {
    if let Some(files) = data.files(&topic.name)? {
        return Ok(Size {
            records: files.iter().map(|files| files.end - files.start).sum(),
            is_exact: is_exact(&files),
            bytes: Some(bytes(&files)),
        });
    }
    let partitions = 0..topic.partitions;
    let partitions: Vec<_> = partitions
        .map(|it| TopicPartition::new(topic.name.clone(), it))
        .collect();
    let starts = data.offsets(&partitions, OffsetSpec::Start)?;
    let ends = data.offsets(&partitions, OffsetSpec::Stable)?;
    let records = starts.iter().zip(&ends);
    Ok(Size {
        records: records.map(|(start, end)| (end - start).max(0)).sum(),
        // The ends of transactions have offsets too, and a broker does not tell how many.
        is_exact: starts == ends,
        bytes: None,
    })
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
