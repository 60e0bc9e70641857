//! Joins of streams where Kafka Streams 4.3.1 is no measure: after a restart, under a policy for failures, and where it answers
//! too early or too late. Not the corpus of the judge. Invariant: no test waits for time or chance.

use crate::task::Bench;
use headwater_streams::{
    App, JoinWindows, KStream, OnError, Semantics, TestDriver, TopologySettings,
};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn streams(app: &App) -> [KStream<'_, String, String>; 2] {
    [app.stream("l"), app.stream("r")]
}

/// The faults of Kafka Streams, for a test that shows both.
fn as_kafka_streams(app: &App) {
    app.configure(TopologySettings {
        semantics: Semantics::Java,
        ..TopologySettings::default()
    });
}

fn left_join(app: &App, windows: JoinWindows) {
    let [left, right] = streams(app);
    left.left_join(right.within(windows), |l, r| {
        format!("{l}+{}", r.map_or("nothing", String::as_str))
    })
    .to("out");
}

/// What went to the output, as `key value @time`.
fn results(bench: &mut Bench) -> Vec<String> {
    let written = bench.written().into_iter();
    written
        .filter_map(|line| Some(line.strip_prefix("#0 ")?.to_owned()))
        .collect()
}

/// Feeds one record and processes it; 0 is the left input.
fn pipe(bench: &mut Bench, input: usize, key: &str, value: &str, time: i64) {
    bench.feed(input, &[(key, value, time)]);
    let other = 1 - input;
    let position = bench.task.inputs().nth(other).unwrap().position;
    bench.task.set_end(other, Some(position));
    assert_eq!(bench.process(9), (1, false));
}

/// Pipes records of both topics; what came out, as `value @time`.
fn run(app: &App, records: &[(&str, &str, &str, i64)]) -> Vec<String> {
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    for (topic, key, value, time) in records {
        let (key, value) = ((*key).to_owned(), (*value).to_owned());
        driver.pipe(topic, key, value, *time).unwrap();
    }
    let out = driver.read::<String, String>("out").unwrap().into_iter();
    out.map(|(_, value, time)| format!("{} @{time}", value.unwrap()))
        .collect()
}

#[test]
fn what_waited_in_vain_before_a_restart_is_a_result_after_it() {
    let mut bench = Bench::new(|app| left_join(app, JoinWindows::of(ms(10))), &[]);
    pipe(&mut bench, 0, "a", "waits", 5);
    pipe(&mut bench, 0, "b", "waits too", 14);
    let mut bench = bench.restart();
    assert_eq!(results(&mut bench), Vec::<String>::new());
    pipe(&mut bench, 1, "c", "any", 20);
    assert_eq!(results(&mut bench), ["a waits+nothing @5"]);
    pipe(&mut bench, 1, "c", "any", 100);
    assert_eq!(results(&mut bench), ["b waits too+nothing @14"]);
}

#[test]
fn without_after_and_grace_what_waited_is_a_result_after_a_restart_too() {
    // Java's first look after a restart relies on a number that wraps around, which it does not here.
    let windows = JoinWindows::of_ms(10, 0);
    let mut bench = Bench::new(|app| left_join(app, windows), &[]);
    pipe(&mut bench, 0, "a", "waits", 5);
    let mut bench = bench.restart();
    pipe(&mut bench, 1, "c", "any", 20);
    assert_eq!(results(&mut bench), ["a waits+nothing @5"]);
}

#[test]
fn after_a_restart_a_late_record_is_judged_by_the_time_before_it() {
    let mut bench = Bench::new(|app| left_join(app, JoinWindows::of(ms(10))), &[]);
    pipe(&mut bench, 1, "a", "right", 100);
    let mut bench = bench.restart();
    pipe(&mut bench, 0, "a", "late", 50);
    assert_eq!(results(&mut bench), ["a late+nothing @50"]);
    // Beyond retention, 20 ms: found before the restart neither.
    pipe(&mut bench, 1, "b", "far behind", 45);
    pipe(&mut bench, 0, "b", "later", 50);
    assert_eq!(results(&mut bench), ["b later+nothing @50"]);
}

/// What a record meets of four of one key and time, two of them from before a restart.
fn met_across_a_restart(settle: fn(&App)) -> Vec<String> {
    let build = move |app: &App| {
        settle(app);
        left_join(app, JoinWindows::of(ms(10)));
    };
    let mut bench = Bench::new(build, &[]);
    pipe(&mut bench, 1, "a", "1", 5);
    pipe(&mut bench, 1, "a", "2", 5);
    let mut bench = bench.restart();
    pipe(&mut bench, 1, "a", "3", 5);
    pipe(&mut bench, 1, "a", "4", 5);
    pipe(&mut bench, 0, "a", "l", 6);
    results(&mut bench)
}

#[test]
fn duplicates_from_before_and_after_a_restart_are_all_met() {
    assert_eq!(
        met_across_a_restart(|_| ()),
        ["a l+1 @6", "a l+2 @6", "a l+3 @6", "a l+4 @6"]
    );
    assert_eq!(
        met_across_a_restart(as_kafka_streams),
        ["a l+3 @6", "a l+4 @6"]
    );
}

