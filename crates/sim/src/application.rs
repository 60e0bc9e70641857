//! The application under test: sums by key, counts by another key through a repartition topic, counts by window.
//! Its result is known from its input alone. Invariant: two runs over the same input have equal [`Results`].

use headwater_log::{
    ChunkCursor, Client, ClientOptions, Guarantee, Log, OffsetSpec, Request, Response,
    TopicPartition, call,
};
use headwater_runtime::{Error, Settings, SourceWriter, Worker};
use headwater_streams::{App, TimeWindows, Topology, TopologySettings};
use headwater_world::{Clock, SimulatedClock, Simulation, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const APPLICATION: &str = "app";
pub(crate) const RECORDS: u64 = 60;
const KEYS: u64 = 7;
const REGIONS: u64 = 3;
const PARTITIONS: u32 = 2;
const BATCH: u64 = 12;
const WINDOW_MS: i64 = 10;
/// Steps without an end mean that something is stuck.
const STEPS_MAX: usize = 20_000;
const CALL_MS_MAX: u64 = 30_000;

pub(crate) type Table = BTreeMap<Vec<u8>, Vec<u8>>;

/// The last value per key of every topic the application writes, and how many records the repartition topic got.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Results {
    pub(crate) tables: BTreeMap<&'static str, Table>,
    pub(crate) repartitioned: usize,
}

pub(crate) fn topology() -> Arc<Topology> {
    build(TopologySettings::default())
}

/// As [`topology`], with stores that a simulated disk can keep.
pub(crate) fn topology_in_memory() -> Arc<Topology> {
    build(TopologySettings {
        stores_in_memory: true,
        ..TopologySettings::default()
    })
}

fn build(settings: TopologySettings) -> Arc<Topology> {
    let app = App::new(APPLICATION);
    app.configure(settings);
    let input = app.stream::<u64, i64>("in");
    input
        .group_by_key()
        .reduce(|a, b| a + b, "sums")
        .to_stream()
        .to("sums-out");
    input
        .group_by(|key, _| key % REGIONS)
        .count("regions")
        .to_stream()
        .to("regions-out");
    input
        .group_by_key()
        .windowed_by(
            TimeWindows::of(Duration::from_millis(WINDOW_MS as u64)).grace(Duration::from_secs(1)),
        )
        .count("windows");
    Arc::new(app.build().unwrap())
}

/// What the results must be, from the input alone.
pub(crate) fn expected() -> Results {
    let mut results = Results {
        repartitioned: RECORDS as usize,
        ..Results::default()
    };
    let mut sums: BTreeMap<u64, i64> = BTreeMap::new();
    let mut regions: BTreeMap<u64, u64> = BTreeMap::new();
    let mut windows: BTreeMap<(u64, i64), u64> = BTreeMap::new();
    for number in 0..RECORDS {
        let (key, value, timestamp) = record(number);
        *sums.entry(key).or_default() += value;
        *regions.entry(key % REGIONS).or_default() += 1;
        *windows
            .entry((key, timestamp / WINDOW_MS * WINDOW_MS))
            .or_default() += 1;
    }
    let sums: Table = sums
        .iter()
        .map(|(k, v)| (k.to_be_bytes().into(), v.to_be_bytes().into()))
        .collect();
    let regions: Table = regions
        .iter()
        .map(|(k, v)| (k.to_be_bytes().into(), v.to_be_bytes().into()))
        .collect();
    let window_key =
        |key: &u64, start: &i64| [&key.to_be_bytes()[..], &start.to_be_bytes(), &[0; 4]].concat();
    let windows = windows
        .iter()
        .map(|((k, s), v)| (window_key(k, s), v.to_be_bytes().into()))
        .collect();
    results.tables.insert("sums-out", sums.clone());
    results.tables.insert("app-sums-changelog", sums);
    results.tables.insert("regions-out", regions.clone());
    results.tables.insert("app-regions-changelog", regions);
    results.tables.insert("app-windows-changelog", windows);
    results
}

fn record(number: u64) -> (u64, i64, i64) {
    (number * 5 % KEYS, number as i64 + 1, number as i64)
}

