//! The cases' topologies in the DSL, node for node. Not all of the corpus: what needs no operator that is missing and no name
//! that only Java's overloads take. Invariant: a function's name is its case's.
//!
//! A type `Text` where Kafka Streams would hand a null to a function; `String` where it would not.

mod processor;

use headwater_streams::{App, BadData, Data, KStream, Store, TimeWindows, Topic, windowed};
use processor::{Buffer, Identity, RunningTotal, Tick};
use std::time::Duration;

type Text = Option<String>;

fn input(app: &App) -> KStream<'_, Text, String> {
    app.stream("in")
}

/// `Materialized.with(key serde, value serde)`.
fn unnamed<K: Data, V: Data>() -> Store<K, V> {
    Store::unnamed().keys(K::format()).values(V::format())
}

fn plus(old: String, new: String) -> String {
    format!("{old}+{new}")
}

fn words(text: &str) -> Vec<String> {
    text.split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn first(text: &str) -> String {
    text.chars().take(1).collect()
}

fn after_colon(text: &str) -> Text {
    text.split_once(':').map(|(_, after)| after.to_owned())
}

fn or_null(text: Option<&String>) -> &str {
    text.map_or("null", String::as_str)
}

fn joined(left: &str, right: Option<&String>) -> String {
    format!("{left},{}", or_null(right))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn agg_aggregate_null_result(app: &App) {
    input(app)
        .group_by_key()
        .aggregate(
            || Some(0),
            |_, _, count: Option<u64>| count.map(|count| count + 1).filter(|count| *count != 3),
            Store::from("st").without_cache(),
        )
        .to_stream()
        .to("out");
}

pub(super) fn agg_cache_dedup_in_one_record(app: &App) {
    let words = input(app).flat_map_values(|line| words(&line));
    words.group_by_key().count("c").to_stream().to("out");
    words
        .group_by_key()
        .reduce(plus, "r")
        .to_stream()
        .to("out2");
}

pub(super) fn agg_cache_evicts(app: &App) {
    let lines = input(app);
    let rekeyed =
        lines.flat_map(|_, line| words(&line).into_iter().map(|word| (word.clone(), word)));
    let repartitioned = rekeyed.repartition("words");
    let sentences = lines
        .flat_map_values(|line| words(&line))
        .group_by_key()
        .reduce(plus, "sentences");
    sentences.to_stream().to("sentences-out");
    repartitioned
        .group_by_key()
        .count("c")
        .to_stream()
        .to("out");
}

pub(super) fn agg_cache_evicts_random(app: &App) {
    agg_cache_evicts(app);
}

pub(super) fn agg_cache_off_in_one_record(app: &App) {
    let words = input(app).flat_map_values(|line| words(&line));
    words
        .group_by_key()
        .count(Store::from("c").without_cache())
        .to_stream()
        .to("out");
}

pub(super) fn agg_cache_zero_bytes(app: &App) {
    let words = input(app).flat_map_values(|line| words(&line));
    words.group_by_key().count("c").to_stream().to("out");
}

pub(super) fn agg_count(app: &App) {
    input(app)
        .group_by_key()
        .count(unnamed())
        .to_stream()
        .to("out");
}

pub(super) fn agg_group_by(app: &App) {
    input(app)
        .group_by(|_, value| after_colon(value))
        .count("by")
        .to_stream()
        .to("out");
}

pub(super) fn agg_group_by_long_key(app: &App) {
    input(app)
        .group_by(|_, value| value.chars().count() as u64)
        .aggregate(
            String::new,
            |key, value, row| format!("{row}+{key}:{value}"),
            unnamed(),
        )
        .to_stream()
        .to("out");
}

pub(super) fn agg_group_by_named(app: &App) {
    let letters = input(app)
        .group_by(|_, value| first(value))
        .named("first-letter");
    letters.count(unnamed()).to_stream().to("out");
}

pub(super) fn agg_logging_config(app: &App) {
    let store = Store::from("c")
        .changelog_setting("retention.ms", "1000")
        .changelog_setting("cleanup.policy", "compact,delete");
    input(app).group_by_key().count(store).to_stream().to("out");
}

pub(super) fn agg_logging_off(app: &App) {
    input(app)
        .group_by_key()
        .count(Store::from("c").without_changelog())
        .to_stream()
        .to("out");
}

pub(super) fn group_by_windowed_named(app: &App) {
    input(app)
        .group_by(|_, value| first(value))
        .named("letters")
        .windowed_by(TimeWindows::of(ms(10)))
        .count(unnamed())
        .to_stream()
        .to("out");
}

pub(super) fn handler_deserialization_continue(app: &App) {
    app.stream(Topic::<Text, i64>::from("in").on_bad_data(BadData::Skip))
        .group_by_key()
        .aggregate(|| 0, |_, value, sum: i64| sum + value, unnamed())
        .to_stream()
        .to("out");
}

pub(super) fn misc(app: &App) {
    let stream = input(app);
    let (a, b, rest) = stream.split(|branches| {
        let a = branches.branch(|_, value| value.starts_with('a'));
        let b = branches.branch(|_, value| value.contains('b'));
        (a, b, branches.default_branch())
    });
    let merged = a.merge(rest);
    b.to("bs");
    merged
        .repartition(())
        .to_table(unnamed())
        .to_stream()
        .to("out");
    stream.peek(|_, _| {}).for_each(|_, _| {});
    let repartitioned =
        stream.repartition(headwater_streams::Repartitioned::named("rp").partitions(7));
    repartitioned.process((), || Identity).to("o2");
}

pub(super) fn process_buffer_stream_time(app: &App) {
    let rows = app.store(Store::from("buf").in_memory());
    app.stream("in")
        .process(rows, move || Buffer {
            rows,
            every: ms(10),
        })
        .to("out");
}

pub(super) fn process_running_total(app: &App) {
    let totals = app.store("st");
    app.stream("in")
        .process(totals, move || RunningTotal { totals })
        .to("out");
}

pub(super) fn process_stream_tick(app: &App) {
    app.stream("in")
        .process((), || Tick::stream_time(ms(10)))
        .to("out");
}

pub(super) fn process_then_group(app: &App) {
    app.stream("in")
        .process((), || Identity)
        .default_formats()
        .group_by_key()
        .count(unnamed())
        .to_stream()
        .to("out");
}

pub(super) fn process_wall_clock_into_aggregation(app: &App) {
    let ticks = app
        .stream("in")
        .process((), || Tick::wall_clock(ms(100)))
        .default_formats();
    ticks.group_by_key().reduce(plus, "r").to_stream().to("out");
}

pub(super) fn process_wall_clock_tick(app: &App) {
    app.stream("in")
        .process((), || Tick::wall_clock(ms(100)))
        .default_formats()
        .to("out");
}

pub(super) fn repartition_auto(app: &App) {
    input(app).repartition(()).to("out");
}

pub(super) fn repartition_merge_none(app: &App) {
    let rekeyed = app
        .stream::<Text, Text>("in")
        .select_key(|_, value| value.clone());
    rekeyed.group_by_key().count(unnamed()).to_stream().to("o1");
    let concat = |old: Text, new: Text| Some(plus(old?, new?));
    rekeyed
        .group_by_key()
        .reduce(concat, unnamed())
        .to_stream()
        .to("o2");
}

pub(super) fn repartition_named(app: &App) {
    app.stream::<Text, Text>("in")
        .select_key(|_, value| value.clone())
        .repartition(headwater_streams::Repartitioned::named("by-value").partitions(4))
        .map_values_with_key(|key, value| {
            format!("{}:{}", or_null(key.as_ref()), or_null(value.as_ref()))
        })
        .to("out");
}

pub(super) fn repartition_then_group(app: &App) {
    let rekeyed = app
        .stream::<Text, Text>("in")
        .select_key(|_, value| value.clone());
    rekeyed
        .repartition("rp")
        .group_by_key()
        .count(unnamed())
        .to_stream()
        .to("out");
}

pub(super) fn stateless_feedback_topic(app: &App) {
    let (given, looped) = (input(app), app.stream::<Text, String>("loop"));
    given.map_values(|value| value + "*").to("loop");
    let short = looped.filter(|_, value| value.chars().count() < 4);
    short.map_values(|value| value + "+").to("loop");
    looped.to("out");
}

pub(super) fn stateless_headers(app: &App) {
    input(app).map(|key, value| (value, key)).to("out");
}

pub(super) fn stream_table_aggregate(app: &App) {
    let stream = input(app);
    let counts = stream.group_by_key().count("c");
    let text = |count: Option<&u64>| count.map(u64::to_string);
    stream
        .left_join(counts, move |value, count| {
            joined(value, text(count).as_ref())
        })
        .to("out");
    stream
        .join(counts, move |value, count| {
            joined(value, text(Some(count)).as_ref())
        })
        .to("out2");
}

pub(super) fn stream_table_inner(app: &App) {
    let (stream, table) = (input(app), app.table::<Text, String>("tab"));
    stream
        .join(table, |value, row| joined(value, Some(row)))
        .to("out");
}

pub(super) fn stream_table_inner_rekeyed(app: &App) {
    let stream = input(app).select_key(|_, value| after_colon(value));
    let table = app.table_in::<Text, String>("tab", "t");
    stream
        .join(table, |value, row| joined(value, Some(row)))
        .to("out");
}

pub(super) fn stream_table_left(app: &App) {
    let (stream, table) = (input(app), app.table::<Text, String>("tab"));
    stream
        .left_join(table, |value, row| joined(value, row))
        .to("out");
}

pub(super) fn stream_table_left_and_count_rekeyed(app: &App) {
    let stream = input(app).select_key(|_, value| after_colon(value));
    let table = app.table::<Text, String>("tab");
    stream
        .left_join(table, |value, row| joined(value, row))
        .to("out");
    stream.group_by_key().count("c").to_stream().to("counts");
}

pub(super) fn stream_table_left_rekeyed(app: &App) {
    let stream = input(app).select_key(|_, value| after_colon(value));
    let table = app.table::<Text, String>("tab");
    stream
        .left_join(table, |value, row| joined(value, row))
        .to("out");
}

pub(super) fn table_stream_joined_with_itself(app: &App) {
    let table = app.table_in::<String, String>("tab", "t");
    table
        .to_stream()
        .join(table, |value, row| joined(value, Some(row)))
        .to("out");
}

pub(super) fn table_to_stream(app: &App) {
    app.table_in::<String, String>("tab", "t")
        .to_stream()
        .to("out");
}

pub(super) fn table_to_table_joined(app: &App) {
    let table = input(app).to_table("st");
    let orders = app.stream::<Text, String>("orders");
    orders
        .left_join(table, |value, row| joined(value, row))
        .to("out");
}

pub(super) fn table_to_table_rekeyed(app: &App) {
    let rekeyed = app
        .stream::<Text, Text>("in")
        .select_key(|_, value| value.as_deref().map(first));
    rekeyed.to_table(unnamed()).to_stream().to("out");
    rekeyed.to_table("st").to_stream().to("out2");
}

pub(super) fn two_subtopologies_time(app: &App) {
    let twice = app
        .stream::<Text, String>("in1")
        .flat_map_values(|value| [value.clone(), value]);
    let (one, two) = (twice.repartition("one"), twice.repartition("two"));
    let (one, two) = (
        one.map_values(|value| value + "-1"),
        two.map_values(|value| value + "-2"),
    );
    one.to("out");
    two.to("out");
}

pub(super) fn wide(app: &App) {
    let stream = input(app);
    let upper = stream.map_values(|value| value.to_ascii_uppercase());
    let with_a = stream.filter(|_, value| value.contains('a'));
    upper.to("o1");
    let counts = stream.group_by_key().count("c");
    let merged = upper.merge(with_a);
    merged
        .left_join(counts, |value, count| {
            joined(value, count.map(u64::to_string).as_ref())
        })
        .to("o2");
    counts.to_stream().to("o3");
    let seen = with_a.peek(|_, _| {});
    seen.select_key(|_, value| value.clone())
        .group_by_key()
        .count(unnamed())
        .to_stream()
        .to("o4");
}

pub(super) fn window_aggregate_null(app: &App) {
    input(app)
        .group_by_key()
        .windowed_by(TimeWindows::of(ms(10)).grace(ms(30)))
        .aggregate(
            || Some(0),
            |_, _, count: Option<u64>| count.map(|count| count + 1).filter(|count| *count != 2),
            unnamed(),
        )
        .to_stream()
        .to("out");
}

pub(super) fn window_cache_evicts(app: &App) {
    let windows = TimeWindows::of(ms(40)).advance_by(ms(5)).grace(ms(20));
    let words = input(app)
        .flat_map_values(|line| words(&line))
        .group_by_key();
    let rows =
        words
            .windowed_by(windows)
            .aggregate(String::new, |_, value, row| plus(row, value), "c");
    rows.to_stream().to("out");
}

pub(super) fn window_cache_evicts_random(app: &App) {
    window_cache_evicts(app);
}

pub(super) fn window_hopping(app: &App) {
    let windows = TimeWindows::of(ms(10)).advance_by(ms(4));
    let grouped = app
        .stream::<Text, Text>("in")
        .group_by_key()
        .windowed_by(windows);
    let concat = |_: &Text, value: Text, row| plus(row, or_null(value.as_ref()).to_owned());
    let rows = grouped.aggregate(String::new, concat, unnamed());
    rows.to_stream().to("out");
}

pub(super) fn window_hopping_no_cache(app: &App) {
    let windows = TimeWindows::of(ms(10)).advance_by(ms(5)).grace(ms(20));
    let grouped = app
        .stream::<Text, Text>("in")
        .group_by_key()
        .windowed_by(windows);
    let concat = |old: Text, new: Text| Some(plus(old?, new?));
    let rows = grouped.reduce(concat, Store::from("h").without_cache());
    rows.to_stream().to("out");
}

pub(super) fn window_key_functions(app: &App) {
    let counts = input(app)
        .group_by_key()
        .windowed_by(TimeWindows::of(ms(10)))
        .count(unnamed());
    let by_text = counts.to_stream().select_key(|window, _| {
        format!(
            "[{}@{}/{}]",
            or_null(window.key.as_ref()),
            window.start,
            window.end
        )
    });
    by_text.to("out");
    let stream = counts.to_stream();
    stream
        .map(|window, _| (window.key, window.start))
        .to("starts");
    stream.select_key(|window, _| window.end).to("ends");
}

pub(super) fn window_tumbling(app: &App) {
    let windows = TimeWindows::of(ms(10)).grace(ms(5));
    let counts = input(app)
        .group_by_key()
        .windowed_by(windows)
        .count(unnamed());
    // The default format of a windowed key writes what one with a window size writes.
    counts
        .to_stream()
        .to(Topic::from("out").keys(windowed(Text::format(), ms(10))));
}

pub(super) fn window_tumbling_no_grace(app: &App) {
    let grouped = input(app)
        .group_by_key()
        .windowed_by(TimeWindows::of(ms(10)));
    grouped
        .count(Store::from("w").without_cache())
        .to_stream()
        .to("out");
}

pub(super) fn window_tumbling_retention(app: &App) {
    let grouped = input(app)
        .group_by_key()
        .windowed_by(TimeWindows::of(ms(10)));
    grouped
        .count(Store::from("w").retention(ms(1000)))
        .to_stream()
        .to("out");
}

pub(super) fn word_count(app: &App) {
    app.stream::<Text, String>("lines")
        .flat_map_values(|line| words(&line.to_ascii_lowercase()))
        .group_by(|_, word| word.clone())
        .count("counts-store")
        .to_stream()
        .to("counts");
}
