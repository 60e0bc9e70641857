//! A group's offsets outside a transaction.
//! Not part of a transaction. Invariant: from version 10 on topics are ids.
//! Source: `OffsetCommitRequest.json` and `OffsetCommitResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, Uuid, message, request};

request!(8, "OffsetCommit", OffsetCommitRequest => OffsetCommitResponse, 8..=10, 8);

message! {
    struct OffsetCommitRequest {
        group_id: String,
        generation_id_or_member_epoch: i32 = -1,
        member_id: String,
        group_instance_id: Option<String>,
        topics: Vec<OffsetCommitRequestTopic>,
    }

    struct OffsetCommitRequestTopic {
        name: String [..=9],
        topic_id: Uuid [10..],
        partitions: Vec<OffsetCommitRequestPartition>,
    }

    struct OffsetCommitRequestPartition {
        partition_index: i32,
        committed_offset: i64,
        committed_leader_epoch: i32 = -1,
        committed_metadata: Option<String>,
    }

    struct OffsetCommitResponse {
        throttle_time_ms: i32,
        topics: Vec<OffsetCommitResponseTopic>,
    }

    struct OffsetCommitResponseTopic {
        name: String [..=9],
        topic_id: Uuid [10..],
        partitions: Vec<OffsetCommitResponsePartition>,
    }

    struct OffsetCommitResponsePartition {
        partition_index: i32,
        error_code: ErrorCode,
    }
}
