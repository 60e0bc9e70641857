//! Two tables with record caches that are joined: sending the updates of one on reads the other, and what is read takes a place.
//! Not the semantics of joins. Invariant: a failing case prints its seed and its bytes of cache, and these alone make it again.

use crate::task::Bench;
use headwater_streams::App;
use std::collections::BTreeMap;

const SEEDS: u64 = 30;
const RECORDS: u64 = 600;
const KEYS: u64 = 30;
const TOPICS: [&str; 2] = ["left", "right"];

/// A number of [`TOPICS`] and a key.
fn input(seed: u64, number: u64) -> (usize, String) {
    let mixed = (seed * RECORDS + number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 17;
    ((mixed & 1) as usize, format!("k{}", (mixed >> 8) % KEYS))
}

/// A row is as long as its key has records.
fn build(app: &App) {
    let [left, right] = TOPICS.map(|topic| {
        app.stream::<String, String>(topic)
            .group_by_key()
            .reduce(|row, value| row + &value, topic)
    });
    let records = |row: Option<&String>| row.map_or(0, String::len);
    left.outer_join(right, move |left, right| {
        format!("{}+{}", records(left), records(right))
    })
    .to_stream()
    .to("joined");
}

/// The records of each key, by topic.
type Counts = BTreeMap<String, [usize; 2]>;

/// What the changelogs say last, and what the join does.
fn counted(seed: u64, cache_bytes: usize) -> (Counts, Counts) {
    let mut bench = Bench::new(build, &[]);
    bench.resize_cache(cache_bytes);
    let inputs: Vec<_> = bench.task.inputs().collect();
    let number = |topic: &str| inputs.iter().position(|at| &*at.partition.topic == topic);
    let numbers = TOPICS.map(|topic| number(topic).unwrap());
    let mut records: [Vec<(String, i64)>; 2] = Default::default();
    for number in 0..RECORDS {
        let (topic, key) = input(seed, number);
        records[topic].push((key, number as i64));
    }
    for (number, records) in numbers.into_iter().zip(&records) {
        let records = records.iter().map(|(key, time)| (key.as_str(), "x", *time));
        bench.feed(number, &records.collect::<Vec<_>>());
    }
    // The last records of one input wait for the other, which has no more.
    let _ = bench.process(RECORDS as usize);
    bench.task.set_idle_ms_max(-1);
    let _ = bench.process(RECORDS as usize);
    bench.flush();
    let (mut rows, mut joined) = (Counts::new(), Counts::new());
    for line in bench.written() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["to", _, "changelog", store, key, row, _] => {
                let store: usize = store.parse().unwrap();
                rows.entry(key.to_owned()).or_default()[store] = row.len();
            }
            [_, key, sum, _] => {
                let sides = sum.split('+').map(|records| records.parse().unwrap());
                joined.insert(
                    key.to_owned(),
                    sides.collect::<Vec<_>>().try_into().unwrap(),
                );
            }
            _ => panic!("neither a change nor a result: {line}"),
        }
    }
    (rows, joined)
}

#[test]
fn no_update_is_lost_while_the_updates_of_a_joined_table_are_sent_on() {
    for seed in 0..SEEDS {
        let mut expected = Counts::new();
        for number in 0..RECORDS {
            let (topic, key) = input(seed, number);
            expected.entry(key).or_default()[topic] += 1;
        }
        for cache_bytes in [400, 900, 1_500, 2_500, 3_500] {
            let place = format!("seed {seed}, {cache_bytes} bytes of cache");
            let (rows, joined) = counted(seed, cache_bytes);
            assert_eq!(rows, expected, "{place}: changelogs");
            assert_eq!(joined, expected, "{place}: results");
        }
    }
}