/// What differs, a line per key; empty when nothing does.
pub(crate) fn differences(found: &Results, expected: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    for (topic, table) in &expected.tables {
        let other = &found.tables[topic];
        for key in table.keys().chain(other.keys()) {
            if table.get(key) != other.get(key) {
                lines.push(format!(
                    "{topic} {key:?}: {:?} instead of {:?}",
                    other.get(key),
                    table.get(key)
                ));
            }
        }
    }
    if found.repartitioned != expected.repartitioned {
        lines.push(format!(
            "{} records repartitioned instead of {}",
            found.repartitioned, expected.repartitioned
        ));
    }
    lines
}

/// The same world with a clock that moves on by 1 ms each time somebody waits: blocking calls see their deadlines and
/// the timeouts of others.
pub(crate) fn impatient(simulation: &Simulation) -> World {
    struct Advancing(Arc<SimulatedClock>);
    impl Clock for Advancing {
        fn now_ms(&self) -> i64 {
            self.0.now_ms()
        }
        fn elapsed(&self) -> Duration {
            self.0.advance(Duration::from_millis(1));
            self.0.elapsed()
        }
    }
    World {
        clock: Arc::new(Advancing(simulation.clock.clone())),
        ..simulation.world.clone()
    }
}

/// Brings the input in where an earlier attempt stopped.
pub(crate) fn load(log: &dyn Log, settings: &Settings) -> Result<(), Error> {
    load_until(log, settings, RECORDS)
}

/// Brings in the first `end` records.
pub(crate) fn load_until(log: &dyn Log, settings: &Settings, end: u64) -> Result<(), Error> {
    let mut writer = SourceWriter::open(log, "app", "file", settings)?;
    for (topic, partitions) in [
        ("in", PARTITIONS),
        ("sums-out", PARTITIONS),
        ("regions-out", 1),
    ] {
        writer.ensure_topic(topic, partitions)?;
    }
    for number in writer.position()..end {
        let (key, value, timestamp) = record(number);
        writer.append("in", &key, &value, timestamp)?;
        if (number + 1) % BATCH == 0 {
            writer.commit(number + 1)?;
        }
    }
    writer.commit(end)
}

/// Turns the crank until the input is processed, then stops cleanly.
pub(crate) fn process(
    log: &dyn Log,
    settings: &Settings,
    clock: &SimulatedClock,
) -> Result<(), Error> {
    let (mut worker, _) = Worker::join(&topology(), log, settings.clone(), 1)?;
    for step in 0..STEPS_MAX {
        worker.step()?;
        clock.advance(Duration::from_millis(10));
        if step % 10 == 9 && is_done(log, &settings.world)? {
            worker.stop();
        }
        if worker.step()?.stopped {
            return Ok(());
        }
    }
    panic!("the worker did not end");
}

