//! Where an epoch of a partition's leader ended, to find truncation (KIP-320).
//! Not a time index. Invariant: an end offset of -1 is unknown.
//! Source: `OffsetForLeaderEpochRequest.json` and `OffsetForLeaderEpochResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(23, "OffsetForLeaderEpoch", OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse, 4..=4, 4);

message! {
    struct OffsetForLeaderEpochRequest {
        replica_id: i32 = -2,
        topics: Vec<OffsetForLeaderTopic>,
    }

    struct OffsetForLeaderTopic {
        topic: String,
        partitions: Vec<OffsetForLeaderPartition>,
    }

    struct OffsetForLeaderPartition {
        partition: i32,
        current_leader_epoch: i32 = -1,
        leader_epoch: i32,
    }

    struct OffsetForLeaderEpochResponse {
        throttle_time_ms: i32,
        topics: Vec<OffsetForLeaderTopicResult>,
    }

    struct OffsetForLeaderTopicResult {
        topic: String,
        partitions: Vec<EpochEndOffset>,
    }

    struct EpochEndOffset {
        error_code: ErrorCode,
        partition: i32,
        leader_epoch: i32 = -1,
        end_offset: i64 = -1,
    }
}
