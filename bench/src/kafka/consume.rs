//! The job "consume": every record of a topic, key and value looked at, nothing done with them. Not a group.
//! Invariant: the run ends after the number of records asked for, or fails.

use super::line::Line;
use super::{Place, RUN_SECONDS_MAX, nap, slots};
use anyhow::{Result, ensure};
use clap::Args;
use headwater::log::{ChunkCursor, ClientOptions};
use std::time::{Duration, Instant};

/// What to read.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    #[arg(long, default_value = "events")]
    topic: String,
    /// Records to wait for.
    #[arg(long, default_value_t = 3_000_000)]
    records: u64,
}

/// Runs it.
pub(super) fn run(options: &Options) -> Result<()> {
    let mut client = options.place.client(ClientOptions::default())?;
    for slot in slots(&mut *client, &options.topic)? {
        client.read_from(slot, 0);
    }
    let (begin, mut first) = (Instant::now(), None);
    let (mut records, mut bytes) = (0, 0);
    while records < options.records {
        ensure!(
            begin.elapsed().as_secs() < RUN_SECONDS_MAX,
            "{records} records came"
        );
        let Some(chunk) = client.fetch()? else {
            nap();
            continue;
        };
        first.get_or_insert_with(Instant::now);
        let mut cursor = ChunkCursor::new(chunk);
        while let Some(record) = cursor.next_record()? {
            records += 1;
            bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        }
        client.recycle(cursor.into_chunk());
    }
    let seconds = first.unwrap_or(begin).elapsed();
    std::hint::black_box(bytes);
    drop(client);
    let line = Line {
        job: "consume",
        records,
        seconds,
        seconds_closed: first.unwrap_or(begin).elapsed(),
        start_to_running: Duration::ZERO,
    };
    line.print();
    Ok(())
}
