//! How an embedded log behaves, and the limits of its parts. Not topic settings: see [`super::policy`].
//! Invariant: every limit is here, with its unit.

/// How an [`super::EmbeddedLog`] behaves.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Bytes of a journal file before the log starts the next one and begins a checkpoint.
    pub journal_file_bytes_max: u64,
    /// Default of the topic setting `segment.bytes`.
    pub segment_bytes: u64,
    /// Bytes at which a client seals the open batch of a partition; a larger record is a batch of its own.
    pub batch_bytes: usize,
    /// Bytes of the largest record.
    pub record_bytes_max: usize,
    /// Segment files kept open.
    pub open_files_max: usize,
    /// Requests that may wait for the log's thread, of all clients.
    pub queue_requests_max: usize,
    /// Time between two looks for expired, deletable and compactable segments.
    pub maintenance_interval_ms: u64,
    /// Bytes of keys (with 24 bytes of overhead each) that one compaction may remember; a run stops at the segment that fills it.
    pub compaction_bytes_max: usize,
    /// Opens a journal whose end lost entries that had been acknowledged, without them. Only for a directory that has no backup.
    pub accept_lost_commits: bool,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            journal_file_bytes_max: 64 << 20,
            segment_bytes: 256 << 20,
            batch_bytes: 1 << 20,
            record_bytes_max: 16 << 20,
            open_files_max: 512,
            queue_requests_max: 4096,
            maintenance_interval_ms: 30_000,
            compaction_bytes_max: 128 << 20,
            accept_lost_commits: false,
        }
    }
}

/// Bytes of batches that one journal entry gathers from several commits; one larger commit still goes whole.
pub(super) const ENTRY_BYTES_MAX: usize = 16 << 20;
/// Bytes of batches of one commit: an entry's length is a 32-bit number, and an entry is held in memory whole.
pub(super) const COMMIT_BYTES_MAX: usize = 1 << 30;
/// The journal file may grow to this many times its limit while a checkpoint runs; then commits wait for it.
pub(super) const JOURNAL_OVERRUN_MAX: u64 = 8;
/// Bytes of a segment file: positions in Kafka's index are signed 32-bit numbers.
pub(super) const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;
/// Bytes between two entries of an index that is built anew; Kafka's default of `index.interval.bytes`.
pub(super) const INDEX_INTERVAL_BYTES: u64 = 4096;
/// Bytes read at once when a segment is walked.
pub(super) const WALK_BYTES: usize = 1 << 20;
/// ms between two looks of the group coordinator at expired members and open assignments.
pub(super) const COORDINATOR_TICK_MS: u64 = 100;
/// ms between two heartbeats of a member; they cost one lock.
pub(super) const HEARTBEAT_MS: u64 = 100;
/// Warnings kept for [`super::EmbeddedLog::warnings`]; later ones only go to stderr.
pub(super) const WARNINGS_MAX: usize = 1000;
