//! Sinks that send a record to several partitions (KIP-837), to none, or leave the choice to the key.
//! Not dynamic topics. Invariant: a partition gets a record once.

use super::task::Bench;
use headwater_streams::{App, Topic};

/// The value names the partitions, or `key`.
fn spread(app: &App) {
    let topic = Topic::<String, String>::from("out").partitions_by(|_, value, partitions| {
        match value.map_or("", String::as_str) {
            "key" => None,
            "all" => Some((0..partitions).collect()),
            list => Some(
                list.split_terminator(',')
                    .map(|n| n.parse().unwrap())
                    .collect(),
            ),
        }
    });
    app.stream::<String, String>("in").to(topic);
}

#[test]
fn a_record_goes_once_to_each_partition_that_was_chosen() {
    let mut bench = Bench::new(spread, &[]);
    let values = ["3,1,3", "key", "", "all"];
    bench.feed(0, &values.map(|value| ("k", value, 1)));
    bench.process(9);
    assert_eq!(
        bench.written(),
        [
            "to 1 #0 k 3,1,3 @1",
            "to 3 #0 k 3,1,3 @1",
            "#0 k key @1",
            "to 0 #0 k all @1",
            "to 1 #0 k all @1",
            "to 2 #0 k all @1",
            "to 3 #0 k all @1",
        ]
    );
    assert_eq!(bench.task.counters().dropped, 1);
}
