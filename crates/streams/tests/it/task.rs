//! A task on its own, fed in chunks as the runtime feeds it: the order of its inputs, what it waits for, the positions it reports,
//! what an abort leaves. Not operators. Invariant: no test waits for time or chance.

use headwater_log::batch::{BatchBuilder, set_base_offset};
use headwater_log::{
    AppendRecord, Chunk, CommittedOffset, HeadersRef, Slot, TaskId, TopicPartition,
};
use headwater_store::{Budget, EngineKind, RecordCache, Store};
use headwater_streams::{
    App, BadData, OnError, Output, Result, Route, Task, TimeWindows, Topic, Topology,
    TopologySettings, decode_metadata, encode_metadata,
};
use headwater_world::World;
use std::{sync::Arc, time::Duration};

/// Records as `topic key value @time`, `route` in front where it is not the key's hash; letters say where they are from.
#[derive(Default)]
struct Written(Vec<String>);

impl Written {
    fn add(&mut self, topic: &str, route: Route<'_>, record: &AppendRecord<'_>) {
        let text = |bytes: Option<&[u8]>| {
            bytes.map_or("-".into(), |bytes| {
                String::from_utf8_lossy(bytes).into_owned()
            })
        };
        let route = match route {
            Route::Key(bytes) if Some(bytes) == record.key => String::new(),
            Route::Key(bytes) => format!("by {} ", String::from_utf8_lossy(bytes)),
            Route::Any => "any ".into(),
            Route::Partition(partition) => format!("to {partition} "),
        };
        let header = |name: &str| {
            let mut headers = record.headers.iter();
            let found = headers.find(|header| header.key == name.as_bytes());
            found.map(|header| text(header.value))
        };
        let place = ["topic", "partition", "offset"].map(|part| format!("__streams.errors.{part}"));
        let place: Vec<_> = place.iter().filter_map(|part| header(part)).collect();
        let place = match place.as_slice() {
            [] => String::new(),
            place => format!(" from {}", place.join(" ")),
        };
        self.0.push(format!(
            "{route}{topic} {} {} @{}{place}",
            text(record.key),
            text(record.value),
            record.timestamp
        ));
    }
}

impl Output for Written {
    fn send(&mut self, topic: u32, route: Route<'_>, record: &AppendRecord<'_>) -> Result<()> {
        self.add(&format!("#{topic}"), route, record);
        Ok(())
    }

    fn send_to(&mut self, topic: &str, route: Route<'_>, record: &AppendRecord<'_>) -> Result<()> {
        self.add(topic, route, record);
        Ok(())
    }

    fn changelog(&mut self, store: usize, partition: u32, record: &AppendRecord<'_>) -> Result<()> {
        self.add(
            &format!("changelog {store}"),
            Route::Partition(partition),
            record,
        );
        Ok(())
    }

    fn partitions_of(&mut self, _: &str) -> headwater_streams::Result<u32> {
        Ok(1)
    }

    fn partitions(&mut self, _: u32) -> Result<u32> {
        Ok(4)
    }
}

/// A task on partition 2, with what it needs around it.
pub(super) struct Bench {
    pub(super) task: Task,
    cache: RecordCache,
    output: Written,
}

const PARTITION: u32 = 2;

impl Bench {
    pub(super) fn new(build: impl Fn(&App), committed: &[(&str, i64, i64)]) -> Self {
        let app = App::new("app");
        build(&app);
        let topology: Arc<Topology> = Arc::new(app.build().unwrap());
        let world = World::simulated(0).world;
        let budget = Budget::new(1 << 20, 1 << 20);
        let stores = topology.subtopologies()[0].stores.iter().map(|number| {
            let mut options = topology.store(*number).unwrap().options;
            options.engine = EngineKind::Memory;
            (
                *number,
                Store::open(options, None, &budget, &world).unwrap(),
            )
        });
        let committed: Vec<_> = committed
            .iter()
            .map(|(topic, offset, time)| {
                let metadata = encode_metadata(*time);
                (
                    TopicPartition::new(*topic, PARTITION),
                    CommittedOffset {
                        offset: *offset,
                        leader_epoch: None,
                        metadata,
                    },
                )
            })
            .collect();
        let mut cache = RecordCache::new(1 << 20);
        let id = TaskId {
            subtopology: 0,
            partition: PARTITION,
        };
        let mut task = Task::new(
            &topology,
            id,
            stores.collect(),
            &committed,
            &mut |_| 0,
            &mut cache,
        )
        .unwrap();
        let mut output = Written::default();
        task.open(&mut cache, &mut output, 0).unwrap();
        Self {
            task,
            cache,
            output,
        }
    }

