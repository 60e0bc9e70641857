//! Fills a topic that the jobs read. Not timed. Invariant: the records and their partitions are those that a Java producer
//! with its default partitioner would write.

use super::Place;
use super::input::{Input, Record, Shape};
use super::produce::Writer;
use crate::nexmark::generator::Kind;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::collections::HashSet;

/// What to write.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The topic; it is there.
    #[arg(long, default_value = "events")]
    topic: String,
    #[arg(long, default_value_t = 3_000_000)]
    records: u64,
    /// Events of auctions, of one kind, instead of records of the shape told.
    #[arg(long, value_enum)]
    event: Option<Kind>,
    #[command(flatten)]
    shape: Shape,
}

/// Fills, and prints how many distinct keys there are.
pub(super) fn run(options: &Options) -> Result<()> {
    let mut writer = Writer::open(&options.place, &options.topic)?;
    let keys = match options.event {
        Some(kind) => events(&mut writer, kind, options.records)?,
        None => records(&mut writer, options)?,
    };
    writer.finish()?;
    println!("{}", json!({"records": options.records, "keys": keys}));
    Ok(())
}

fn records(writer: &mut Writer, options: &Options) -> Result<usize> {
    let mut input = Input::new(&options.shape);
    let mut record = Record::default();
    let mut seen = vec![false; options.shape.keys as usize];
    for _ in 0..options.records {
        seen[input.next_into(&mut record)] = true;
        writer.write(&record)?;
    }
    Ok(seen.iter().filter(|seen| **seen).count())
}

fn events(writer: &mut Writer, kind: Kind, records: u64) -> Result<usize> {
    let mut record = Record::default();
    let mut seen = HashSet::new();
    for index in 0..records {
        record.value.clear();
        let (_, key, time_ms) = kind.event(index).write(&mut record.value);
        record.key = key.to_be_bytes().into();
        record.timestamp_ms = time_ms;
        seen.insert(key);
        writer.write(&record)?;
    }
    Ok(seen.len())
}
