//! Fills the topic that the jobs read. Not timed. Invariant: the records and their partitions are those that a Java producer
//! with its default partitioner would write.

use super::Place;
use super::input::{Input, Record, Shape};
use super::produce::Writer;
use anyhow::Result;
use clap::Args;
use serde_json::json;

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
    #[command(flatten)]
    shape: Shape,
}

/// Fills, and prints how many distinct keys there are.
pub(super) fn run(options: &Options) -> Result<()> {
    let mut input = Input::new(&options.shape);
    let mut writer = Writer::open(&options.place, &options.topic)?;
    let mut record = Record::default();
    let mut seen = vec![false; options.shape.keys as usize];
    for _ in 0..options.records {
        seen[input.next_into(&mut record)] = true;
        writer.write(&record)?;
    }
    writer.finish()?;
    let keys = seen.iter().filter(|seen| **seen).count();
    println!("{}", json!({"records": options.records, "keys": keys}));
    Ok(())
}
