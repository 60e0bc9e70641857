//! Properties under random input, driven from seeds: what the record cache may and may not change, and aggregates against a model.
//! Not a comparison with Kafka Streams. Invariant: a failing case prints its seed, and the seed alone makes it again.

use headwater_streams::{App, Data, Store, TestDriver, TestRecord, TimeWindows, Topic};
use std::{collections::BTreeMap, time::Duration};

const SEEDS: u64 = 150;
const RECORDS: u64 = 120;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A key, a value or none, and a timestamp that mostly grows.
type Input = (String, Option<String>, i64);

fn inputs(seed: u64) -> Vec<Input> {
    let mut random = Random(seed);
    let keys = 1 + random.below(12);
    let mut time = 0;
    (0..RECORDS)
        .map(|number| {
            time += random.below(8) as i64;
            let key = format!("k{}", random.below(keys));
            let words: Vec<String> = (0..1 + random.below(4))
                .map(|word| format!("v{number}.{word}"))
                .collect();
            let value = (random.below(6) > 0).then(|| words.join(" "));
            (key, value, (time - random.below(60) as i64).max(0))
        })
        .collect()
}

fn pipe(driver: &mut TestDriver, topic: &str, input: &Input) {
    let (key, value, timestamp) = input.clone();
    let record = TestRecord {
        key: Some(key.into_bytes()),
        value: value.map(String::into_bytes),
        timestamp,
        headers: Default::default(),
    };
    driver.pipe_raw(topic, record).unwrap();
}