#[test]
fn within_grace_a_record_that_may_still_meet_another_is_no_result() {
    let app = App::new("app");
    left_join(&app, JoinWindows::of(ms(10)).grace(ms(20)));
    let records = [
        ("l", "x", "x", 30),
        ("l", "a", "l", 15),
        ("r", "a", "r", 16),
        ("l", "y", "y", 100),
    ];
    assert_eq!(run(&app, &records), ["l+r @16", "x+nothing @30"]);
    let app = App::new("app");
    as_kafka_streams(&app);
    left_join(&app, JoinWindows::of(ms(10)).grace(ms(20)));
    assert_eq!(
        run(&app, &records),
        ["l+nothing @15", "l+r @16", "x+nothing @30"]
    );
}

#[test]
fn a_result_without_a_match_does_not_wait_for_younger_ones() {
    let app = App::new("app");
    left_join(&app, JoinWindows::of(ms(10)));
    let records = [
        ("l", "a", "1", 0),
        ("l", "b", "2", 5),
        ("l", "c", "3", 9),
        ("r", "z", "z", 11),
        // Kafka Streams keeps the second until the third is due.
        ("r", "z", "z", 16),
    ];
    assert_eq!(run(&app, &records), ["1+nothing @0", "2+nothing @5"]);
}

#[test]
fn each_side_of_an_asymmetric_window_is_due_by_its_own_half() {
    let app = App::new("app");
    let [left, right] = streams(&app);
    left.outer_join(right.within(JoinWindows::of_ms(0, 20)), |l, r| {
        format!(
            "{}{}",
            l.map_or("-", String::as_str),
            r.map_or("-", String::as_str)
        )
    })
    .to("out");
    let records = [
        ("l", "a", "l", 10),
        ("r", "b", "r", 10),
        // A left record waits for later ones for 20 ms, a right one for none.
        ("l", "c", "m", 11),
        ("r", "d", "s", 31),
    ];
    assert_eq!(run(&app, &records), ["-r @10", "l- @10"]);
}

#[test]
fn a_closure_that_fails_without_a_match_stops_nothing_else() {
    let app = App::new("app");
    app.configure(TopologySettings {
        on_error: OnError::Skip,
        ..TopologySettings::default()
    });
    let [left, right] = streams(&app);
    left.left_join(right.within(ms(10)), |l, r| {
        assert!(l != "bad", "bad");
        format!("{l}+{}", r.map_or("nothing", String::as_str))
    })
    .to("out");
    let records = [
        ("l", "a", "good", 0),
        ("l", "b", "bad", 1),
        ("l", "c", "fine", 2),
        ("r", "z", "z", 50),
        ("l", "d", "d", 51),
        ("r", "d", "e", 52),
    ];
    let expected = ["good+nothing @0", "fine+nothing @2", "d+e @52"];
    assert_eq!(run(&app, &records), expected);
}

/// The results of a stream joined with itself, sorted, and the number of its stores.
fn self_join(optimization: &str, windows: JoinWindows, left: bool) -> (Vec<String>, usize) {
    let records = [
        ("l", "a", "1", 0),
        ("l", "a", "2", 4),
        ("l", "b", "3", 5),
        ("l", "a", "4", 2),
        ("l", "a", "5", 30),
        ("l", "a", "6", 24),
    ];
    let build = |app: &App| {
        app.set("topology.optimization", optimization).unwrap();
        let [stream, _] = streams(app);
        let within = stream.within(windows);
        let or_none = |r: Option<&String>| r.map_or("-".to_owned(), String::clone);
        let joined = if left {
            stream.left_join(within, move |l, r| l.clone() + &or_none(r))
        } else {
            stream.join(within, |l, r| l.clone() + r)
        };
        joined.to("out");
    };
    let app = App::new("app");
    build(&app);
    let stores = app.build().unwrap().stores().count();
    let app = App::new("app");
    build(&app);
    let mut results = run(&app, &records);
    results.sort();
    (results, stores)
}

#[test]
fn a_stream_joined_with_itself_gives_the_same_over_one_store_and_two() {
    let check = |windows: JoinWindows, left: bool, stores: usize| {
        let (one, found) = self_join("single.store.self.join", windows, left);
        let (two, _) = self_join("none", windows, left);
        assert_eq!((one, found), (two, stores));
    };
    check(JoinWindows::of(ms(5)), false, 1);
    check(JoinWindows::of(ms(5)).grace(ms(7)), false, 1);
    // Where a record does not meet itself, or some are results without a match, one store would not do.
    check(JoinWindows::of_ms(-1, 9), false, 2);
    check(JoinWindows::of_ms(-1, 9), true, 3);
}

#[test]
fn impossible_joins_are_refused_with_the_operator_and_the_cure() {
    let app = App::new("app");
    let [left, right] = streams(&app);
    left.named("pair")
        .join(right.within(JoinWindows::of_ms(-10, 5)), |l, _| l.clone())
        .to("out");
    refused(&app, &["pair-merge", "must not add up to less than 0"]);

    #[derive(Clone)]
    struct Odd;
    let app = App::new("app");
    let [left, right] = streams(&app);
    let odd = left.map_values(|_| Odd);
    odd.join(right.within(ms(5)), |_, r| r.clone()).to("out");
    refused(&app, &["KSTREAM-MERGE-0000000007", "KStream::values"]);
}

#[track_caller]
fn refused(app: &App, said: &[&str]) {
    let error = app.build().map(drop).unwrap_err().to_string();
    for part in said {
        assert!(error.contains(part), "{error}");
    }
}