    /// Hands input number `input` a chunk of records (key, value, timestamp) that begins at its fetch position.
    pub(super) fn feed(&mut self, input: usize, records: &[(&str, &str, i64)]) {
        self.feed_of(input, 0, records);
    }

    /// As [`Bench::feed`], written in an epoch of the partition's leader.
    pub(super) fn feed_of(
        &mut self,
        input: usize,
        leader_epoch: i32,
        records: &[(&str, &str, i64)],
    ) {
        let at = self.task.inputs().nth(input).unwrap();
        let mut batch = BatchBuilder::default();
        for (key, value, timestamp) in records {
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            batch.append(&AppendRecord {
                timestamp: *timestamp,
                key,
                value,
                headers: HeadersRef::NONE,
            });
        }
        let mut bytes = batch.finish();
        set_base_offset(&mut bytes, at.fetch_position);
        bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
        let next_offset = at.fetch_position + records.len() as i64;
        let chunk = Chunk {
            partition: at.partition,
            slot: Slot(0),
            position: at.fetch_position,
            next_offset,
            end_offset: next_offset,
            bytes,
            aborted: Vec::new(),
        };
        self.task.add_chunk(input, chunk);
    }

    /// Gives the record cache another budget.
    pub(super) fn resize_cache(&mut self, bytes_max: usize) {
        self.cache.resize(bytes_max);
    }

    pub(super) fn process(&mut self, records_max: usize) -> (usize, bool) {
        self.process_at(records_max, 0)
    }

    fn process_at(&mut self, records_max: usize, now_ms: i64) -> (usize, bool) {
        let progress = self
            .task
            .process(&mut self.cache, &mut self.output, now_ms, records_max)
            .unwrap();
        (progress.records, progress.awaits_data)
    }

    pub(super) fn punctuate(&mut self) {
        let (cache, output) = (&mut self.cache, &mut self.output);
        self.task.punctuate(cache, output, 0).unwrap();
    }

    /// Commits, ends the task and begins it again with its stores and positions.
    pub(super) fn restart(mut self) -> Self {
        self.flush();
        self.task.seal().unwrap();
        for (_, store) in self.task.stores() {
            store.commit(None).unwrap();
        }
        let (topology, id) = (self.task.topology().clone(), self.task.id());
        let committed: Vec<_> = self.task.offsets().collect();
        let output: &mut dyn Output = &mut self.output;
        let stores = self.task.close(&mut self.cache, Some(output)).unwrap();
        let start = &mut |_: &TopicPartition| 0;
        let task = Task::new(&topology, id, stores, &committed, start, &mut self.cache);
        self.task = task.unwrap();
        self.task
            .open(&mut self.cache, &mut self.output, 0)
            .unwrap();
        self
    }

    pub(super) fn flush(&mut self) {
        self.task.flush(&mut self.cache, &mut self.output).unwrap();
    }

    pub(super) fn written(&mut self) -> Vec<String> {
        std::mem::take(&mut self.output.0)
    }

    pub(super) fn positions(&self) -> Vec<(String, i64, i64)> {
        let position = |(partition, offset): (TopicPartition, CommittedOffset)| {
            (
                partition.topic.to_string(),
                offset.offset,
                decode_metadata(&offset.metadata),
            )
        };
        self.task.offsets().map(position).collect()
    }
}

pub(super) fn merged(app: &App) {
    let (left, right) = (
        app.stream::<String, String>("left"),
        app.stream::<String, String>("right"),
    );
    left.merge(right).to("out");
}

#[test]
fn the_record_with_the_lowest_timestamp_goes_first() {
    let mut bench = Bench::new(merged, &[]);
    bench.feed(0, &[("l", "1", 10), ("l", "2", 5), ("l", "3", 40)]);
    bench.feed(1, &[("r", "1", 20), ("r", "2", 30)]);
    assert_eq!(bench.process(4), (4, false));
    // An input's own order is kept: its second record is older, and comes second.
    assert_eq!(
        bench.written(),
        ["#0 l 1 @10", "#0 l 2 @5", "#0 r 1 @20", "#0 r 2 @30"]
    );
    // The other input has been read to its end, so the last record need not wait.
    assert_eq!(bench.process(4), (1, false));
    assert_eq!(bench.written(), ["#0 l 3 @40"]);
}

