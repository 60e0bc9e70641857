//! Where a task's records go. Implemented by the runtime over a log's client and by the test driver over vectors.
//! Not a queue: an implementation encodes into its open batch before it returns.
//! Invariant: records of one call order stay in that order per partition.

use crate::Result;
use headwater_log::AppendRecord;

/// How the partition of a record is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// By the hash of these bytes, as Kafka's default partitioner does.
    Key(&'a [u8]),
    /// Any: the record has no key.
    Any,
    /// This one.
    Partition(u32),
}

/// Takes the records a task writes.
pub trait Output {
    /// A record for the topology's output topic number `topic` (see `Topology::output_topics`).
    fn send(&mut self, topic: u32, route: Route<'_>, record: &AppendRecord<'_>) -> Result<()>;
    /// A record for a topic that the topology does not name.
    fn send_to(&mut self, topic: &str, route: Route<'_>, record: &AppendRecord<'_>) -> Result<()>;
    /// A record for the changelog of store number `store`, in the task's partition.
    fn changelog(&mut self, store: usize, partition: u32, record: &AppendRecord<'_>) -> Result<()>;
    /// How many partitions output topic number `topic` has.
    fn partitions(&mut self, topic: u32) -> Result<u32>;
    /// How many partitions a topic has that the topology does not name.
    fn partitions_of(&mut self, topic: &str) -> Result<u32>;
}
