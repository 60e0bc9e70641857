//! The topologies of the scenarios, by name. Invariant: each shows one feature.

use headwater_streams::{
    App, BadData, Processor, ProcessorContext, Punctuation, PunctuationKind, Record, Result, Store,
    StoreHandle, TimeWindows, Topic,
};
use std::time::Duration;

pub(super) fn named(name: &str) -> fn(&App) {
    match name {
        "filter" => filter,
        "map" => map,
        "flat_map" => flat_map,
        "select_key" => |app| input(app).select_key(|_, value| value.clone()).to("out"),
        "merge" => |app| input(app).merge(app.stream("in2")).to("out"),
        "split" => split,
        "count" => |app| {
            input(app)
                .group_by_key()
                .count("counts")
                .to_stream()
                .to("out")
        },
        "count_words" => count_words,
        "reduce" => reduce,
        "aggregate" => aggregate,
        "tumbling" => |app| windowed(app, TimeWindows::of(ms(10)).grace(ms(5))),
        "hopping" => |app| windowed(app, TimeWindows::of(ms(10)).advance_by(ms(5))),
        "window_keys" => window_keys,
        "join_inner" => |app| {
            input(app)
                .join(rows(app), |value, row| format!("{value}+{row}"))
                .to("out")
        },
        "join_left" => |app| {
            input(app)
                .left_join(rows(app), |value, row| format!("{value}+{row:?}"))
                .to("out")
        },
        "table_from_topic" => |app| rows(app).to_stream().to("out"),
        "table_from_stream" => |app| input(app).to_table("rows").to_stream().to("out"),
        "repartition" => repartition,
        "null_keys" => null_keys,
        "null_keys_unit" => null_keys_unit,
        "null_values" => null_values,
        "bad_data_fail" => |app| numbers(app, BadData::Fail),
        "bad_data_skip" => |app| numbers(app, BadData::Skip),
        "bad_data_dead_letter" => |app| numbers(app, BadData::DeadLetter("dead".into())),
        "timestamps" => timestamps,
        "process" => process,
        "punctuation" => |app| app.stream("in").process((), || Ticker).to("out"),
        _ => panic!("no topology {name}"),
    }
}

type Stream<'a> = headwater_streams::KStream<'a, String, String>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn input(app: &App) -> Stream<'_> {
    app.stream("in")
}

fn rows(app: &App) -> headwater_streams::KTable<'_, String, String> {
    app.table_in("rows", "rows")
}

fn filter(app: &App) {
    input(app).filter(|_, value| value.contains('a')).to("with");
    input2(app).filter_not(|key, _| key == "a").to("without");
}

fn input2(app: &App) -> Stream<'_> {
    app.stream("in2")
}

fn map(app: &App) {
    let stream = input(app);
    stream.map_values(|value| value.len() as u64).to("lengths");
    stream
        .map_values_with_key(|key, value| key.clone() + &value)
        .to("both");
    stream.map(|key, value| (value, key)).to("swapped");
}

fn flat_map(app: &App) {
    let stream = input(app);
    let words = |line: String| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    stream.flat_map_values(words).to("words");
    stream
        .flat_map(move |key, line| words(line).into_iter().map(move |word| (word, key.clone())))
        .to("keys");
}

fn split(app: &App) {
    let (a, b, rest) = input(app).split(|branches| {
        let a = branches.branch(|_, value| value.contains('a'));
        let b = branches.branch(|_, value| value.contains('b'));
        (a, b, branches.default_branch())
    });
    a.to("a");
    b.to("b");
    rest.to("rest");
}

fn count_words(app: &App) {
    let words =
        input(app).flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    words
        .group_by_key()
        .count(Store::from("counts").without_cache())
        .to_stream()
        .to("out");
}

fn reduce(app: &App) {
    let words =
        input(app).flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    words
        .group_by_key()
        .reduce(|old, new| format!("{old},{new}"), "rows")
        .to_stream()
        .to("out");
}

fn aggregate(app: &App) {
    let words =
        input(app).flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let grouped = words.group_by_key();
    let rows = grouped.aggregate(|| 0, |_, word, sum: u64| sum + word.len() as u64, "lengths");
    rows.to_stream().to("out");
}

