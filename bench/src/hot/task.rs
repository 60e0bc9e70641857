//! A task of the count topology, fed by hand. Not the worker around it, nor the log: records go into plain batches.
//! Invariant: the record cache holds half the keys, as in the yardstick, so most updates evict.

use super::{BATCH_RECORDS, KEYS, batch, chunk, keys};
use crate::batches::Batches;
use anyhow::Result;
use headwater::log::TaskId;
use headwater::store::{Budget, RecordCache, Store};
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

pub(super) fn count(operations: u64) -> Result<()> {
    let (topology, world) = (topology()?, World::simulated(1).world);
    let (mut cache, mut output) = (RecordCache::new(CACHE_BYTES), Batches::default());
    let budget = Budget::new(64 << 20, 1 << 20);
    let mut stores = Vec::new();
    for (number, info) in topology.stores().enumerate() {
        let mut options = info.options.clone();
        options.engine = headwater::store::EngineKind::Memory;
        stores.push((number, Store::open(options, None, &budget, &world)?));
    }
    let id = TaskId {
        subtopology: 0,
        partition: 0,
    };
    let mut task = Task::new(&topology, id, stores, &[], &mut |_| 0, &mut cache)?;
    task.open(&mut cache, &mut output, 0)?;
    let keys = keys();
    let batches: Vec<Vec<u8>> = (0..KEYS / BATCH_RECORDS)
        .map(|number| batch(&keys, number))
        .collect();
    let mut offset = 0;
    while (offset as u64) < operations {
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
    assert!(
        task.counters().processed == operations,
        "operations are a multiple of the keys"
    );
    Ok(())
}
