//! The positions that a task would commit. Not what it does with records. Invariant: a position is the next record to process, with
//! what the one before it leaves behind.

use crate::task::{Bench, merged};

#[test]
fn positions_are_the_next_offsets_with_the_time_of_each_partition() {
    let mut bench = Bench::new(merged, &[("left", 7, 1_500)]);
    assert_eq!(
        bench.task.stream_time(),
        1_500,
        "stream time goes on where the commit left it"
    );
    bench.feed(0, &[("l", "1", 10), ("l", "2", 2_000), ("l", "3", 1)]);
    bench.feed(1, &[("r", "1", 30)]);
    assert_eq!(bench.process(2).0, 2);
    assert_eq!(
        bench.positions(),
        [("left".into(), 8, 1_500), ("right".into(), 1, 30)]
    );
    assert_eq!(bench.process(9).0, 2);
    assert_eq!(
        bench.positions(),
        [("left".into(), 10, 2_000), ("right".into(), 1, 30)]
    );
    assert_eq!(bench.task.stream_time(), 2_000);
    let mut spent = 0;
    bench.task.take_spent(|_| spent += 1);
    assert_eq!((spent, bench.task.queued_bytes()), (2, 0));
}

#[test]
fn a_position_has_the_leaders_epoch_of_the_record_before_it() {
    let mut bench = Bench::new(merged, &[("left", 7, -1)]);
    let epoch = |bench: &Bench| bench.task.offsets().next().unwrap().1.leader_epoch;
    assert_eq!(epoch(&bench), None);
    bench.feed_of(0, 3, &[("k", "x", 1), ("k", "y", 2)]);
    bench.feed_of(0, 5, &[("k", "z", 3)]);
    bench.feed_of(1, 0, &[("k", "late", 100)]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(bench.process(1).0, 1);
        seen.push(epoch(&bench));
    }
    assert_eq!(seen, [Some(3), Some(3), Some(5)]);
    let bench = bench.restart();
    assert_eq!(epoch(&bench), Some(5));
    let begins = bench.task.inputs().next().unwrap();
    assert_eq!((begins.fetch_position, epoch(&bench)), (10, Some(5)));
}
