//! Forgets a group's offsets.
//! Not for groups with active members on those topics. Invariant: never flexible, in no version.
//! Source: `OffsetDeleteRequest.json` and `OffsetDeleteResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(47, "OffsetDelete", OffsetDeleteRequest => OffsetDeleteResponse, 0..=0, i16::MAX);

message! {
    struct OffsetDeleteRequest {
        group_id: String,
        topics: Vec<OffsetDeleteRequestTopic>,
    }

    struct OffsetDeleteRequestTopic {
        name: String,
        partitions: Vec<OffsetDeleteRequestPartition>,
    }

    struct OffsetDeleteRequestPartition {
        partition_index: i32,
    }

    struct OffsetDeleteResponse {
        error_code: ErrorCode,
        throttle_time_ms: i32,
        topics: Vec<OffsetDeleteResponseTopic>,
    }

    struct OffsetDeleteResponseTopic {
        name: String,
        partitions: Vec<OffsetDeleteResponsePartition>,
    }

    struct OffsetDeleteResponsePartition {
        partition_index: i32,
        error_code: ErrorCode,
    }
}