/// True when the group's positions are the ends of everything it reads.
pub(crate) fn is_done(log: &dyn Log, world: &World) -> Result<bool, Error> {
    let options = ClientOptions {
        guarantee: Guarantee::ExactlyOnce,
        ..ClientOptions::default()
    };
    let mut client = log.client(options)?;
    if !is_stable(&mut *client, world)? {
        return Ok(false);
    }
    let topic = "app-regions-repartition";
    let known = call(
        &mut *client,
        &*world.clock,
        Request::DescribeTopics(Some(vec![topic.into()])),
        CALL_MS_MAX,
    )?;
    let Response::Topics(known) = known else {
        panic!("{known:?}")
    };
    let Some(partitions) = known.first().map(|topic| topic.partitions) else {
        return Ok(false);
    };
    let inputs = (0..PARTITIONS).map(|p| TopicPartition::new("in", p));
    let inputs: Vec<_> = inputs
        .chain((0..partitions).map(|p| TopicPartition::new(topic, p)))
        .collect();
    let specs = inputs
        .iter()
        .map(|at| (at.clone(), OffsetSpec::Stable))
        .collect();
    let Response::Offsets(ends) = call(
        &mut *client,
        &*world.clock,
        Request::Offsets(specs),
        CALL_MS_MAX,
    )?
    else {
        return Ok(false);
    };
    let request = Request::CommittedOffsets {
        group: "app".into(),
        partitions: Some(inputs),
    };
    let Response::Committed(committed) = call(&mut *client, &*world.clock, request, CALL_MS_MAX)?
    else {
        return Ok(false);
    };
    for (partition, end) in ends {
        let at = committed
            .iter()
            .find(|(at, _)| *at == partition)
            .map_or(0, |(_, offset)| offset.offset);
        // Markers of transactions may lie behind the last record: what counts is whether records do.
        if at < end && !read_range(&mut *client, &partition, at, end).is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// False while a transaction, perhaps of a member that died, is open somewhere: readers stop before it.
fn is_stable(client: &mut dyn Client, world: &World) -> Result<bool, Error> {
    let known = call(
        client,
        &*world.clock,
        Request::DescribeTopics(None),
        CALL_MS_MAX,
    )?;
    let Response::Topics(known) = known else {
        return Ok(false);
    };
    let partitions: Vec<TopicPartition> = known
        .iter()
        .flat_map(|topic| (0..topic.partitions).map(|p| TopicPartition::new(topic.name.clone(), p)))
        .collect();
    let mut ends = Vec::new();
    for spec in [OffsetSpec::Stable, OffsetSpec::End] {
        let specs = partitions.iter().map(|at| (at.clone(), spec)).collect();
        match call(client, &*world.clock, Request::Offsets(specs), CALL_MS_MAX)? {
            Response::Offsets(offsets) => ends.push(offsets),
            _ => return Ok(false),
        }
    }
    Ok(ends[0] == ends[1])
}

/// Reads what the application wrote.
pub(crate) fn results(log: &dyn Log, world: &World) -> Results {
    let mut results = Results::default();
    for topic in [
        "sums-out",
        "app-sums-changelog",
        "regions-out",
        "app-regions-changelog",
        "app-windows-changelog",
    ] {
        let mut table = Table::new();
        for (key, value) in read_all(log, world, topic) {
            table.insert(key, value);
        }
        results.tables.insert(topic, table);
    }
    results.repartitioned = read_all(log, world, "app-regions-repartition").len();
    results
}

pub(crate) fn read_all(log: &dyn Log, world: &World, topic: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let options = ClientOptions {
        guarantee: Guarantee::ExactlyOnce,
        ..ClientOptions::default()
    };
    let mut client = log.client(options).unwrap();
    let known = call(
        &mut *client,
        &*world.clock,
        Request::DescribeTopics(Some(vec![topic.into()])),
        CALL_MS_MAX,
    );
    let Response::Topics(known) = known.unwrap() else {
        panic!("no topics")
    };
    let mut records = Vec::new();
    for partition in 0..known.first().map_or(0, |topic| topic.partitions) {
        let at = TopicPartition::new(topic, partition);
        let specs = vec![
            (at.clone(), OffsetSpec::Start),
            (at.clone(), OffsetSpec::Stable),
        ];
        let Response::Offsets(range) = call(
            &mut *client,
            &*world.clock,
            Request::Offsets(specs),
            CALL_MS_MAX,
        )
        .unwrap() else {
            panic!("no offsets")
        };
        records.extend(read_range(&mut *client, &at, range[0].1, range[1].1));
    }
    records
}

fn read_range(
    client: &mut dyn Client,
    at: &TopicPartition,
    mut position: i64,
    end: i64,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records = Vec::new();
    let slot = client.slot(at);
    client.read_from(slot, position);
    while position < end {
        client.poll();
        let Some(chunk) = client.fetch().unwrap() else {
            continue;
        };
        position = chunk.next_offset;
        let mut cursor = ChunkCursor::new(chunk);
        while let Some(record) = cursor.next_record().unwrap() {
            records.push((
                record.key.unwrap().to_vec(),
                record.value.unwrap_or_default().to_vec(),
            ));
        }
    }
    client.stop_reading(slot);
    records
}
