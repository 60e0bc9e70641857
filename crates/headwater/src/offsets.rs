//! Offsets and numbers of records of any log, asked once and waited for. Not a subscription, and nothing is committed.
//! Invariant: a partition is named by its topic and number, whatever the log.

use crate::{Error, Result};
use headwater_log::{
    Chunk, ChunkCursor, Client, ClientOptions, Guarantee, Log, Offset, OffsetSpec, Request,
    Response, TopicPartition, call, call_deadline_default_ms,
};
use headwater_world::World;
use std::{ops::Range, time::Duration};

/// How long one chunk may take: longer than a slow disk or a change of leaders needs.
const CHUNK_MS_MAX: u64 = 30_000;

/// Where each partition of `topic` ends: one past the last record that is committed. On Kafka offsets also count the ends of
/// transactions, so that differences of offsets are not numbers of records: see [`count_records`].
pub fn end_offsets(log: &dyn Log, topic: &str) -> Result<Vec<(TopicPartition, Offset)>> {
    let mut client = log.client(ClientOptions::default())?;
    let request = Request::DescribeTopics(Some(vec![topic.into()]));
    let partitions = match ask(&mut *client, request)? {
        Response::Topics(topics) => topics.first().map(|topic| topic.partitions),
        _ => None,
    };
    let partitions = partitions.ok_or_else(|| headwater_log::Error::UnknownTopic(topic.into()))?;
    let specs = (0..partitions)
        .map(|partition| (TopicPartition::new(topic, partition), OffsetSpec::Stable))
        .collect();
    match ask(&mut *client, Request::Offsets(specs))? {
        Response::Offsets(offsets) => Ok(offsets),
        _ => Ok(Vec::new()),
    }
}

/// The positions that `application` has committed, in every partition it ever read.
pub fn committed_offsets(
    log: &dyn Log,
    application: &str,
) -> Result<Vec<(TopicPartition, Offset)>> {
    let mut client = log.client(ClientOptions::default())?;
    let request = Request::CommittedOffsets {
        group: application.into(),
        partitions: None,
    };
    let committed = match ask(&mut *client, request)? {
        Response::Committed(committed) => committed,
        _ => Vec::new(),
    };
    let committed = committed.into_iter();
    Ok(committed.map(|(at, it)| (at, it.offset)).collect())
}

/// How many committed records lie in these ranges of offsets, by reading them.
pub fn count_records(
    log: &dyn Log,
    ranges: impl IntoIterator<Item = (TopicPartition, Range<Offset>)>,
) -> Result<u64> {
    let options = ClientOptions {
        // Reads what is committed only; nothing is written, so that nobody is fenced.
        guarantee: Guarantee::ExactlyOnce,
        ..ClientOptions::default()
    };
    let mut client = log.client(options)?;
    let mut count = 0;
    for (partition, range) in ranges {
        if range.is_empty() {
            continue;
        }
        let slot = client.slot(&partition);
        let mut position = range.start;
        client.read_from(slot, position);
        while position < range.end {
            let chunk = next_chunk(&mut *client, &partition, position)?;
            position = chunk.next_offset;
            let mut cursor = ChunkCursor::new(chunk);
            while let Some(record) = cursor.next_record()? {
                count += u64::from(range.contains(&record.offset));
            }
            client.recycle(cursor.into_chunk());
        }
        client.stop_reading(slot);
    }
    Ok(count)
}

fn next_chunk(
    client: &mut dyn Client,
    partition: &TopicPartition,
    position: Offset,
) -> Result<Chunk> {
    let clock = World::real().clock;
    let deadline = clock.elapsed() + Duration::from_millis(CHUNK_MS_MAX);
    loop {
        client.poll();
        if let Some(chunk) = client.fetch()? {
            return Ok(chunk);
        }
        if clock.elapsed() >= deadline {
            return Err(Error::System(format!(
                "{partition} gave no records at offset {position} within {CHUNK_MS_MAX} ms"
            )));
        }
        std::thread::park_timeout(Duration::from_micros(200));
    }
}

fn ask(client: &mut dyn Client, request: Request) -> Result<Response> {
    let clock = World::real().clock;
    Ok(call(client, &*clock, request, call_deadline_default_ms())?)
}
