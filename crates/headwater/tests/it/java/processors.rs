//! Processors, stores and the low-level topology. Not the DSL's verbs. Invariant: what stands between `snippet` and `end` is on the page.

use super::{check, check_topics};
use headwater::prelude::*;
use headwater::{
    Headers, KeyValuesWithHeaders, StoreView, TestRecord, Timestamped, TopologyBuilder,
    ValueTimestampHeaders,
};
use std::ops::ControlFlow;
use std::time::Duration;

// Java: process(ProcessorSupplier, "store"), Stores.keyValueStoreBuilder(..), StreamsBuilder.addStateStore(..)
#[test]
fn process() {
    // snippet
    /// Passes on what a key has not said before.
    struct Distinct(StoreHandle<String, String>);

    impl Processor for Distinct {
        type KeyIn = String;
        type ValueIn = String;
        type KeyOut = String;
        type ValueOut = String;

        fn process(
            &mut self,
            record: Record<String, String>,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            let Some(value) = &record.value else {
                return ctx.store(self.0)?.delete(&record.key);
            };
            if ctx.store(self.0)?.get(&record.key)?.as_ref() == Some(value) {
                return Ok(());
            }
            ctx.store(self.0)?.put(&record.key, value)?;
            ctx.forward(record)
        }
    }

    fn distinct(app: &App) {
        let last = app.store::<String, String>("last");
        app.stream::<String, String>("in")
            .process(last, move || Distinct(last))
            .default_formats()
            .to("out");
    }
    // end
    check(
        distinct,
        &[("a", "x"), ("a", "x"), ("a", "y")],
        &[("a", "x"), ("a", "y")],
    );
}

// Java: processValues(FixedKeyProcessorSupplier, "store")
#[test]
fn process_values() {
    // snippet
    /// Numbers the records of each key.
    struct Number(StoreHandle<String, u64>);

    impl FixedKeyProcessor for Number {
        type Key = String;
        type ValueIn = String;
        type ValueOut = String;

        fn process(
            &mut self,
            record: FixedKeyRecord<String, String>,
            ctx: &mut FixedKeyContext<'_, '_, '_, String, String>,
        ) -> ProcessorResult<()> {
            let number = ctx.store(self.0)?.get(record.key())?.unwrap_or(0) + 1;
            ctx.store(self.0)?.put(record.key(), &number)?;
            ctx.forward(record.with_value(Some(number.to_string())))
        }
    }

    fn numbered(app: &App) {
        let numbers = app.store::<String, u64>(Store::from("numbers").in_memory());
        app.stream::<String, String>("in")
            .process_values(numbers, move || Number(numbers))
            .values(String::format())
            .to("out");
    }
    // end
    check(
        numbered,
        &[("a", "x"), ("b", "x"), ("a", "y")],
        &[("a", "1"), ("b", "1"), ("a", "2")],
    );
}

// Java: ProcessorContext.schedule(interval, PunctuationType.STREAM_TIME, punctuator)
#[test]
fn punctuate() {
    // snippet
    /// Sends every key's sum, once in two seconds of stream time.
    struct Sums(StoreHandle<String, u64>);

    impl Processor for Sums {
        type KeyIn = String;
        type ValueIn = String;
        type KeyOut = String;
        type ValueOut = String;

        fn open(
            &mut self,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            ctx.schedule(Duration::from_secs(2), PunctuationKind::StreamTime);
            Ok(())
        }

        fn process(
            &mut self,
            record: Record<String, String>,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            let sum = ctx.store(self.0)?.get(&record.key)?.unwrap_or(0);
            let length = record.value.map_or(0, |value| value.len() as u64);
            ctx.store(self.0)?.put(&record.key, &(sum + length))
        }

        fn punctuate(
            &mut self,
            punctuation: Punctuation,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            let mut rows = Vec::new();
            ctx.store(self.0)?.all(|key, sum| {
                rows.push((key, sum));
                ControlFlow::Continue(())
            })?;
            for (key, sum) in rows {
                ctx.forward(Record::new(key, Some(sum.to_string()), punctuation.time))?;
            }
            Ok(())
        }
    }

    fn sums(app: &App) {
        let sums = app.store::<String, u64>("sums");
        app.stream::<String, String>("in")
            .process(sums, move || Sums(sums))
            .default_formats()
            .to("out");
    }
    // end
    check(
        sums,
        &[("a", "x"), ("b", "xx"), ("a", "xxx")],
        &[("a", "1"), ("a", "4"), ("b", "2")],
    );
}