#[test]
fn a_task_waits_for_an_input_that_has_data_elsewhere() {
    let mut bench = Bench::new(merged, &[]);
    bench.feed(0, &[("l", "1", 10)]);
    assert_eq!(
        bench.process(9),
        (0, true),
        "nothing is known of the other input"
    );
    bench.task.set_end(1, Some(3));
    assert_eq!(bench.process(9), (0, true), "three records are yet to come");
    bench.feed(1, &[("r", "1", 1), ("r", "2", 2), ("r", "3", 3)]);
    assert_eq!(
        bench.process(9),
        (4, false),
        "both inputs have been read to their ends"
    );
    assert_eq!(bench.process(9), (0, false));
}

#[test]
fn a_task_that_may_idle_waits_so_long_for_what_producers_may_send() {
    let mut bench = Bench::new(merged, &[]);
    bench.task.set_idle_ms_max(50);
    bench.task.set_end(1, Some(0));
    bench.feed(0, &[("l", "1", 10)]);
    assert_eq!(bench.process_at(9, 1_000), (0, true));
    assert_eq!(bench.process_at(9, 1_049), (0, true));
    bench.feed(1, &[("r", "1", 5)]);
    assert_eq!(
        bench.process_at(9, 1_049),
        (1, true),
        "the older record came in time"
    );
    assert_eq!(bench.written(), ["#0 r 1 @5"]);
    assert_eq!(
        bench.process_at(9, 1_098),
        (0, true),
        "its input is idle anew"
    );
    assert_eq!(bench.process_at(9, 1_099), (1, false));
}

#[test]
fn a_task_that_never_waits_takes_what_is_there() {
    let mut bench = Bench::new(merged, &[]);
    bench.task.set_idle_ms_max(-1);
    bench.task.set_end(1, Some(3));
    bench.feed(0, &[("l", "1", 10)]);
    assert_eq!(bench.process(9), (1, false));
}

/// Stores of so many rows are told which keys come next.
#[test]
fn a_task_over_many_keys_counts_them_as_one_over_few() {
    let mut bench = Bench::new(
        |app| {
            let joined = app.table::<String, String>("names");
            let events = app.stream::<String, String>("events");
            events
                .group_by_key()
                .count("counts")
                .to_stream()
                .to("counts");
            let name = |event: &String, name: Option<&String>| {
                format!("{event} of {}", name.map_or("nobody", String::as_str))
            };
            events.left_join(joined, name).to("named");
        },
        &[],
    );
    let inputs: Vec<_> = bench.task.inputs().collect();
    let input = |topic: &str| inputs.iter().position(|at| &*at.partition.topic == topic);
    let (names, events) = (input("names").unwrap(), input("events").unwrap());
    let keys: Vec<String> = (0..6_000).map(|number| format!("key {number}")).collect();
    let named: Vec<_> = keys
        .iter()
        .map(|key| (key.as_str(), key.as_str(), 1))
        .collect();
    bench.feed(names, &named);
    // Batches that end before and behind a group of announced keys, and keys within one batch more than once.
    let mut number = 0;
    for batch in (1..).take(200) {
        let next = (0..batch).map(|at| (number + at * 31) % keys.len());
        let batch: Vec<_> = next.map(|key| (keys[key].as_str(), "event", 2)).collect();
        number += batch.len();
        bench.feed(events, &batch);
    }
    let mut records = 0;
    while let (processed @ 1.., _) = bench.process(777) {
        records += processed;
    }
    assert_eq!(records, 6_000 + 20_100);
    bench.flush();
    let (mut counts, mut joined) = (std::collections::BTreeMap::new(), 0);
    for line in bench.written() {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        match words[..] {
            ["#0", "key", key, count, _] => {
                let decoded = count
                    .bytes()
                    .fold(0, |sum, byte| sum * 256 + u64::from(byte));
                counts.insert(key.to_owned(), decoded);
            }
            ["#1", "key", key, "event", "of", "key", name, _] => joined += u64::from(key == name),
            _ => {}
        }
    }
    assert_eq!(joined, 20_100);
    assert_eq!(counts.values().sum::<u64>(), 20_100);
}

