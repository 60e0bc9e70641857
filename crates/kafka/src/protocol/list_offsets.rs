//! Offsets of partitions by time, and their ends.
//! Not a committed offset: those are a group's. Invariant: timestamp -1 is the end, -2 the beginning; one isolation level a request.
//! Source: `ListOffsetsRequest.json` and `ListOffsetsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

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