// Java: a punctuator that looks for the keys that are due (Headwater: timers of keys, which outlive restarts)
#[test]
fn timers() {
    // snippet
    /// Says `late` of each order two seconds after it came.
    struct Reminder(StoreHandle<String, (), Timers>);

    impl Processor for Reminder {
        type KeyIn = String;
        type ValueIn = String;
        type KeyOut = String;
        type ValueOut = String;

        fn process(
            &mut self,
            order: Record<String, String>,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            let at = order.timestamp + 2_000;
            let mut timers = ctx.store(self.0)?;
            timers.set(PunctuationKind::StreamTime, at, &order.key)
        }

        fn timer(
            &mut self,
            timer: Timer<String>,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            ctx.forward(Record::new(timer.key, Some("late".into()), timer.at))
        }
    }

    fn reminders(app: &App) {
        let timers = app.timers::<String>("timers");
        app.stream::<String, String>("in")
            .process(timers, move || Reminder(timers))
            .default_formats()
            .to("out");
    }
    // end
    check(
        reminders,
        &[("a", "x"), ("b", "x"), ("c", "x")],
        &[("a", "late")],
    );
}

// Java: Stores.windowStoreBuilder, sessionStoreBuilder, versionedKeyValueStoreBuilder, timestampedKeyValueStoreBuilder, lruMap
#[test]
fn stores() {
    let app = App::new("app");
    // snippet
    let day = Duration::from_secs(86_400);
    let hours = app.window_store::<String, u64>(Store::from("hours").retention(day));
    let visits = app.session_store::<String, u64>(Store::from("visits").retention(day));
    let prices = app.versioned_store::<String, u64>(Store::from("prices").versioned(day));
    let stock = app.timestamped_store::<String, u64>("stock");
    let recent = app.store::<String, u64>(Store::from("recent").lru(1_000));
    // end
    struct Reads<S>(S);
    impl Processor
        for Reads<(
            StoreHandle<String, u64, headwater::Windows>,
            StoreHandle<String, u64, headwater::Sessions>,
            StoreHandle<String, u64, headwater::Versions>,
            StoreHandle<String, u64, headwater::TimestampedKeyValues>,
            StoreHandle<String, u64>,
        )>
    {
        type KeyIn = String;
        type ValueIn = String;
        type KeyOut = String;
        type ValueOut = String;

        fn process(
            &mut self,
            record: Record<String, String>,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            let (hours, visits, prices, stock, recent) = self.0;
            let (key, time) = (&record.key, record.timestamp);
            ctx.store(hours)?.put(key, &1, 0)?;
            let visit = Windowed {
                key: key.clone(),
                start: 0,
                end: time,
            };
            ctx.store(visits)?.put(&visit, &2)?;
            ctx.store(prices)?.put(key, Some(&3), time)?;
            ctx.store(stock)?.put(key, &4, time)?;
            let recent: &mut StoreView<'_, String, u64> = &mut ctx.store(recent)?;
            recent.put(key, &5)?;
            let recent = recent.get(key)?;
            let stock: Option<Timestamped<u64>> = ctx.store(stock)?.get(key)?;
            let sum = ctx.store(hours)?.get(key, 0)?.unwrap_or(0)
                + ctx.store(visits)?.get(key, 0, time)?.unwrap_or(0)
                + ctx.store(prices)?.get(key)?.map_or(0, |price| price.value)
                + stock.map_or(0, |stock| stock.value)
                + recent.unwrap_or(0);
            ctx.forward(record.with_value(Some(sum.to_string())))
        }
    }
    let stores = (hours, visits, prices, stock, recent);
    app.stream::<String, String>("in")
        .process(stores, move || Reads(stores))
        .default_formats()
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    driver
        .pipe("in", "a".to_owned(), "x".to_owned(), 7)
        .unwrap();
    let out = driver.read::<String, String>("out").unwrap();
    assert_eq!(out, [("a".to_owned(), Some("15".to_owned()), 7)]);
}

