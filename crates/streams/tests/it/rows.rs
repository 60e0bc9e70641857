//! Rows of processors' stores with timestamps and headers beside the value: what is read, what the changelog is told, and what
//! comes back from it. Not their bytes in Kafka Streams: `golden`. Invariant: a restored row is the row.

use headwater_streams::{
    AggregationWithHeaders, App, Headers, KeyValuesWithHeaders, Processor, ProcessorContext,
    Record, Result, SessionsWithHeaders, Store, StoreHandle, TestDriver, TestRecord, Timestamped,
    TimestampedWindows, ValueTimestampHeaders, Windowed, WindowsWithHeaders,
};
use std::ops::ControlFlow;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn one(name: &str, value: &str) -> Headers {
    let mut headers = Headers::default();
    headers.add(name, Some(value.as_bytes()));
    headers
}

/// Keeps what comes, headers too; the value `delete` deletes.
#[derive(Clone, Copy)]
struct Keeps {
    latest: StoreHandle<String, String, KeyValuesWithHeaders>,
    hours: StoreHandle<String, String, WindowsWithHeaders>,
    visits: StoreHandle<String, String, SessionsWithHeaders>,
    times: StoreHandle<String, String, TimestampedWindows>,
}

impl Keeps {
    fn write(
        self,
        key: &String,
        row: &ValueTimestampHeaders<String>,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        ctx.store(self.latest)?.put(key, row)?;
        ctx.store(self.hours)?.put(key, row, 10)?;
        let timed = Timestamped {
            value: row.value.clone(),
            timestamp: row.timestamp,
        };
        ctx.store(self.times)?.put(key, &timed, 10)?;
        assert_eq!(ctx.store(self.times)?.get(key, 10)?, Some(timed));
        let aggregation = AggregationWithHeaders {
            aggregation: row.value.clone(),
            headers: row.headers.clone(),
        };
        ctx.store(self.visits)?.put(&visit(key), &aggregation)?;
        let read = ctx.store(self.visits)?.get(key, 5, 20)?;
        assert_eq!(read, Some(aggregation));
        let mut windows = Vec::new();
        ctx.store(self.hours)?.all(|key, time, row| {
            windows.push((key, time, row));
            ControlFlow::Continue(())
        })?;
        assert_eq!(windows, [(key.clone(), 10, row.clone())]);
        Ok(())
    }
}

fn visit(key: &str) -> Windowed<String> {
    Windowed {
        key: key.into(),
        start: 5,
        end: 20,
    }
}

impl Processor for Keeps {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn process(
        &mut self,
        record: Record<String, String>,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let key = &record.key;
        let value = record.value.clone().unwrap_or_default();
        if value == "delete" {
            ctx.store(self.latest)?.delete(key)?;
            assert_eq!(ctx.store(self.latest)?.get(key)?, None);
            ctx.store(self.hours)?.delete(key, 10)?;
            return ctx.store(self.visits)?.remove(&visit(key));
        }
        let row = ValueTimestampHeaders {
            value,
            timestamp: record.timestamp - 1,
            headers: record.headers.clone(),
        };
        self.write(key, &row, ctx)
    }
}

fn driver(cached: bool) -> TestDriver {
    let app = App::new("app");
    let named = |name: &str| match cached {
        true => Store::from(name).retention(HOUR).with_cache(),
        false => Store::from(name).retention(HOUR),
    };
    let keeps = Keeps {
        latest: app.store_with_headers(named("latest")),
        hours: app.window_store_with_headers(named("hours")),
        visits: app.session_store_with_headers(named("visits")),
        times: app.timestamped_window_store(named("times")),
    };
    let stores = (keeps.latest, keeps.hours, keeps.visits, keeps.times);
    app.stream::<String, String>("in")
        .process(stores, move || keeps)
        .to("out");
    TestDriver::new(app.build().expect("a sound topology")).expect("it can be driven")
}

fn pipe(driver: &mut TestDriver, value: &str, timestamp: i64, headers: Headers) {
    let record = TestRecord {
        key: Some(b"k".to_vec()),
        value: Some(value.into()),
        timestamp,
        headers,
    };
    driver.pipe_raw("in", record).expect("it is processed");
}

/// Value, timestamp and header `h` of the changelog's last record.
fn logged(driver: &mut TestDriver, store: &str) -> (Option<String>, i64, Option<String>) {
    let records = driver.read_raw(&format!("app-{store}-changelog"));
    let last = records.last().expect("the changelog was told");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let header = last.headers.last("h").flatten().map(text);
    (last.value.as_deref().map(text), last.timestamp, header)
}

#[test]
fn the_changelog_is_told_value_timestamp_and_headers_apart() {
    for cached in [false, true] {
        let mut driver = driver(cached);
        pipe(&mut driver, "x", 100, one("h", "of x"));
        let text = |text: &str| Some(text.to_owned());
        // A session has no timestamp of its own: the record's.
        for (store, timestamp) in [("latest", 99), ("hours", 99), ("visits", 100)] {
            let expected = (text("x"), timestamp, text("of x"));
            assert_eq!(logged(&mut driver, store), expected, "{store}, {cached}");
        }
        assert_eq!(logged(&mut driver, "times"), (text("x"), 99, None));
        pipe(&mut driver, "delete", 200, one("h", "of the end"));
        for store in ["latest", "hours", "visits"] {
            let expected = (None, 200, text("of the end"));
            assert_eq!(logged(&mut driver, store), expected, "{store}, {cached}");
        }
    }
}

#[test]
fn what_the_changelog_was_told_is_the_row_again() {
    let mut driver = driver(false);
    pipe(&mut driver, "x", 100, one("h", "of x"));
    for name in ["latest", "hours", "visits", "times"] {
        let info = (driver.topology().stores())
            .find(|info| &*info.name == name)
            .expect("a store");
        let told = driver.read_raw(&format!("app-{name}-changelog"));
        let [told] = &told[..] else {
            panic!("{name}: {told:?}");
        };
        let mut buffer = Vec::new();
        let value = told.value.as_deref().expect("no deletion");
        let (timestamp, headers) = (told.timestamp, told.headers.as_ref());
        let restored = info.local_value(timestamp, headers, value, &mut buffer);
        let rows = driver.entries_raw(name).expect("a store");
        assert_eq!(rows.len(), 1, "{name}");
        assert_eq!(rows[0].1, restored, "{name}");
        let (_, plain) = info.plain_value(&rows[0].1).expect("a row");
        assert_eq!(plain, b"x", "{name}");
    }
}
