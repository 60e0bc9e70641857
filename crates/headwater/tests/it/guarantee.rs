//! At least once, and stores in memory: other ways to run the same program. Not what they cost.
//! Invariant: without a crash the counts are those of exactly once.

use crate::fixture::{
    ensure_topic, expected, feed, read_counts, stop, wait_for_counts, word_count,
};
use headwater::Guarantee;
use headwater::prelude::*;
use tempfile::TempDir;

#[test]
fn at_least_once_counts_the_same_when_nothing_fails() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(dir.path()).unwrap();
    ensure_topic(&*log.shared(), "word-count-counts", 1);
    for (workers, lines) in [(1, 500), (2, 1000), (1, 1000)] {
        let settings = Settings {
            guarantee: Guarantee::AtLeastOnce,
            workers,
            ..Settings::default()
        };
        feed(&*log.shared(), lines);
        let running = headwater::start_with(word_count("word-count"), &log, settings).unwrap();
        wait_for_counts(&running, lines);
        stop(running);
        assert_eq!(
            read_counts(&*log.shared(), "word-count-counts"),
            expected(lines)
        );
    }
}

#[test]
fn stores_in_memory_are_restored_at_each_start() {
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(dir.path()).unwrap();
    ensure_topic(&*log.shared(), "counts", 1);
    let topology = || {
        let app = App::new("in-memory");
        app.stream::<String, String>("lines")
            .flat_map_values(|line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
            .group_by(|_, word| word.clone())
            .count(Store::from("word-counts").in_memory().without_cache())
            .to_stream()
            .to("counts");
        app.build().unwrap()
    };
    for lines in [200, 400, 400] {
        feed(&*log.shared(), lines);
        let running = headwater::start(topology(), &log).unwrap();
        wait_for_counts(&running, lines);
        stop(running);
        assert_eq!(read_counts(&*log.shared(), "counts"), expected(lines));
        // Without a cache every word is told of, once.
        let told = crate::fixture::read(&*log.shared(), "counts").len() as u64;
        assert_eq!(told, crate::fixture::words(lines));
    }
}
