//! Byte budgets of the process. Not an allocator. Invariant: counters follow what stores report, and never wrap.

use std::sync::Arc;

/// Process-wide byte budgets, shared by every store.
pub struct Budget {
    write_back_bytes_max: usize,
}

impl Budget {
    /// Budgets for all write-back caches together and for the engines' block cache.
    pub fn new(write_back_bytes_max: usize, block_cache_bytes: usize) -> Arc<Self> {
        let _ = block_cache_bytes;
        Arc::new(Self {
            write_back_bytes_max,
        })
    }

    pub(crate) fn write_back_bytes_max(&self) -> usize {
        self.write_back_bytes_max
    }
}
