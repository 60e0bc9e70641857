//! The engine alone: records decoded, taken through four operators and a count in a store in memory, and encoded again.
//! No log, no worker and no disk: what a task itself costs, in CPU time. Invariant: every key's count is checked before a figure is printed.

use crate::batches::Batches;
use crate::process::cpu_seconds;
use anyhow::{Result, ensure};
use clap::Args;
use headwater::log::batch::BatchBuilder;
use headwater::log::{AppendRecord, Chunk, HeadersRef, Slot, TaskId, TopicPartition};
use headwater::store::{Budget, EngineKind, RecordCache, Store};
use headwater::world::World;
use headwater::{App, Topology};
use headwater_streams::Task;
use std::hint::black_box;
use std::sync::Arc;

const BATCH_RECORDS: u64 = 500;

/// Options of the engine's yardstick.
#[derive(Args)]
pub(crate) struct Options {
    /// Records of one run.
    #[arg(long, default_value_t = 5_000_000)]
    records: u64,
    /// Different keys.
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Runs; the median is what counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Without the store's changelog, which the count writes otherwise.
    #[arg(long)]
    no_changelog: bool,
}

fn topology(changelog: bool) -> Result<Arc<Topology>> {
    let app = App::new("engine");
    let store = headwater::Store::from("counts").in_memory().without_cache();
    let store = if changelog {
        store
    } else {
        store.without_changelog()
    };
    app.stream::<u64, u64>("numbers")
        .filter(|_, number| number % 1_000_003 != 1_000_002)
        .map_values(|number| number.wrapping_mul(31))
        .filter_not(|key, number| key.wrapping_add(*number) == u64::MAX)
        .map_values(|number| number ^ 7)
        .group_by_key()
        .count(store)
        .to_stream()
        .to("counts-out");
    Ok(Arc::new(app.build()?))
}

/// Runs and prints nanoseconds a record.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut figures = Vec::new();
    for run in 0..options.runs {
        let nanos = one(options)?;
        println!("{{\"job\":\"engine\",\"run\":{run},\"nanos_per_record\":{nanos:.1}}}");
        figures.push(nanos);
    }
    figures.sort_by(f64::total_cmp);
    println!(
        "engine: {:.1} ns a record, median of {} runs ({:.1} to {:.1}), {} records, {} keys, changelog {}",
        figures[figures.len() / 2],
        figures.len(),
        figures[0],
        figures[figures.len() - 1],
        options.records,
        options.keys,
        if options.no_changelog { "off" } else { "on" },
    );
    Ok(())
}

fn one(options: &Options) -> Result<f64> {
    let (topology, world) = (topology(!options.no_changelog)?, World::simulated(1).world);
    let (mut cache, mut output) = (RecordCache::new(0), Batches::default());
    let budget = Budget::new(256 << 20, 1 << 20);
    let mut stores = Vec::new();
    for (number, info) in topology.stores().enumerate() {
        let mut store = info.options;
        store.engine = EngineKind::Memory;
        stores.push((number, Store::open(store, None, &budget, &world)?));
    }
    let id = TaskId {
        subtopology: 0,
        partition: 0,
    };
    let mut task = Task::new(&topology, id, stores, &[], &mut |_| 0, &mut cache)?;
    task.open(&mut cache, &mut output, 0)?;
    let batches: Vec<Vec<u8>> = (0..options.keys / BATCH_RECORDS)
        .map(|number| batch(options.keys, number))
        .collect();
    let begun = cpu_seconds();
    let mut offset = 0_i64;
    let rounds = options.records / options.keys;
    for _ in 0..rounds {
        for bytes in &batches {
            task.add_chunk(0, chunk(bytes.clone(), offset));
            offset += BATCH_RECORDS as i64;
        }
        while task
            .process(&mut cache, &mut output, 0, usize::MAX)?
            .records
            > 0
        {}
        task.flush(&mut cache, &mut output)?;
        task.seal()?;
        task.stores()
            .try_for_each(|(_, store)| store.commit(Some(offset)))?;
        task.take_spent(|chunk| drop(black_box(chunk)));
        black_box((output.output.len(), output.changelog.len()));
        output.output.clear();
        output.changelog.clear();
    }
    let spent = cpu_seconds() - begun;
    let mut value = Vec::new();
    for key in 0..options.keys {
        for (_, store) in task.stores() {
            ensure!(
                store.get(&key.to_be_bytes(), &mut value)?,
                "no count of {key}"
            );
            ensure!(value[8..] == rounds.to_be_bytes(), "wrong count of {key}");
        }
    }
    Ok(spent * 1e9 / (rounds * options.keys) as f64)
}

/// Keys in an order that jumps about.
fn batch(keys: u64, number: u64) -> Vec<u8> {
    let mut batch = BatchBuilder::default();
    for record in 0..BATCH_RECORDS {
        let key = (number * BATCH_RECORDS + record).wrapping_mul(7_919) % keys;
        batch.append(&AppendRecord {
            timestamp: 1_000,
            key: Some(&key.to_be_bytes()),
            value: Some(&record.to_be_bytes()),
            headers: HeadersRef::NONE,
        });
    }
    batch.finish()
}

fn chunk(mut bytes: Vec<u8>, offset: i64) -> Chunk {
    headwater::log::batch::set_base_offset(&mut bytes, offset);
    Chunk {
        partition: TopicPartition::new("numbers", 0),
        slot: Slot(0),
        position: offset,
        next_offset: offset + BATCH_RECORDS as i64,
        end_offset: i64::MAX,
        bytes,
        aborted: Vec::new(),
    }
}
