//! Counters of a store. Not metrics: the runtime publishes them. Invariant: counters only grow while the store is open.

/// What a checkpoint wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointStats {
    /// Entries written, deletions included.
    pub entries: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
}

/// Plain counters of a store since it was opened, and its sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Point reads by the owner.
    pub gets: u64,
    /// Point reads answered by an overlay.
    pub overlay_hits: u64,
    /// Point reads answered by the write-back cache.
    pub write_back_hits: u64,
    /// Point reads that reached the engine.
    pub engine_gets: u64,
    /// Puts and deletes.
    pub puts: u64,
    /// Range reads by the owner.
    pub scans: u64,
    /// Changelog records applied.
    pub restored: u64,
    /// Writes dropped because their segment or version was beyond retention.
    pub expired: u64,
    /// Keys an LRU store gave up.
    pub evicted: u64,
    /// Segments dropped because they were beyond retention.
    pub segments_dropped: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Entries written by checkpoints.
    pub checkpoint_entries: u64,
    /// Bytes of keys and values written by checkpoints.
    pub checkpoint_bytes: u64,
    /// Bytes of uncommitted changes.
    pub overlay_bytes: usize,
    /// Entries in the write-back cache that no checkpoint holds yet.
    pub dirty_entries: usize,
    /// Bytes in the write-back cache that no checkpoint holds yet.
    pub dirty_bytes: usize,
    /// Bytes in the write-back cache that the engine holds as well.
    pub clean_bytes: usize,
    /// Bytes in the engine, about; of a segmented store, of the segments in use.
    pub disk_bytes: u64,
    /// Segments of the engine.
    pub segments: usize,
}
