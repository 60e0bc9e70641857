//! Retention: which segments have outlived `retention.ms` or `retention.bytes`. Not their removal: a journal entry moves the start.
//! Invariant: the start moves by whole segments, oldest first.

use super::{
    core::Core,
    partition::Partition,
    policy::Policy,
    queue::{Submission, Work},
};
use crate::{Offset, Ticket};

impl Core {
    /// Asks for the removal of expired segments; true when there were any.
    pub(super) fn retain(&self) -> bool {
        let now_ms = self.world.clock.now_ms();
        let mut starts = Vec::new();
        for topic in self.state.topics() {
            if !topic.policy.delete {
                continue;
            }
            for partition in &topic.partitions {
                if let Some(start) = expired(partition, &topic.policy, now_ms) {
                    starts.push((partition.name.clone(), start));
                }
            }
        }
        if starts.is_empty() {
            return false;
        }
        self.submit_own(Submission {
            mailbox: None,
            ticket: Ticket(0),
            work: Work::Expire(starts),
        });
        true
    }
}

/// Where the partition should begin, when that is later than it does.
fn expired(partition: &Partition, policy: &Policy, now_ms: i64) -> Option<Offset> {
    let segments = partition.segments();
    let mut bytes: u64 = segments.iter().map(|segment| segment.bytes()).sum();
    let mut start = None;
    // Age is counted from the newest record where that is older than the clock: a history that is replayed years later must
    // not lose its windows while it is read. Kafka counts from the clock alone.
    let newest = segments.iter().map(|segment| segment.max_timestamp()).max();
    let now_ms = now_ms.min(newest.unwrap_or(now_ms));
    for (number, segment) in segments.iter().enumerate() {
        let last = number + 1 == segments.len();
        let old = policy.retention_ms.is_some_and(|retention_ms| {
            segment.max_timestamp() >= 0
                && now_ms.saturating_sub(segment.max_timestamp()) > retention_ms
        });
        // By size only while what stays is still as much as the limit, and never the segment that grows: Kafka's rule.
        let over = policy
            .retention_bytes
            .is_some_and(|limit| !last && bytes - segment.bytes() >= limit);
        if !old && !over {
            break;
        }
        bytes -= segment.bytes();
        start = Some(segment.end().min(partition.end()));
    }
    start.filter(|start| *start > partition.start())
}
