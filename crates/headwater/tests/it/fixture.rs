//! Word count: the topology, its input, its expected results, and readers of what it wrote. Not a test.
//! Invariant: the same seed gives the same lines.

use headwater::log::{
    ChunkCursor, Client, ClientOptions, Guarantee, Log, OffsetSpec, Request, Response, call,
};
use headwater::prelude::*;
use headwater::{SourceWriter, TopicPartition, world::World};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Longer than a loaded machine needs.
pub(crate) const WAIT: Duration = Duration::from_secs(60);
pub(crate) const PARTITIONS: u32 = 2;
const CALL_MS_MAX: u64 = 30_000;
const WORDS: [&str; 7] = ["rain", "brook", "river", "lake", "sea", "cloud", "well"];

pub(crate) type Counts = BTreeMap<String, u64>;

pub(crate) fn word_count(application: &str) -> Topology {
    let app = App::new(application);
    app.stream::<String, String>("lines")
        .flat_map_values(|line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .group_by(|_, word| word.clone())
        .count("word-counts")
        .to_stream()
        .to(format!("{application}-counts"));
    app.build().unwrap()
}

/// The line with this number: one to four words.
pub(crate) fn line(number: u64) -> String {
    let word = |place: u64| WORDS[(number * number + 3 * place) as usize % WORDS.len()];
    let words: Vec<&str> = (0..=number % 4).map(word).collect();
    words.join(" ")
}

/// The counts after so many lines.
pub(crate) fn expected(lines: u64) -> Counts {
    let mut counts = Counts::new();
    for number in 0..lines {
        for word in line(number).split(' ') {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Words in so many lines.
pub(crate) fn words(lines: u64) -> u64 {
    expected(lines).values().sum()
}

/// Brings lines in up to number `until`, from where an earlier call stopped, a few in each commit.
pub(crate) fn feed(log: &dyn Log, until: u64) {
    let mut writer = SourceWriter::open(log, "feeder", "lines", &Settings::default()).unwrap();
    writer.ensure_topic("lines", PARTITIONS).unwrap();
    for number in writer.position()..until {
        let key = format!("{}", number % 13);
        writer
            .append("lines", &key, &line(number), number as i64)
            .unwrap();
        if number % 50 == 49 {
            writer.commit(number + 1).unwrap();
        }
    }
    if writer.position() < until {
        writer.commit(until).unwrap();
    }
}

pub(crate) fn ensure_topic(log: &dyn Log, topic: &str, partitions: u32) {
    let mut writer = SourceWriter::open(log, "feeder", "lines", &Settings::default()).unwrap();
    writer.ensure_topic(topic, partitions).unwrap();
}

#[track_caller]
pub(crate) fn wait_until(running: &Running, what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            !running.failed(),
            "the application failed while waiting for {what}"
        );
        let state = format!(
            "{} records, {} commits",
            running.records(),
            running.commits()
        );
        assert!(begun.elapsed() < WAIT, "no {what} in time: {state}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The counts as the view shows them.
pub(crate) fn view(running: &Running) -> Counts {
    let view = running.view::<String, u64>("word-counts").unwrap();
    view.all().unwrap().into_iter().collect()
}

/// Waits until the view shows the counts of so many lines.
#[track_caller]
pub(crate) fn wait_for_counts(running: &Running, lines: u64) {
    let expected = expected(lines);
    wait_until(running, "counts", || view(running) == expected);
}

pub(crate) fn stop(running: Running) {
    running.stop(WAIT).unwrap();
}

/// The last count of each word in an output topic.
pub(crate) fn read_counts(log: &dyn Log, topic: &str) -> Counts {
    let decode = |(key, value): (Vec<u8>, Option<Vec<u8>>)| {
        let count = u64::from_be_bytes(value.unwrap().try_into().unwrap());
        (String::from_utf8(key).unwrap(), count)
    };
    read(log, topic).into_iter().map(decode).collect()
}

/// Every committed record of a topic, partition by partition.
pub(crate) fn read(log: &dyn Log, topic: &str) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let mut client = client(log);
    let mut records = Vec::new();
    for partition in 0..partitions(log, topic) {
        let at = TopicPartition::new(topic, partition);
        let specs = [OffsetSpec::Start, OffsetSpec::Stable].map(|spec| (at.clone(), spec));
        let Response::Offsets(range) = ask(&mut *client, Request::Offsets(specs.into())) else {
            panic!("no offsets")
        };
        let (mut position, end) = (range[0].1, range[1].1);
        let slot = client.slot(&at);
        client.read_from(slot, position);
        while position < end {
            client.poll();
            let Some(chunk) = client.fetch().unwrap() else {
                continue;
            };
            position = chunk.next_offset;
            let mut cursor = ChunkCursor::new(chunk);
            while let Some(record) = cursor.next_record().unwrap() {
                let key = record.key.unwrap_or_default().to_vec();
                records.push((key, record.value.map(<[u8]>::to_vec)));
            }
        }
        client.stop_reading(slot);
    }
    records
}

/// What a group has committed, by partition.
pub(crate) fn committed(log: &dyn Log, group: &str) -> BTreeMap<String, i64> {
    let request = Request::CommittedOffsets {
        group: Arc::from(group),
        partitions: None,
    };
    let Response::Committed(committed) = ask(&mut *client(log), request) else {
        panic!("no offsets")
    };
    let committed = committed.into_iter();
    committed
        .map(|(at, offset)| (at.to_string(), offset.offset))
        .collect()
}

fn partitions(log: &dyn Log, topic: &str) -> u32 {
    let request = Request::DescribeTopics(Some(vec![topic.into()]));
    let Response::Topics(topics) = ask(&mut *client(log), request) else {
        panic!("no topics")
    };
    topics.first().map_or(0, |topic| topic.partitions)
}

fn client(log: &dyn Log) -> Box<dyn Client> {
    let options = ClientOptions {
        guarantee: Guarantee::ExactlyOnce,
        ..ClientOptions::default()
    };
    log.client(options).unwrap()
}

fn ask(client: &mut dyn Client, request: Request) -> Response {
    call(client, &*World::real().clock, request, CALL_MS_MAX).unwrap()
}
