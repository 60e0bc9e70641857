//! What a record costs in allocations: nothing of the engine's own, for types that allocate nothing.
//! Not a speed test. Invariant: what is counted is the difference between two lengths of run, so that setting up costs nothing.

use headwater_log::batch::{BatchBuilder, set_base_offset};
use headwater_log::{AppendRecord, Chunk, HeadersRef, Slot, TaskId, TopicPartition};
use headwater_store::{Budget, EngineKind, RecordCache, Store};
use headwater_streams::{App, Output, Result, Route, Task, Topology};
use headwater_world::World;
use std::sync::Arc;

/// Throws away what a task writes.
struct Nowhere;

impl Output for Nowhere {
    fn send(&mut self, _: u32, _: Route<'_>, _: &AppendRecord<'_>) -> Result<()> {
        Ok(())
    }

    fn send_to(&mut self, _: &str, _: Route<'_>, _: &AppendRecord<'_>) -> Result<()> {
        Ok(())
    }

    fn changelog(&mut self, _: usize, _: u32, _: &AppendRecord<'_>) -> Result<()> {
        Ok(())
    }

    fn partitions(&mut self, _: u32) -> Result<u32> {
        Ok(1)
    }

    fn partitions_of(&mut self, _: &str) -> Result<u32> {
        Ok(1)
    }
}

fn chunk(records: u64, offset: i64) -> Chunk {
    let mut batch = BatchBuilder::default();
    for number in 0..records {
        batch.append(&AppendRecord {
            timestamp: number as i64,
            key: Some(&(number % 100).to_be_bytes()),
            value: Some(&number.to_be_bytes()),
            headers: HeadersRef::NONE,
        });
    }
    let mut bytes = batch.finish();
    set_base_offset(&mut bytes, offset);
    Chunk {
        partition: TopicPartition::new("in", 0),
        slot: Slot(0),
        position: offset,
        next_offset: offset + records as i64,
        end_offset: i64::MAX,
        bytes,
        aborted: Vec::new(),
    }
}

/// Allocations of a task that processes `records` records over 100 keys that it has seen before.
fn allocations(topology: &Arc<Topology>, records: u64) -> u64 {
    let world = World::simulated(1).world;
    let (mut cache, mut output) = (RecordCache::new(1 << 20), Nowhere);
    let budget = Budget::new(64 << 20, 1 << 20);
    let stores = topology.stores().enumerate().map(|(number, info)| {
        let mut options = info.options;
        options.engine = EngineKind::Memory;
        (number, Store::open(options, None, &budget, &world).unwrap())
    });
    let stores = stores.collect();
    let id = TaskId {
        subtopology: 0,
        partition: 0,
    };
    let mut task = Task::new(topology, id, stores, &[], &mut |_| 0, &mut cache).unwrap();
    task.open(&mut cache, &mut output, 0).unwrap();
    task.add_chunk(0, chunk(10_000, 0));
    while task
        .process(&mut cache, &mut output, 0, 1_000)
        .unwrap()
        .records
        > 0
    {}
    task.add_chunk(0, chunk(records, 10_000));
    let counted = allocation_counter::measure(|| {
        while task
            .process(&mut cache, &mut output, 0, 1_000)
            .unwrap()
            .records
            > 0
        {}
    });
    assert_eq!(task.counters().processed, 10_000 + records);
    counted.count_total
}

#[track_caller]
fn check(build: impl FnOnce(&App)) {
    check_costs(0, build);
}

/// `expected` are the allocations of the types and closures themselves, for each record.
#[track_caller]
fn check_costs(expected: u64, build: impl FnOnce(&App)) {
    let app = App::new("app");
    build(&app);
    let topology = Arc::new(app.build().unwrap());
    let (few, many) = (
        allocations(&topology, 1_000),
        allocations(&topology, 101_000),
    );
    assert!(
        many <= few + 100_000 * expected + 100,
        "100,000 more records cost {} more allocations",
        many - few
    );
}

#[test]
fn four_operators_and_a_sink_allocate_nothing_for_a_record() {
    check(|app| {
        app.stream::<u64, u64>("in")
            .filter(|_, number| number % 7 != 6)
            .map_values(|number| number * 2)
            .map(|key, number| (key + 1, number))
            .peek(|_, number| assert!(number % 2 == 0))
            .to("out");
    });
}

#[test]
fn a_count_without_the_record_cache_allocates_nothing_for_a_record() {
    check(|app| {
        app.stream::<u64, u64>("in")
            .group_by_key()
            .count(headwater_streams::Store::from("counts").without_cache())
            .to_stream()
            .to("out");
    });
}

#[test]
fn a_count_in_the_record_cache_allocates_nothing_for_a_record() {
    check(|app| {
        app.stream::<u64, u64>("in")
            .group_by_key()
            .count("counts")
            .to_stream()
            .to("out");
    });
}

#[test]
fn the_last_of_several_values_takes_the_key_itself() {
    // One key is decoded, and two are copied.
    check_costs(3, |app| {
        app.stream::<String, u64>("in")
            .flat_map_values(|number| [number, number + 1, number + 2])
            .to("out");
    });
}
