//! The latest-versioned pattern: every event is in a topic of history and, as the newest of its key, in a compacted one. Start-up
//! reads the short topic, work goes on with the long one. Not a table: a reader needs no application, only the two topics.
//! Invariant: each row of the compacted topic says where in the history it is from, so that the hand-over misses no event and
//! applies none twice.
//!
//! ```text
//! prices         a1 b1 a2 a3 b2 | c1 a4        history, by retention
//!                               ^ hand-over: what follows the newest row that was loaded
//! prices-latest  a3 b2                         compacted, copied exactly once
//! ```

use headwater::json;
use headwater::log::{ChunkCursor, Client, ClientOptions, Guarantee, Log};
use headwater::prelude::*;
use headwater::{TopicPartition, end_offsets};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Every event.
pub const HISTORY: &str = "prices";
/// The newest of each key; with as many partitions as the history, and compacted.
pub const LATEST: &str = "prices-latest";
/// The copying application.
pub const APPLICATION: &str = "latest";
/// How long one chunk of a topic may take to come.
const CHUNK_WAIT_MAX: Duration = Duration::from_secs(30);

/// A row of the compacted topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// The event.
    pub price: u64,
    /// Its offset in the history.
    pub offset: i64,
}

impl Data for Version {
    fn format() -> FormatOf<Self> {
        json()
    }
}

/// Copies the history to the compacted topic; positions and copies are one commit.
pub fn latest() -> Result<Topology> {
    let app = App::new(APPLICATION);
    app.stream::<String, u64>(HISTORY)
        .process_values((), || Copy)
        .values(Version::format())
        .to(LATEST);
    app.build()
}

struct Copy;

impl FixedKeyProcessor for Copy {
    type Key = String;
    type ValueIn = u64;
    type ValueOut = Version;

    fn process(
        &mut self,
        record: FixedKeyRecord<String, u64>,
        ctx: &mut FixedKeyContext<'_, '_, '_, String, Version>,
    ) -> ProcessorResult<()> {
        let offset = record.position().offset;
        let version = record.value.map(|price| Version { price, offset });
        ctx.forward(record.with_value(version))
    }
}

/// The newest price of each key, as a reader holds it.
#[derive(Debug, Default, PartialEq)]
pub struct Image {
    /// Price by key.
    pub prices: BTreeMap<String, u64>,
    /// Where each partition of the history goes on.
    pub next: Vec<i64>,
}

impl Image {
    /// Start-up: reads the compacted topic to its end.
    pub fn load(log: &dyn Log) -> Result<Self> {
        let mut image = Self::default();
        for (at, end) in end_offsets(log, LATEST)? {
            let mut next = 0;
            read::<Version>(log, &at, 0, end, |key, version, _| {
                let Some(version) = version else {
                    image.prices.remove(&key);
                    return;
                };
                next = next.max(version.offset + 1);
                image.prices.insert(key, version.price);
            })?;
            image.next.push(next);
        }
        Ok(image)
    }

    /// Work: applies what the history has beyond what is known; answers how many events that were.
    pub fn follow(&mut self, log: &dyn Log) -> Result<u64> {
        let mut applied = 0;
        for (at, end) in end_offsets(log, HISTORY)? {
            let next = self.next[at.partition as usize];
            let prices = &mut self.prices;
            read::<u64>(log, &at, next, end, |key, price, _| {
                applied += 1;
                match price {
                    Some(price) => drop(prices.insert(key, price)),
                    None => drop(prices.remove(&key)),
                }
            })?;
            self.next[at.partition as usize] = end.max(next);
        }
        Ok(applied)
    }
}

/// Shows each committed record of `at` from `position` to `end`: key, value, offset.
fn read<V: Data>(
    log: &dyn Log,
    at: &TopicPartition,
    mut position: i64,
    end: i64,
    mut visit: impl FnMut(String, Option<V>, i64),
) -> Result<()> {
    let mut client = log.client(ClientOptions {
        guarantee: Guarantee::ExactlyOnce, // Reads what is committed only.
        ..ClientOptions::default()
    })?;
    let (keys, values) = (String::format(), V::format());
    let unreadable = |error| headwater::Error::System(format!("{at}: {error}"));
    let slot = client.slot(at);
    if position < end {
        client.read_from(slot, position);
    }
    while position < end {
        let chunk = next_chunk(&mut *client, at)?;
        position = chunk.next_offset;
        let mut cursor = ChunkCursor::new(chunk);
        while let Some(record) = cursor.next_record()? {
            let key = record.key.unwrap_or_default();
            let key = keys
                .decode(&at.topic, record.headers, key)
                .map_err(unreadable)?;
            let value = record
                .value
                .map(|value| values.decode(&at.topic, record.headers, value));
            let value = value.transpose().map_err(unreadable)?;
            if record.offset < end {
                visit(key, value, record.offset);
            }
        }
    }
    Ok(())
}

fn next_chunk(client: &mut dyn Client, at: &TopicPartition) -> Result<headwater::log::Chunk> {
    let begun = Instant::now();
    loop {
        client.poll();
        if let Some(chunk) = client.fetch()? {
            return Ok(chunk);
        }
        if begun.elapsed() > CHUNK_WAIT_MAX {
            let text = format!("{at} gave nothing within {CHUNK_WAIT_MAX:?}");
            return Err(headwater::Error::System(text));
        }
        std::thread::park_timeout(Duration::from_micros(200));
    }
}
