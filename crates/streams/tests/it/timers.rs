//! Timers of processors: called once each, in order, across restarts, by either clock; what is refused.
//! Not schedules. Invariant: each test drives a whole topology.

use crate::task::Bench;
use headwater_streams::{
    App, Error, OnError, Processor, ProcessorContext, PunctuationKind, Record, Result, Store,
    StoreHandle, TestDriver, Timer, Timers, TopologySettings,
};

type Handle = StoreHandle<String, (), Timers>;
type Ctx<'a, 'c> = ProcessorContext<'a, 'c, String, String>;

/// A value `set 20` sets a timer of the record's key for 20, `cancel 20` takes it back, `wall 20` goes by the wall clock. A
/// timer that is called says when it was due; that of key `chain` sets the next, 5 later, up to 30; that of key `bad` fails.
struct Alarm(Handle);

impl Processor for Alarm {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn process(&mut self, record: Record<String, String>, ctx: &mut Ctx<'_, '_>) -> Result<()> {
        let value = record.value.unwrap_or_default();
        let Some((verb, at)) = value.split_once(' ') else {
            return Ok(());
        };
        let at: i64 = at.parse().unwrap();
        let mut timers = ctx.store(self.0)?;
        match verb {
            "set" => timers.set(PunctuationKind::StreamTime, at, &record.key),
            "wall" => timers.set(PunctuationKind::WallClock, at, &record.key),
            _ => {
                let was_set = timers.cancel(PunctuationKind::StreamTime, at, &record.key)?;
                let text = format!("cancelled {was_set}");
                ctx.forward(Record::new(record.key, Some(text), record.timestamp))
            }
        }
    }

    fn timer(&mut self, timer: Timer<String>, ctx: &mut Ctx<'_, '_>) -> Result<()> {
        if timer.key == "bad" {
            return Err(Error::failed("a bad timer"));
        }
        if timer.key == "chain" && timer.at < 30 {
            let mut timers = ctx.store(self.0)?;
            timers.set(timer.clock, timer.at + 5, &timer.key)?;
        }
        let text = format!("{:?} {}", timer.clock, timer.at);
        ctx.forward(Record::new(timer.key, Some(text), timer.at))
    }
}

fn alarms(app: &App) {
    let timers = app.timers::<String>("alarms");
    app.stream::<String, String>("in")
        .process(timers, move || Alarm(timers))
        .to("out");
}

fn driver(settings: TopologySettings) -> TestDriver {
    let app = App::new("app");
    app.configure(settings);
    alarms(&app);
    TestDriver::new(app.build().unwrap()).unwrap()
}

fn pipe(driver: &mut TestDriver, key: &str, value: &str, time: i64) -> Vec<String> {
    driver
        .pipe("in", key.to_owned(), value.to_owned(), time)
        .unwrap();
    read(driver)
}

fn read(driver: &mut TestDriver) -> Vec<String> {
    let out = driver.read::<String, String>("out").unwrap().into_iter();
    out.map(|(key, value, time)| format!("{key} {} @{time}", value.unwrap_or_default()))
        .collect()
}

#[test]
fn timers_are_called_once_in_the_order_of_their_times() {
    let mut driver = driver(TopologySettings::default());
    assert!(pipe(&mut driver, "b", "set 20", 1).is_empty());
    assert!(pipe(&mut driver, "a", "set 20", 2).is_empty());
    assert!(
        pipe(&mut driver, "a", "set 20", 3).is_empty(),
        "it is set already"
    );
    assert!(pipe(&mut driver, "a", "set 12", 4).is_empty());
    assert!(pipe(&mut driver, "x", "", 11).is_empty());
    assert_eq!(
        pipe(&mut driver, "x", "", 25),
        [
            "a StreamTime 12 @12",
            "a StreamTime 20 @20",
            "b StreamTime 20 @20"
        ]
    );
    assert!(pipe(&mut driver, "x", "", 50).is_empty());
    assert_eq!(
        pipe(&mut driver, "late", "set 7", 51),
        ["late StreamTime 7 @7"],
        "what is due already is called at once"
    );
    assert!(driver.entries_raw("alarms").unwrap().is_empty());
}