// Java: Stores.timestampedKeyValueStoreWithHeadersBuilder, sessionStoreWithHeadersBuilder, timestampedWindowStoreWithHeadersBuilder, timestampedWindowStoreBuilder
#[test]
fn stores_with_headers() {
    let app = App::new("app");
    // snippet
    let day = Duration::from_secs(86_400);
    let origins = app.store_with_headers::<String, String>("origins");
    let visits =
        app.session_store_with_headers::<String, u64>(Store::from("visits").retention(day));
    let hours = app.window_store_with_headers::<String, u64>(Store::from("hours").retention(day));
    let days = app.timestamped_window_store::<String, u64>(Store::from("days").retention(day));

    /// Passes on the record that came before under its key, headers included.
    struct Before(StoreHandle<String, String, KeyValuesWithHeaders>);

    impl Processor for Before {
        type KeyIn = String;
        type ValueIn = String;
        type KeyOut = String;
        type ValueOut = String;

        fn process(
            &mut self,
            record: Record<String, String>,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            let mut origins = ctx.store(self.0)?;
            let before = origins.get(&record.key)?;
            let row = ValueTimestampHeaders {
                value: record.value.clone().unwrap_or_default(),
                timestamp: record.timestamp,
                headers: record.headers.clone(),
            };
            origins.put(&record.key, &row)?;
            let Some(before) = before else {
                return Ok(());
            };
            let mut record = Record::new(record.key, Some(before.value), before.timestamp);
            record.headers = before.headers;
            ctx.forward(record)
        }
    }
    // end
    let stores = (origins, visits, hours, days);
    app.stream::<String, String>("in")
        .process(stores, move || Before(origins))
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    for (value, header, timestamp) in [("x", b"of x", 7), ("y", b"of y", 8)] {
        let mut headers = Headers::default();
        headers.add("h", Some(header));
        let record = TestRecord {
            key: Some(b"a".to_vec()),
            value: Some(value.into()),
            timestamp,
            headers,
        };
        driver.pipe_raw("in", record).unwrap();
    }
    let out = driver.read_raw("out");
    let [x] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!((x.value.as_deref(), x.timestamp), (Some(&b"x"[..]), 7));
    assert_eq!(x.headers.last("h"), Some(Some(&b"of x"[..])));
}

// Java: Topology.addSource(..).addProcessor(..).addStateStore(..).addSink(..)
#[test]
fn topology() {
    // snippet
    struct Shout;

    impl Processor for Shout {
        type KeyIn = String;
        type ValueIn = String;
        type KeyOut = String;
        type ValueOut = String;

        fn process(
            &mut self,
            record: Record<String, String>,
            ctx: &mut ProcessorContext<'_, '_, String, String>,
        ) -> ProcessorResult<()> {
            let value = record.value.as_ref().map(|value| value.to_uppercase());
            ctx.forward(record.with_value(value))
        }
    }

    fn shouting() -> Result<Topology> {
        let builder = TopologyBuilder::new("shouting");
        builder.add_source("lines", Topic::<String, String>::from("in"));
        builder.add_processor("shout", "lines", (), || Shout);
        builder.add_sink("loud", Topic::<String, String>::from("out"), "shout");
        Ok(builder.build()?)
    }
    // end
    let mut driver = TestDriver::new(shouting().unwrap()).unwrap();
    driver
        .pipe("in", "a".to_owned(), "x".to_owned(), 7)
        .unwrap();
    let out = driver.read::<String, String>("out").unwrap();
    assert_eq!(out, [("a".to_owned(), Some("X".to_owned()), 7)]);
}

// Java: StreamsBuilder.stream(Pattern), to(.., Produced.streamPartitioner(..)) with several partitions (KIP-837)
#[test]
fn patterns_and_partitions() {
    check(
        |app| {
            // snippet
            let everywhere =
                Topic::<String, String>::from("out").partitions_by(|key, _, partitions| {
                    (key == "all").then(|| (0..partitions).collect())
                });
            app.stream(
                Topic::<String, String>::matching("i.*")
                    .keys(String::format())
                    .values(String::format()),
            )
            .to(everywhere);
            // end
        },
        &[("a", "x"), ("all", "y")],
        &[("a", "x"), ("all", "y")],
    );
}

// Java: a blocking call in mapValues (Headwater: calls side by side, in order for each key)
#[test]
fn map_async() {
    check_topics(
        |app| {
            let input = app.stream::<String, String>("in");
            // snippet
            input
                .map_async(64, |_, address| async move {
                    // A call to another service, at most 64 of a task at a time.
                    Ok::<_, std::io::Error>(address.to_uppercase())
                })
                .values(String::format())
                .to("out");
            // end
        },
        &[("in", "a", "x")],
        &[("a", "X")],
    );
}
