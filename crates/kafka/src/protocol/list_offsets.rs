//! Offsets of partitions by time, and their ends.
//! Not a committed offset: those are a group's. Invariant: timestamp -1 is the end, -2 the beginning; one isolation level a request.
//! Source: `ListOffsetsRequest.json` and `ListOffsetsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};
use std::collections::BTreeMap;

/// `ListOffsetsRequest.LATEST_TIMESTAMP` and `EARLIEST_TIMESTAMP`.
pub(crate) const LATEST: i64 = -1;
pub(crate) const EARLIEST: i64 = -2;

/// `IsolationLevel`.
pub(crate) const READ_UNCOMMITTED: i8 = 0;
pub(crate) const READ_COMMITTED: i8 = 1;

request!(2, "ListOffsets", ListOffsetsRequest => ListOffsetsResponse, 7..=11, 6);

message! {
    struct ListOffsetsRequest {
        replica_id: i32,
        isolation_level: i8,
        topics: Vec<ListOffsetsTopic>,
        timeout_ms: i32 [10..],
    }

    struct ListOffsetsTopic {
        name: String,
        partitions: Vec<ListOffsetsPartition>,
    }

    struct ListOffsetsPartition {
        partition_index: i32,
        current_leader_epoch: i32 = -1,
        timestamp: i64,
    }

    struct ListOffsetsResponse {
        throttle_time_ms: i32,
        topics: Vec<ListOffsetsTopicResponse>,
    }

    struct ListOffsetsTopicResponse {
        name: String,
        partitions: Vec<ListOffsetsPartitionResponse>,
    }

    struct ListOffsetsPartitionResponse {
        partition_index: i32,
        error_code: ErrorCode,
        timestamp: i64 = -1,
        offset: i64 = -1,
        leader_epoch: i32 = -1,
    }
}

impl ListOffsetsRequest {
    /// Asks for the offset at a time, or at [`LATEST`] or [`EARLIEST`], of each topic's partition: `(topic, partition, time)`.
    pub(crate) fn of<'a>(
        asked: impl Iterator<Item = (&'a str, i32, i64)>,
        isolation_level: i8,
        timeout_ms: i32,
    ) -> Self {
        let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (topic, partition_index, timestamp) in asked {
            let partition = ListOffsetsPartition {
                partition_index,
                timestamp,
                ..ListOffsetsPartition::default()
            };
            topics.entry(topic).or_default().push(partition);
        }
        let topics = topics.into_iter();
        Self {
            replica_id: -1,
            isolation_level,
            topics: topics
                .map(|(name, partitions)| ListOffsetsTopic {
                    name: name.into(),
                    partitions,
                })
                .collect(),
            timeout_ms,
        }
    }
}
