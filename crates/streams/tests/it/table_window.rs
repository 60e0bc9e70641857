//! Stores of windows and sessions that an aggregation keeps, in the hands of a processor that opens them by name.
//! Not stores of a processor's own. Invariant: each test drives a whole topology.

use headwater_streams::{
    App, Processor, ProcessorContext, Record, Result, SessionWindows, Sessions, Store, TestDriver,
    TimeWindows, Timestamped, TimestampedKeyValues, TimestampedWindows, TopologySettings, Windowed,
    Windows,
};
use std::ops::ControlFlow;
use std::time::Duration;

type Ctx<'a, 'c> = ProcessorContext<'a, 'c, String, String>;
type Look = fn(&Record<String, String>, &mut Ctx<'_, '_>) -> Result<String>;

/// Forwards what `look` makes of a record.
struct Reader(Look);

impl Processor for Reader {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn process(&mut self, record: Record<String, String>, ctx: &mut Ctx<'_, '_>) -> Result<()> {
        let seen = (self.0)(&record, ctx)?;
        ctx.forward(record.with_value(Some(seen)))
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Counts of `in` by windows of 10 ms in `windows` and by sessions with gaps of 10 ms in `sessions`, a reader of both from `asks`
/// to `out`, and the changes of both in `counts`.
fn driver(look: Look, settings: TopologySettings, cached: bool) -> Result<TestDriver> {
    let app = App::new("app");
    app.configure(settings);
    let store = |name: &str| match cached {
        true => Store::<String, u64>::from(name),
        false => Store::from(name).without_cache(),
    };
    let by_key = app.stream::<String, String>("in").group_by_key();
    let times = TimeWindows::of(ms(10)).grace(ms(20));
    let windows = by_key.windowed_by(times).count(store("windows"));
    let gaps = SessionWindows::of(ms(10)).grace(ms(20));
    let sessions = by_key.windowed_by(gaps).count(store("sessions"));
    let sent = |key: Windowed<String>, count: u64| {
        let Windowed { key, start, end } = key;
        (format!("{key}@{start}-{end}"), count)
    };
    windows.to_stream().map(sent).to("counts");
    sessions.to_stream().map(sent).to("counts");
    app.stream::<String, String>("asks")
        .process(("windows", "sessions"), move || Reader(look))
        .to("out");
    let mut driver = TestDriver::new(app.build()?)?;
    for (key, time) in [("a", 1), ("a", 5), ("b", 7), ("a", 14), ("ab", 3)] {
        driver.pipe("in", key.to_owned(), String::new(), time)?;
    }
    Ok(driver)
}

/// With and without a record cache, on disk and in memory, with and without headers.
fn each(look: Look, check: impl Fn(&mut TestDriver) -> Result<()>) -> Result<()> {
    for (cached, stores_in_memory, stores_with_headers) in [
        (true, false, false),
        (false, false, false),
        (true, true, false),
        (false, true, false),
        (true, false, true),
    ] {
        let settings = TopologySettings {
            stores_in_memory,
            stores_with_headers,
            ..TopologySettings::default()
        };
        check(&mut driver(look, settings, cached)?)?;
    }
    Ok(())
}

fn ask(driver: &mut TestDriver, key: &str) -> Result<String> {
    driver.pipe("asks", key.to_owned(), String::new(), 14)?;
    let records = driver.read::<String, String>("out")?;
    Ok(records[0].1.clone().unwrap_or_default())
}

#[test]
fn a_processor_reads_the_windows_of_a_table() -> Result<()> {
    let look: Look = |record, ctx| {
        let mut store = ctx.store_named::<String, u64, TimestampedWindows>("windows")?;
        let mut text = String::new();
        store.fetch(&record.key, 0..=100, |start, row| {
            text.push_str(&format!("{start}:{}@{} ", row.value, row.timestamp));
            ControlFlow::Continue(())
        })?;
        let one = store.get(&record.key, 10)?;
        text.push_str(&format!("{:?};", one.map(|row| row.value)));
        store.all(|key, start, row| {
            text.push_str(&format!(" {key}@{start}:{}", row.value));
            ControlFlow::Continue(())
        })?;
        Ok(text)
    };
    each(look, |driver| {
        let seen = ask(driver, "a")?;
        assert_eq!(seen, "0:2@5 10:1@14 Some(1); a@0:2 a@10:1 ab@0:1 b@0:1");
        Ok(())
    })
}

#[test]
fn a_processor_reads_and_writes_the_sessions_of_a_table() -> Result<()> {
    let look: Look = |record, ctx| {
        let mut store = ctx.store_named::<String, u64, Sessions>("sessions")?;
        let mut found = Vec::new();
        store.find_sessions(&record.key, 0, 100, |session, count| {
            found.push((session, count));
            ControlFlow::Continue(())
        })?;
        let mut text = String::new();
        for (session, count) in &found {
            store.put(session, &(count + 100))?;
            text.push_str(&format!("{}-{}:{count} ", session.start, session.end));
        }
        store.find_all(0, 100, |session, count| {
            text.push_str(&format!("{}:{count} ", session.key));
            ControlFlow::Continue(())
        })?;
        Ok(text)
    };
    each(look, |driver| {
        driver.read_raw("counts");
        assert_eq!(ask(driver, "a")?, "1-14:3 a:103 ab:1 b:1 ");
        driver.pipe("in", "a".to_owned(), String::new(), 15)?;
        let counts = driver.read::<String, u64>("counts")?;
        let last = |key: &str| {
            let mut counts = counts.iter().rev();
            counts.find(|(found, ..)| found == key).map(|found| found.1)
        };
        assert_eq!(last("a@1-15"), Some(Some(104)), "it goes on from there");
        Ok(())
    })
}

#[test]
fn a_processor_sees_no_window_that_has_expired() -> Result<()> {
    let look: Look = |record, ctx| {
        let mut store = ctx.store_named::<String, u64, TimestampedWindows>("windows")?;
        let mut starts = Vec::new();
        store.fetch(&record.key, 0..=100, |start, _| {
            starts.push(start);
            ControlFlow::Continue(())
        })?;
        Ok(format!("{starts:?}"))
    };
    each(look, |driver| {
        // Kept for a window's size and its grace, 30 ms.
        driver.pipe("in", "z".to_owned(), String::new(), 39)?;
        assert_eq!(ask(driver, "a")?, "[10]");
        driver.pipe("in", "z".to_owned(), String::new(), 40)?;
        assert_eq!(ask(driver, "a")?, "[]");
        Ok(())
    })
}

#[test]
fn what_a_processor_writes_into_a_window_is_the_tables() -> Result<()> {
    let look: Look = |record, ctx| {
        let mut store = ctx.store_named::<String, u64, TimestampedWindows>("windows")?;
        let (value, timestamp) = (50, record.timestamp);
        store.put(&record.key, &Timestamped { value, timestamp }, 10)?;
        Ok(String::new())
    };
    each(look, |driver| {
        ask(driver, "a")?;
        driver.pipe("in", "a".to_owned(), String::new(), 16)?;
        let counts = driver.read::<String, u64>("counts")?;
        let window = counts.iter().rev().find(|(key, ..)| key == "a@10-20");
        let window = window.map(|(_, count, time)| (*count, *time));
        assert_eq!(window, Some((Some(51), 16)));
        Ok(())
    })
}

#[test]
fn a_store_of_windows_opens_only_as_what_it_is() -> Result<()> {
    let looks: [Look; 4] = [
        |_, ctx| {
            let opened = ctx.store_named::<String, u64, Windows>("windows");
            opened.map(|_| String::new())
        },
        |_, ctx| {
            let opened = ctx.store_named::<String, i64, TimestampedWindows>("windows");
            opened.map(|_| String::new())
        },
        |_, ctx| {
            let opened = ctx.store_named::<Windowed<String>, u64, TimestampedWindows>("windows");
            opened.map(|_| String::new())
        },
        |_, ctx| {
            let opened = ctx.store_named::<String, u64, TimestampedKeyValues>("sessions");
            opened.map(|_| String::new())
        },
    ];
    for look in looks {
        let mut driver = driver(look, TopologySettings::default(), true)?;
        let error = ask(&mut driver, "a").expect_err("it keeps something else");
        let error = error.to_string();
        assert!(error.contains("does not keep"), "{error}");
    }
    Ok(())
}