#[test]
fn a_timer_may_be_cancelled_and_may_set_the_next() {
    let mut driver = driver(TopologySettings::default());
    pipe(&mut driver, "a", "set 20", 1);
    assert_eq!(
        pipe(&mut driver, "a", "cancel 20", 2),
        ["a cancelled true @2"]
    );
    assert_eq!(
        pipe(&mut driver, "a", "cancel 20", 2),
        ["a cancelled false @2"]
    );
    pipe(&mut driver, "chain", "set 20", 3);
    assert_eq!(
        pipe(&mut driver, "x", "", 26),
        ["chain StreamTime 20 @20", "chain StreamTime 25 @25"]
    );
    assert_eq!(pipe(&mut driver, "x", "", 99), ["chain StreamTime 30 @30"]);
}

#[test]
fn timers_by_the_wall_clock_need_no_record() {
    let mut driver = driver(TopologySettings::default());
    assert!(pipe(&mut driver, "a", "wall 20", 1_000).is_empty());
    driver.advance_wall_clock(19).unwrap();
    assert!(read(&mut driver).is_empty());
    driver.advance_wall_clock(1).unwrap();
    assert_eq!(read(&mut driver), ["a WallClock 20 @20"]);
}

#[test]
fn more_timers_than_one_scan_takes_are_all_called() {
    let mut driver = driver(TopologySettings::default());
    for number in 0..300 {
        pipe(&mut driver, &format!("k{number:03}"), "set 20", 1);
    }
    let called = pipe(&mut driver, "x", "", 20);
    assert_eq!(called.len(), 300);
    assert!(called.is_sorted());
}

#[test]
fn timers_survive_a_restart() {
    let mut bench = Bench::new(alarms, &[]);
    bench.feed(
        0,
        &[("a", "set 20", 1), ("b", "set 30", 2), ("a", "set 10", 15)],
    );
    bench.process(100);
    bench.punctuate();
    bench.flush();
    let written = bench.written();
    assert!(
        written.contains(&"#0 a StreamTime 10 @10".to_owned()),
        "{written:?}"
    );
    let mut bench = bench.restart();
    bench.written();
    bench.feed(0, &[("x", "", 25)]);
    bench.process(100);
    bench.punctuate();
    bench.flush();
    let out = |bench: &mut Bench| -> Vec<String> {
        let written = bench.written().into_iter();
        written.filter(|line| line.starts_with("#0")).collect()
    };
    assert_eq!(out(&mut bench), ["#0 a StreamTime 20 @20"]);
    let mut bench = bench.restart();
    bench.feed(0, &[("x", "", 40)]);
    bench.process(100);
    bench.punctuate();
    bench.flush();
    assert_eq!(out(&mut bench), ["#0 b StreamTime 30 @30"]);
}

#[test]
fn a_timer_that_fails_is_passed_over_by_policy() {
    let mut driver = driver(TopologySettings {
        on_error: OnError::Skip,
        ..TopologySettings::default()
    });
    pipe(&mut driver, "bad", "set 10", 1);
    pipe(&mut driver, "good", "set 10", 1);
    assert_eq!(pipe(&mut driver, "x", "", 10), ["good StreamTime 10 @10"]);
    assert!(pipe(&mut driver, "x", "", 20).is_empty());
}

#[test]
fn timers_belong_to_one_processor_with_keys_of_their_type() {
    let two = App::new("app");
    let timers = two.timers::<String>("alarms");
    let stream = two.stream::<String, String>("in");
    stream.process(timers, move || Alarm(timers)).to("out");
    stream.process(timers, move || Alarm(timers)).to("other");
    let error = two.build().unwrap_err().to_string();
    assert!(error.contains("give each its own"), "{error}");
    let keys = App::new("app");
    let numbers = keys.timers::<u64>(Store::from("alarms"));
    let timers = App::new("other").timers::<String>("alarms");
    let stream = keys.stream::<String, String>("in");
    stream.process(numbers, move || Alarm(timers)).to("out");
    let error = keys.build().unwrap_err().to_string();
    assert!(error.contains("keys of another type"), "{error}");
}
