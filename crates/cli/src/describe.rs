//! `headwater describe`: one topic, its partitions, files and settings. Not its records.
//! Invariant: only settings that differ from the defaults are listed, as the log keeps them; the policy always is.

use crate::{data::Data, place::Place, table::Table, timestamp, topics};
use anyhow::Result;
use headwater::PartitionReplicas;
use headwater::log::{Offset, OffsetSpec, TopicInfo, TopicPartition, embedded::PartitionFiles};
use serde_json::{Value, json};
use std::io::Write;

/// A partition with the timestamps at its ends.
struct Described {
    files: PartitionFiles,
    first_timestamp: Option<i64>,
    last_timestamp: Option<i64>,
}

pub(crate) fn run(place: &Place, name: &str, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut data = Data::open(place)?;
    let topic = data.topic(name)?;
    if let Place::Kafka(kafka) = place {
        let partitions = replicated(&mut data, kafka.replicas(name)?, name)?;
        return match as_json {
            true => print_replicated_json(&topic, &partitions, out),
            false => print_replicated(&topic, &partitions, out),
        };
    }
    let mut partitions = Vec::new();
    for files in data.files(name)?.unwrap_or_default() {
        let first_timestamp = first_timestamp(&mut data, &files)?;
        let timestamps = files.segments.iter().map(|segment| segment.max_timestamp);
        partitions.push(Described {
            first_timestamp,
            last_timestamp: timestamps.max().filter(|_| first_timestamp.is_some()),
            files,
        });
    }
    match as_json {
        true => writeln!(out, "{:#}", json(&topic, &partitions))?,
        false => print(&topic, &partitions, out)?,
    }
    Ok(())
}

/// A partition on brokers, with its first offset and the one behind its last committed record.
type Replicated = (PartitionReplicas, Offset, Offset);

fn replicated(
    data: &mut Data,
    partitions: Vec<PartitionReplicas>,
    topic: &str,
) -> Result<Vec<Replicated>> {
    let places = partitions
        .iter()
        .map(|it| TopicPartition::new(topic, it.partition));
    let places: Vec<_> = places.collect();
    let starts = data.offsets(&places, OffsetSpec::Start)?;
    let ends = data.offsets(&places, OffsetSpec::Stable)?;
    let offsets = starts.into_iter().zip(ends);
    let rows = partitions.into_iter().zip(offsets);
    Ok(rows.map(|(it, (start, end))| (it, start, end)).collect())
}

fn print_replicated(
    topic: &TopicInfo,
    partitions: &[Replicated],
    out: &mut dyn Write,
) -> Result<()> {
    print_heading(topic, out)?;
    let mut table = Table::new(&[
        ">PARTITION",
        ">START",
        ">END",
        ">RECORDS",
        ">LEADER",
        "REPLICAS",
        "IN SYNC",
    ]);
    let list = |brokers: &[i32]| {
        let brokers: Vec<_> = brokers.iter().map(i32::to_string).collect();
        brokers.join(",")
    };
    for (partition, start, end) in partitions {
        // The ends of transactions have offsets too.
        let mark = if start == end { "" } else { "<=" };
        table.row(vec![
            partition.partition.to_string(),
            start.to_string(),
            end.to_string(),
            format!("{mark}{}", end - start),
            partition.leader.map_or("none".into(), |it| it.to_string()),
            list(&partition.replicas),
            list(&partition.in_sync),
        ]);
    }
    Ok(table.print(out)?)
}

fn print_replicated_json(
    topic: &TopicInfo,
    partitions: &[Replicated],
    out: &mut dyn Write,
) -> Result<()> {
    let partition = |(partition, start, end): &Replicated| {
        json!({
            "partition": partition.partition,
            "start": start,
            "end": end,
            "records": end - start,
            "records_exact": start == end,
            "leader": partition.leader,
            "replicas": partition.replicas,
            "in_sync": partition.in_sync,
        })
    };
    let json = json!({
        "topic": &*topic.name,
        "id": topics::id(topic.id),
        "cleanup_policy": topics::cleanup_policy(topic),
        "config": topic.config,
        "partitions": partitions.iter().map(partition).collect::<Vec<_>>(),
    });
    Ok(writeln!(out, "{json:#}")?)
}

/// The timestamp of the first record held; compaction may have left an offset without one, so the first that is there.
fn first_timestamp(data: &mut Data, files: &PartitionFiles) -> Result<Option<i64>> {
    let partition = TopicPartition::new(files.partition.topic.clone(), files.partition.partition);
    let mut reader = crate::tail::Reader::new(data, partition, files.start, files.end);
    reader.fill(data)?;
    Ok(reader.head().map(|record| record.timestamp))
}

fn print_heading(topic: &TopicInfo, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "topic           {}", topic.name)?;
    writeln!(out, "id              {}", topics::id(topic.id))?;
    writeln!(out, "cleanup.policy  {}", topics::cleanup_policy(topic))?;
    for (name, value) in &topic.config {
        if name != "cleanup.policy" {
            writeln!(out, "{name:<14}  {value}")?;
        }
    }
    Ok(writeln!(out)?)
}

fn print(topic: &TopicInfo, partitions: &[Described], out: &mut dyn Write) -> Result<()> {
    print_heading(topic, out)?;
    let mut table = Table::new(&[
        ">PARTITION",
        ">START",
        ">END",
        ">RECORDS",
        ">SEGMENTS",
        ">BYTES",
        "FIRST",
        "LAST",
    ]);
    let time = |time: Option<i64>| time.map_or("-".into(), timestamp::text);
    for partition in partitions {
        let files = std::slice::from_ref(&partition.files);
        let mark = if topics::is_exact(files) { "" } else { "<=" };
        let held = &partition.files;
        table.row(vec![
            held.partition.partition.to_string(),
            held.start.to_string(),
            held.end.to_string(),
            format!("{mark}{}", held.end - held.start),
            held.segments.len().to_string(),
            topics::bytes(files).to_string(),
            time(partition.first_timestamp),
            time(partition.last_timestamp),
        ]);
    }
    Ok(table.print(out)?)
}

fn json(topic: &TopicInfo, partitions: &[Described]) -> Value {
    let partition = |partition: &Described| {
        let files = std::slice::from_ref(&partition.files);
        let segments = partition.files.segments.iter().map(|segment| {
            json!({
                "path": segment.path.display().to_string(),
                "start": segment.base,
                "end": segment.end,
                "bytes": segment.bytes,
                "compacted": segment.compacted,
            })
        });
        json!({
            "partition": partition.files.partition.partition,
            "start": partition.files.start,
            "end": partition.files.end,
            "records": partition.files.end - partition.files.start,
            "records_exact": topics::is_exact(files),
            "bytes": topics::bytes(files),
            "first_timestamp": partition.first_timestamp,
            "last_timestamp": partition.last_timestamp,
            "segments": segments.collect::<Vec<_>>(),
        })
    };
    json!({
        "topic": &*topic.name,
        "id": topics::id(topic.id),
        "cleanup_policy": topics::cleanup_policy(topic),
        "config": topic.config,
        "partitions": partitions.iter().map(partition).collect::<Vec<_>>(),
    })
}