/// Counts, concatenations, windows and rows, each to a topic of its own.
fn build(app: &App) {
    let stream = app.stream::<String, String>("in");
    let words =
        stream.flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    words
        .group_by_key()
        .count("counts")
        .to_stream()
        .to("counted");
    words
        .group_by_key()
        .reduce(|old, new| old + &new, "texts")
        .to_stream()
        .to("text");
    words
        .group_by(|_, word| word[..2].to_owned())
        .count("letters")
        .to_stream()
        .to("lettered");
    let windows = TimeWindows::of(ms(20)).advance_by(ms(7)).grace(ms(15));
    let windowed = words.group_by_key().windowed_by(windows);
    windowed
        .aggregate(String::new, |_, word, row| row + &word, "windows")
        .to_stream()
        .to("windowed");
    stream.to_table("rows").to_stream().to("row");
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Bytes = Vec<u8>;

/// The last value and timestamp of each key, by topic. A tombstone leaves nothing, so that it need not have been sent.
fn last(written: Vec<(String, TestRecord)>) -> BTreeMap<(String, Bytes), (Bytes, i64)> {
    let mut last = BTreeMap::new();
    for (topic, record) in written {
        let key = (topic, record.key.expect("tables have keys"));
        match record.value {
            Some(value) => last.insert(key, (value, record.timestamp)),
            None => last.remove(&key),
        };
    }
    last
}

#[test]
fn the_record_cache_changes_how_often_rows_go_out_and_not_what_they_are_in_the_end() {
    for seed in 0..SEEDS {
        let inputs = inputs(seed);
        let run = |cache_bytes: usize| {
            let app = App::new("app");
            build(&app);
            let mut driver = TestDriver::with_cache(app.build().unwrap(), cache_bytes).unwrap();
            inputs
                .iter()
                .for_each(|input| pipe(&mut driver, "in", input));
            let stores = ["counts", "texts", "letters", "windows", "rows"];
            let entries = stores.map(|store| driver.entries_raw(store).unwrap());
            let written = driver.read_all();
            (written.len(), entries, last(written))
        };
        let (every, entries, rows) = run(0);
        for cache_bytes in [300, 2_000, 10 << 20] {
            let (some, cached_entries, cached_rows) = run(cache_bytes);
            assert!(
                some <= every,
                "seed {seed}: {cache_bytes} bytes of cache send more"
            );
            assert_eq!(
                entries, cached_entries,
                "seed {seed}: stores with {cache_bytes} bytes of cache"
            );
            assert_eq!(
                rows, cached_rows,
                "seed {seed}: topics and changelogs with {cache_bytes} bytes of cache"
            );
        }
        let changelog = |store: &str| {
            rows.iter()
                .filter(|((topic, _), _)| *topic == format!("app-{store}-changelog"))
                .count()
        };
        assert_eq!(
            changelog("rows"),
            entries[4].len(),
            "seed {seed}: the changelog holds the store"
        );
    }
}

#[test]
fn an_aggregate_is_a_fold_over_the_records_of_a_key() {
    for seed in 0..SEEDS {
        let app = App::new("app");
        let grouped = app.stream::<String, String>("in").group_by_key();
        let store = Store::from("rows").without_cache();
        grouped
            .aggregate(
                String::new,
                |key, value, row| format!("{row}|{key}{value}"),
                store,
            )
            .to_stream()
            .to("out");
        let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
        let mut model: BTreeMap<String, (String, i64)> = BTreeMap::new();
        for input in inputs(seed) {
            pipe(&mut driver, "in", &input);
            let mut expected = Vec::new();
            if let (key, Some(value), timestamp) = input {
                let row = model
                    .entry(key.clone())
                    .or_insert_with(|| (String::new(), timestamp));
                *row = (format!("{}|{key}{value}", row.0), row.1.max(timestamp));
                expected.push((key, Some(row.0.clone()), row.1));
            }
            assert_eq!(
                driver.read::<String, String>("out").unwrap(),
                expected,
                "seed {seed}"
            );
        }
        for (key, (row, _)) in &model {
            assert_eq!(
                driver.get::<String, String>("rows", key).unwrap().as_ref(),
                Some(row),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_window_holds_the_records_between_its_start_and_end_that_were_not_late() {
    for seed in 0..SEEDS {
        let mut random = Random(seed + 1_000_000);
        let size = 1 + random.below(40) as i64;
        let advance = 1 + random.below(size as u64) as i64;
        let grace = random.below(50) as i64;
        let windows = TimeWindows::of(ms(size as u64))
            .advance_by(ms(advance as u64))
            .grace(ms(grace as u64));
        let app = App::new("app");
        let grouped = app
            .stream::<String, String>("in")
            .group_by_key()
            .windowed_by(windows);
        let store = Store::from("rows").without_cache();
        let rows = grouped.aggregate(String::new, |_, value, row| format!("{row}|{value}"), store);
        let keys = headwater_streams::windowed(String::format(), ms(size as u64));
        rows.to_stream().to(Topic::from("out").keys(keys));
        let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
        let mut model: BTreeMap<(String, i64), (String, i64)> = BTreeMap::new();
        let (mut stream_time, mut dropped) = (-1, 0);
        for input in inputs(seed) {
            pipe(&mut driver, "in", &input);
            let (key, value, timestamp) = input;
            stream_time = stream_time.max(timestamp);
            let mut expected = Vec::new();
            let Some(value) = value else {
                dropped += 1;
                continue;
            };
            for start in
                (0..=timestamp).filter(|start| start % advance == 0 && start + size > timestamp)
            {
                if start + size + grace <= stream_time {
                    dropped += 1;
                    continue;
                }
                let row = model
                    .entry((key.clone(), start))
                    .or_insert_with(|| (String::new(), timestamp));
                *row = (format!("{}|{value}", row.0), row.1.max(timestamp));
                let bytes = [key.as_bytes(), &start.to_be_bytes()].concat();
                expected.push((bytes, Some(row.0.clone()), row.1));
            }
            let written = driver.read::<Vec<u8>, String>("out").unwrap();
            assert_eq!(
                written, expected,
                "seed {seed}: windows of {size} each {advance}, grace {grace}"
            );
        }
        assert_eq!(driver.dropped(), dropped, "seed {seed}");
    }
}