fn windowed(app: &App, windows: TimeWindows) {
    input(app)
        .group_by_key()
        .windowed_by(windows)
        .count("counts")
        .to_stream()
        .to("out");
}

fn window_keys(app: &App) {
    let windows = TimeWindows::of(ms(10));
    let counts = input(app)
        .group_by_key()
        .windowed_by(windows)
        .count("counts");
    counts.to_stream().to("out");
    counts
        .to_stream()
        .map(|window, count| {
            (
                window.key,
                format!("{}..{} {count}", window.start, window.end),
            )
        })
        .to("text");
}

fn repartition(app: &App) {
    let rekeyed = input(app).select_key(|_, value| value[..1].to_owned());
    rekeyed.repartition("letters").to("out");
}

fn null_keys(app: &App) {
    let stream = app.stream::<Option<String>, String>("in");
    stream.to("out");
    stream
        .group_by_key()
        .count("counts")
        .to_stream()
        .to("counted");
    let table = app.table_in::<Option<String>, String>("rows", "rows");
    stream
        .left_join(table, |value, row| format!("{value}+{row:?}"))
        .to("left");
    stream
        .join(table, |value, row| format!("{value}+{row}"))
        .to("inner");
}

fn null_keys_unit(app: &App) {
    let stream = app.stream::<(), String>("in");
    stream
        .group_by(|_, value| value.clone())
        .count("counts")
        .to_stream()
        .to("out");
}

fn null_values(app: &App) {
    let stream = input(app);
    stream.filter(|_, _| false).to("filtered");
    stream.map_values(|value| value + "!").to("mapped");
    stream.select_key(|_, value| value.clone()).to("rekeyed");
    stream
        .group_by_key()
        .count("counts")
        .to_stream()
        .to("counted");
    let windows = TimeWindows::of(ms(10));
    stream
        .group_by_key()
        .windowed_by(windows)
        .count("window-counts")
        .to_stream()
        .to("window-counted");
    let reduced = stream
        .group_by_key()
        .windowed_by(windows)
        .reduce(|old, new| old + &new, "window-rows");
    reduced.to_stream().to("window-reduced");
}

fn numbers(app: &App, policy: BadData) {
    let numbers = Topic::<String, i64>::from("in").on_bad_data(policy);
    app.stream(numbers)
        .map_values(|number| number * 2)
        .to("out");
}

fn timestamps(app: &App) {
    let timed = Topic::<String, i64>::from("in")
        .timestamp_by(|_, value, recorded| value.copied().unwrap_or(recorded));
    app.stream(timed).process((), || StreamTime).to("out");
}

fn process(app: &App) {
    let seen = app.store("seen");
    app.stream("in")
        .process(seen, move || Distinct { seen })
        .to("out");
}

/// Forwards a key's value only when it differs from the last one.
struct Distinct {
    seen: StoreHandle<String, String>,
}

impl Processor for Distinct {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn process(
        &mut self,
        record: Record<String, String>,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let mut seen = ctx.store(self.seen)?;
        if seen.get(&record.key)? == record.value {
            return Ok(());
        }
        match &record.value {
            Some(value) => seen.put(&record.key, value)?,
            None => seen.delete(&record.key)?,
        }
        ctx.forward(record)
    }
}

/// Appends stream time to the value.
struct StreamTime;

impl Processor for StreamTime {
    type KeyIn = String;
    type ValueIn = i64;
    type KeyOut = String;
    type ValueOut = String;

    fn process(
        &mut self,
        record: Record<String, i64>,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let (key, value) = (
            record.key.clone(),
            format!("stream time {}", ctx.stream_time()),
        );
        ctx.forward(record.with(key, Some(value)))
    }
}

/// Tells its punctuations.
struct Ticker;

impl Processor for Ticker {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn open(&mut self, ctx: &mut ProcessorContext<'_, '_, String, String>) -> Result<()> {
        ctx.schedule(ms(10), PunctuationKind::StreamTime);
        ctx.schedule(ms(100), PunctuationKind::WallClock);
        Ok(())
    }

    fn process(
        &mut self,
        _: Record<String, String>,
        _: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        Ok(())
    }

    fn punctuate(
        &mut self,
        due: Punctuation,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let value = format!("{:?} each {}", due.kind, due.interval_ms);
        ctx.forward(Record::new("tick".to_owned(), Some(value), due.time))
    }
}
