//! The store's layers and the record cache, one at a time. Not the disk engine, whose files are the library's.
//! Invariant: setup fills the layer that is asked; operations only go through it.

use super::{KEYS, keys};
use anyhow::Result;
use headwater::store::{Budget, Entry, RecordCache, Store, StoreOptions};
use headwater::world::World;
use std::hint::black_box;

/// Larger than anything here grows.
const BUDGET_BYTES: usize = 64 << 20;

fn store() -> Result<Store> {
    let world = World::simulated(1).world;
    Ok(Store::open(
        StoreOptions::named("hot"),
        None,
        &Budget::new(BUDGET_BYTES, 1 << 20),
        &world,
    )?)
}

fn fill(store: &mut Store, keys: &[Vec<u8>]) -> Result<()> {
    keys.iter().try_for_each(|key| store.put(key, &[1; 16]))?;
    Ok(())
}

pub(super) fn put(operations: u64) -> Result<()> {
    let (keys, mut store) = (keys(), store()?);
    for number in 0..operations {
        store.put(&keys[(number % KEYS) as usize], &[2; 16])?;
        if (number + 1) % KEYS == 0 {
            store.seal();
            store.commit(Some(number as i64))?;
        }
    }
    Ok(())
}

pub(super) fn get_overlay(operations: u64) -> Result<()> {
    let (keys, mut store) = (keys(), store()?);
    fill(&mut store, &keys)?;
    get(&store, &keys, operations)
}

pub(super) fn get_write_back(operations: u64) -> Result<()> {
    let (keys, mut store) = (keys(), store()?);
    fill(&mut store, &keys)?;
    store.seal();
    store.commit(Some(1))?;
    get(&store, &keys, operations)
}

fn get(store: &Store, keys: &[Vec<u8>], operations: u64) -> Result<()> {
    let mut value = Vec::new();
    for number in 0..operations {
        let found = store.get(&keys[(number % KEYS) as usize], &mut value)?;
        assert!(found && value.len() == 16, "every key was put before");
    }
    Ok(())
}

pub(super) fn cache_hit(operations: u64) -> Result<()> {
    let mut cache = RecordCache::new(BUDGET_BYTES);
    update(&mut cache, operations);
    Ok(())
}

pub(super) fn cache_evict(operations: u64) -> Result<()> {
    // Half the keys fit and they come in turn: every update misses and evicts the eldest.
    let entry_bytes = 11 + 25 + 16 + 8 + 8 + 6 + 4;
    let mut cache = RecordCache::new(entry_bytes * KEYS as usize / 2);
    update(&mut cache, operations);
    Ok(())
}

fn update(cache: &mut RecordCache, operations: u64) {
    let (keys, slot) = (keys(), cache.add_store());
    for number in 0..operations {
        let cause = Entry {
            timestamp: number as i64,
            context_len: 6,
            offset: number as i64,
            ..Entry::default()
        };
        cache.put_slice(
            slot,
            &keys[(number % KEYS) as usize],
            Some(&[3; 16]),
            &cause,
        );
        while cache.over_budget(slot) {
            cache.evict(slot, &mut |key, entry| {
                black_box((key, entry));
            });
        }
    }
}
