//! Byte budgets of the process: write-back caches, block cache, file descriptors, the compaction thread. Not an allocator:
//! stores report what they use. Invariant: the counters are the sums of what open stores last reported.

use crate::{compactor::Compactor, engine::disk::Blank};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Files of all trees that stay open; others are opened when read.
const OPEN_FILES_MAX: usize = 256;

/// Process-wide byte budgets, shared by every store.
pub struct Budget {
    write_back_bytes_max: usize,
    dirty_bytes: AtomicUsize,
    clean_bytes: AtomicUsize,
    stores: AtomicUsize,
    block_cache: Arc<lsm_tree::Cache>,
    descriptors: Arc<lsm_tree::DescriptorTable>,
    compactor: Compactor,
    blank: OnceLock<Blank>,
}

/// What one store uses.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) dirty_bytes: usize,
    pub(crate) clean_bytes: usize,
}

impl Budget {
    /// Budgets for all write-back caches together and for the engines' block cache.
    pub fn new(write_back_bytes_max: usize, block_cache_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            write_back_bytes_max,
            dirty_bytes: AtomicUsize::new(0),
            clean_bytes: AtomicUsize::new(0),
            stores: AtomicUsize::new(0),
            block_cache: Arc::new(lsm_tree::Cache::with_capacity_bytes(
                block_cache_bytes as u64,
            )),
            descriptors: Arc::new(lsm_tree::DescriptorTable::new(OPEN_FILES_MAX)),
            compactor: Compactor::default(),
            blank: OnceLock::new(),
        })
    }

    /// Bytes in all write-back caches that no checkpoint holds.
    pub fn dirty_bytes(&self) -> usize {
        self.dirty_bytes.load(Relaxed)
    }

    /// Bytes in all write-back caches.
    pub fn write_back_bytes(&self) -> usize {
        self.dirty_bytes() + self.clean_bytes.load(Relaxed)
    }

    /// True when no compaction runs or waits.
    pub fn is_compaction_idle(&self) -> bool {
        self.compactor.is_idle()
    }

    /// True when the write-back caches use nine tenths of their budget.
    pub(crate) fn is_full(&self) -> bool {
        self.write_back_bytes() > self.write_back_bytes_max / 10 * 9
    }

    pub(crate) fn store_opened(&self) {
        self.stores.fetch_add(1, Relaxed);
    }

    pub(crate) fn store_closed(&self, reported: Usage) {
        self.stores.fetch_sub(1, Relaxed);
        self.report(reported, Usage::default());
    }

    /// A store that used `before` uses `after`.
    pub(crate) fn report(&self, before: Usage, after: Usage) {
        // Wrapping adds of a difference: each counter is a sum of non-negative parts, so the total is right.
        self.dirty_bytes
            .fetch_add(after.dirty_bytes.wrapping_sub(before.dirty_bytes), Relaxed);
        self.clean_bytes
            .fetch_add(after.clean_bytes.wrapping_sub(before.clean_bytes), Relaxed);
    }

    /// True when a store with so many dirty bytes should write a checkpoint: half of the budget is dirty, and it has at
    /// least the average of it; or it alone has half. The other half keeps what is read.
    pub(crate) fn wants_checkpoint(&self, dirty_bytes: usize) -> bool {
        let dirty_max = self.write_back_bytes_max / 2;
        let total = self.dirty_bytes();
        dirty_bytes > dirty_max
            || (total > dirty_max
                && dirty_bytes > 0
                && dirty_bytes >= total / self.stores.load(Relaxed).max(1))
    }

    /// How many clean bytes a store should evict: what the caches are over budget, but no store below its even share.
    pub(crate) fn excess_bytes(&self, usage: Usage) -> usize {
        let over = self
            .write_back_bytes()
            .saturating_sub(self.write_back_bytes_max);
        let share = self.write_back_bytes_max / self.stores.load(Relaxed).max(1);
        over.min((usage.dirty_bytes + usage.clean_bytes).saturating_sub(share))
    }

    pub(crate) fn block_cache(&self) -> Arc<lsm_tree::Cache> {
        self.block_cache.clone()
    }

    pub(crate) fn descriptors(&self) -> Arc<lsm_tree::DescriptorTable> {
        self.descriptors.clone()
    }

    /// What a tree without entries consists of, once the process has made one.
    pub(crate) fn blank(&self) -> &OnceLock<Blank> {
        &self.blank
    }

    pub(crate) fn compactor(&self) -> &Compactor {
        &self.compactor
    }
}
