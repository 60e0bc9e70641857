//! The same programs on the log in memory, where several instances share an application. Not faults: the runtime's tests have those.
//! Invariant: whoever runs the tasks, the counts are those of a plain loop.

use crate::fixture::{
    ensure_topic, expected, feed, read, read_counts, stop, wait_for_counts, wait_until, word_count,
    words,
};
use headwater::prelude::*;
use headwater::{MemoryLog, world::World};

#[test]
fn counts_go_on_after_a_restart_without_any_disk() {
    for log in [
        MemoryLog::new(&World::real()),
        MemoryLog::kafka_like(&World::real()),
    ] {
        ensure_topic(&*log, "word-count-counts", 1);
        for lines in [300, 600] {
            feed(&*log, lines);
            let running = headwater::start(word_count("word-count"), &log).unwrap();
            wait_for_counts(&running, lines);
            stop(running);
            assert_eq!(read_counts(&*log, "word-count-counts"), expected(lines));
        }
    }
}

#[test]
fn instances_share_tasks_and_take_over_from_one_that_leaves() {
    let log = MemoryLog::new(&World::real());
    feed(&*log, 100);
    ensure_topic(&*log, "word-count-counts", 1);
    let first = headwater::start(word_count("word-count"), &log).unwrap();
    wait_for_counts(&first, 100);
    let settings = Settings {
        workers: 2,
        ..Settings::default()
    };
    let second = headwater::start_with(word_count("word-count"), &log, settings).unwrap();
    wait_until(&second, "its share", || second.running_tasks() >= 2);
    feed(&*log, 400);
    wait_until(&first, "four tasks in all", || {
        first.running_tasks() + second.running_tasks() == 4
    });
    stop(first);
    feed(&*log, 700);
    wait_for_counts(&second, 700);
    stop(second);
    assert_eq!(read_counts(&*log, "word-count-counts"), expected(700));
    let repartitioned = read(&*log, "word-count-word-counts-repartition");
    assert_eq!(repartitioned.len() as u64, words(700));
}