#[test]
fn records_that_are_passed_over_move_the_position_and_no_time() {
    let mut bench = Bench::new(
        |app| {
            let timed =
                Topic::<String, String>::from("in").timestamp_by(|_, _, recorded| recorded - 100);
            app.stream(timed).to("out");
            app.stream(Topic::<String, u64>::from("numbers").on_bad_data(BadData::Skip))
                .to("out2");
        },
        &[],
    );
    bench.feed(0, &[("k", "early", 50), ("k", "v", 150)]);
    assert_eq!(bench.process(9).0, 2);
    assert_eq!(bench.positions(), [("in".into(), 2, 50)]);
    assert_eq!(
        (bench.task.counters().dropped, bench.task.counters().bad),
        (1, 0)
    );

    let mut bench = Bench::new(
        |app| {
            app.stream(Topic::<String, u64>::from("numbers").on_bad_data(BadData::Skip))
                .to("out")
        },
        &[],
    );
    bench.feed(0, &[("k", "no number", 900)]);
    assert_eq!(bench.process(9).0, 1);
    assert_eq!(bench.positions(), [("numbers".into(), 1, -1)]);
    assert_eq!(
        (bench.task.stream_time(), bench.task.counters().bad),
        (-1, 1)
    );
}

/// What is left of a batch is taken in a loop of its own: with one record asked for at a time it never is.
#[test]
fn records_of_a_batch_do_together_what_they_do_one_by_one() {
    let run = |records_max| {
        let mut bench = Bench::new(
            |app| {
                app.configure(TopologySettings {
                    on_error: OnError::DeadLetter("letters".into()),
                    ..TopologySettings::default()
                });
                let numbers = Topic::<String, i16>::from("numbers")
                    .timestamp_by(|_, _, recorded| recorded - 100)
                    .on_bad_data(BadData::DeadLetter("bad".into()));
                app.stream(numbers)
                    .map_values(|number| {
                        assert!(number != i16::from_be_bytes(*b"!!"), "it is refused");
                        number
                    })
                    .group_by_key()
                    .count("counts")
                    .to_stream()
                    .to("out");
            },
            &[],
        );
        let first = [("a", "aa", 150), ("b", "!!", 190), ("a", "no number", 900)];
        let second = [("c", "cc", 120), ("b", "early", 50), ("b", "bb", 50)];
        bench.feed(0, &first);
        bench.feed(0, &[second[0], second[1], second[2], ("a", "aa", 130)]);
        let mut steps = Vec::new();
        while let (records @ 1.., _) = bench.process(records_max) {
            steps.push(records);
        }
        bench.flush();
        let (time, counters) = (bench.task.stream_time(), bench.task.counters());
        let spent = bench.task.queued_bytes();
        (
            steps,
            (bench.written(), bench.positions(), time, counters, spent),
        )
    };
    let (one_by_one, alone) = run(1);
    assert_eq!(one_by_one, [1; 7]);
    for (records_max, wanted) in [(9, vec![7]), (7, vec![7]), (2, vec![2, 2, 2, 1])] {
        let (steps, together) = run(records_max);
        assert_eq!((steps, &together), (wanted, &alone));
    }
    let (written, positions, time, counters, spent) = alone;
    assert_eq!(positions, [("numbers".into(), 7, 90)]);
    assert_eq!((time, spent), (90, 0));
    assert_eq!(
        (counters.processed, counters.bad, counters.failed),
        (7, 2, 1)
    );
    assert_eq!(counters.dropped, 1, "one has a time before all times");
    let to = |topic: &str| {
        written
            .iter()
            .filter(|line| line.starts_with(topic))
            .count()
    };
    assert_eq!(
        (to("letters"), to("bad"), to("#0")),
        (1, 2, 2),
        "{written:?}"
    );
}

#[test]
fn an_error_within_a_batch_names_its_record() {
    let mut bench = Bench::new(
        |app| app.stream(Topic::<String, i16>::from("numbers")).to("out"),
        &[],
    );
    bench.feed(0, &[("a", "aa", 1), ("b", "bb", 2), ("c", "no number", 3)]);
    let (cache, output) = (&mut bench.cache, &mut bench.output);
    let error = bench.task.process(cache, output, 0, 9).unwrap_err();
    let said = format!("{error:?}");
    assert!(
        said.contains("numbers") && said.contains("offset: 2"),
        "{said}"
    );
    assert_eq!(bench.written(), ["#0 a aa @1", "#0 b bb @2"]);
}

