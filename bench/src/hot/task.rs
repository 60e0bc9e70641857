//! Tasks that are fed by hand, and the count. Not the worker around them, nor the log: records go into plain batches.
//! Invariant: the count's record cache holds half the keys, as in the yardstick, so most updates evict.

use super::{BATCH_RECORDS, KEYS, batch, chunk, keys};
use crate::batches::Batches;
use anyhow::{Context, Result};
use headwater::log::TaskId;
use headwater::store::{Budget, EngineKind, RecordCache, Store};
use headwater::world::World;
use headwater::{App, Topology};
use headwater_streams::Task;
use std::hint::black_box;
use std::sync::Arc;

/// About half of [`KEYS`] entries of the count.
const CACHE_BYTES: usize = 160 << 10;

/// The topology of the count yardstick.
pub(super) fn topology() -> Result<Arc<Topology>> {
    let app = App::new("hot");
    app.stream::<Vec<u8>, Vec<u8>>("events")
        .group_by_key()
        .count("counts")
        .to_stream()
        .to("counts-out");
    Ok(Arc::new(app.build()?))
}

/// A task of the first sub-topology, with its stores in memory.
pub(super) struct Fed {
    pub(super) task: Task,
    cache: RecordCache,
    output: Batches,
}

impl Fed {
    pub(super) fn open(topology: &Arc<Topology>, cache_bytes: usize) -> Result<Self> {
        let (mut cache, mut output) = (RecordCache::new(cache_bytes), Batches::default());
        let (budget, world) = (Budget::new(64 << 20, 1 << 20), World::simulated(1).world);
        let part = topology.subtopology(0).context("no sub-topology")?;
        let mut stores = Vec::new();
        for (number, info) in topology.stores().enumerate() {
            if part.stores.contains(&number) {
                let mut options = info.options.clone();
                options.engine = EngineKind::Memory;
                stores.push((number, Store::open(options, None, &budget, &world)?));
            }
        }
        let id = TaskId {
            subtopology: 0,
            partition: 0,
        };
        let mut task = Task::new(topology, id, stores, &[], &mut |_| 0, &mut cache)?;
        task.open(&mut cache, &mut output, 0)?;
        Ok(Self {
            task,
            cache,
            output,
        })
    }

    /// All that was added.
    pub(super) fn process(&mut self) -> Result<()> {
        let Self {
            task,
            cache,
            output,
        } = self;
        while task.process(cache, output, 0, usize::MAX)?.records > 0 {}
        task.take_spent(|chunk| drop(black_box(chunk)));
        Ok(())
    }

    pub(super) fn commit(&mut self, offset: i64) -> Result<()> {
        let Self {
            task,
            cache,
            output,
        } = self;
        task.flush(cache, output)?;
        task.seal()?;
        task.stores()
            .try_for_each(|(_, store)| store.commit(Some(offset)))?;
        black_box((output.output.len(), output.changelog.len()));
        output.output.clear();
        output.changelog.clear();
        Ok(())
    }
}

pub(super) fn count(operations: u64) -> Result<()> {
    let mut fed = Fed::open(&topology()?, CACHE_BYTES)?;
    let keys = keys();
    let batches: Vec<Vec<u8>> = (0..KEYS / BATCH_RECORDS)
        .map(|number| batch(&keys, number))
        .collect();
    let mut offset = 0;
    while (offset as u64) < operations {
        for bytes in &batches {
            fed.task.add_chunk(0, chunk(bytes.clone(), offset));
            offset += BATCH_RECORDS as i64;
        }
        fed.process()?;
        fed.commit(offset)?;
    }
    assert!(
        fed.task.counters().processed == operations,
        "operations are a multiple of the keys"
    );
    Ok(())
}
