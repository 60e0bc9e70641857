//! Sliding windows beyond what the corpus shows: a record cache that is too small for a record's windows. Not their bounds: those
//! are in the corpus. Invariant: how much is cached changes nothing in what windows hold in the end.

use headwater_streams::{App, Semantics, SlidingWindows, TestDriver, TopologySettings};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many words each window holds in the end, by start.
fn counts(semantics: Semantics, cache_bytes_max: usize) -> BTreeMap<u64, u64> {
    let app = App::new("app");
    app.configure(TopologySettings {
        semantics,
        ..TopologySettings::default()
    });
    let windows = SlidingWindows::of(Duration::from_millis(10)).grace(Duration::from_millis(100));
    app.stream::<String, String>("in")
        .flat_map_values(|text| text.split(' ').map(str::to_owned).collect::<Vec<String>>())
        .group_by_key()
        .windowed_by(windows)
        .count("counts")
        .to_stream()
        .to("out");
    let mut driver = TestDriver::with_cache(app.build().unwrap(), cache_bytes_max).unwrap();
    for (text, timestamp) in [("x", 20), ("x", 25), ("x x x", 22)] {
        driver
            .pipe("in", "a".to_owned(), text.to_owned(), timestamp)
            .unwrap();
    }
    let number = |bytes: &[u8]| u64::from_be_bytes(*bytes.first_chunk::<8>().unwrap());
    let out = driver.read_raw("out").into_iter();
    let rows = out.map(|record| {
        // The key, then the window's start.
        let start = number(&record.key.unwrap()[1..]);
        (start, number(&record.value.unwrap()))
    });
    rows.collect()
}

#[test]
fn a_window_loses_nothing_when_the_cache_evicts_it_while_its_neighbours_are_written() {
    let exact = BTreeMap::from([(10, 1), (12, 4), (15, 5), (21, 4), (23, 1)]);
    for cache_bytes_max in [0, 100, 150, 200, 250, 300, 500, 10_000] {
        assert_eq!(counts(Semantics::Headwater, cache_bytes_max), exact);
    }
    // The word at 20 and the three at 22 are four.
    assert_eq!(counts(Semantics::Java, 200).get(&12), Some(&3));
    assert_eq!(counts(Semantics::Java, 10_000), exact);
}