#[test]
fn a_windowed_key_goes_to_the_partition_of_its_key() {
    let mut bench = Bench::new(
        |app| {
            let windows = TimeWindows::of(Duration::from_millis(10));
            let rows = app
                .stream::<String, String>("in")
                .group_by_key()
                .windowed_by(windows);
            rows.reduce(|_, new| new, "rows").to_stream().to("out");
        },
        &[],
    );
    bench.feed(0, &[("key", "v", 15)]);
    bench.process(9);
    assert_eq!(
        bench.written(),
        Vec::<String>::new(),
        "the record cache holds it until the flush"
    );
    bench.flush();
    let start = "\0\0\0\0\0\0\0\n";
    let changelog = format!("to 2 changelog 0 key{start}\0\0\0\0 v @15");
    assert_eq!(
        bench.written(),
        [changelog, format!("by key #0 key{start} v @15")]
    );
}

#[test]
fn the_partition_is_chosen_by_the_application_if_it_wants() {
    let chosen = |app: &App| {
        let out = Topic::<String, String>::from("out")
            .partition_by(|key, _, partitions| key.len() as u32 % partitions);
        app.stream("in").to(out);
        app.stream::<Option<String>, String>("in2")
            .map(|_, value| (None::<String>, value))
            .to("out2");
    };
    let mut bench = Bench::new(chosen, &[]);
    bench.feed(0, &[("sevenby", "v", 1)]);
    bench.process(9);
    assert_eq!(bench.written(), ["to 3 #0 sevenby v @1"]);
}

#[test]
fn an_abort_drops_what_was_not_committed() {
    let counted = |app: &App| {
        app.stream::<String, String>("in")
            .group_by_key()
            .reduce(|old, new| old + &new, "rows")
            .to_stream()
            .to("out");
    };
    let mut bench = Bench::new(counted, &[]);
    let commit = |bench: &mut Bench| {
        bench.flush();
        bench.task.seal().unwrap();
        bench
            .task
            .stores()
            .for_each(|(_, store)| store.commit(None).unwrap());
    };
    bench.feed(0, &[("k", "a", 1)]);
    bench.process(9);
    commit(&mut bench);
    bench.written();
    bench.feed(0, &[("k", "b", 2), ("k", "c", 3)]);
    bench.process(1);
    bench.flush();
    bench.process(1);
    bench.task.abort(&mut bench.cache);
    bench.flush();
    assert_eq!(
        bench.written(),
        ["to 2 changelog 0 k ab @2", "#0 k ab @2"],
        "the second update was only cached"
    );
    bench.task.seek(0, 1);
    bench.feed(0, &[("k", "b", 2), ("k", "c", 3)]);
    bench.process(9);
    bench.flush();
    assert_eq!(
        bench.written(),
        ["to 2 changelog 0 k abc @3", "#0 k abc @3"]
    );
}

#[test]
fn windows_stay_while_their_own_operator_takes_records() {
    // The task's time is ahead of the operator's: another input is, and expiry must not follow that one.
    let mut bench = Bench::new(
        |app| {
            let (slow, fast) = (
                app.stream::<String, String>("slow"),
                app.stream::<String, String>("fast"),
            );
            slow.merge(fast.filter(|_, _| false))
                .group_by_key()
                .windowed_by(TimeWindows::of(Duration::from_millis(10)))
                .reduce(|old, new| old + &new, "rows");
        },
        &[],
    );
    let commit = |bench: &mut Bench| {
        bench.flush();
        bench.task.seal().unwrap();
        bench
            .task
            .stores()
            .for_each(|(_, store)| store.commit(None).unwrap());
    };
    bench.feed(0, &[("k", "a", 1)]);
    bench.task.set_end(1, Some(0));
    bench.process(9);
    commit(&mut bench);
    bench.feed(1, &[("k", "x", 10_000_000)]);
    bench.process(9);
    commit(&mut bench);
    commit(&mut bench);
    bench.written();
    bench.feed(0, &[("k", "b", 2)]);
    bench.process(9);
    bench.flush();
    let written = bench.written();
    assert!(
        written.len() == 1 && written[0].ends_with(" ab @2"),
        "{written:?}"
    );
}
