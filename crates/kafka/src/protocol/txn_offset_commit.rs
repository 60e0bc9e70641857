//! A group's offsets as part of a transaction.
//! Not durable by itself: the end of the transaction decides. Invariant: the member is checked here and not at the end of the transaction.
//! Source: `TxnOffsetCommitRequest.json` and `TxnOffsetCommitResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(28, "TxnOffsetCommit", TxnOffsetCommitRequest => TxnOffsetCommitResponse, 3..=5, 3);

message! {
    struct TxnOffsetCommitRequest {
        transactional_id: String,
        group_id: String,
        producer_id: i64,
        producer_epoch: i16,
        generation_id: i32 = -1,
        member_id: String,
        group_instance_id: Option<String>,
        topics: Vec<TxnOffsetCommitRequestTopic>,
    }

    struct TxnOffsetCommitRequestTopic {
        name: String,
        partitions: Vec<TxnOffsetCommitRequestPartition>,
    }

    struct TxnOffsetCommitRequestPartition {
        partition_index: i32,
        committed_offset: i64,
        committed_leader_epoch: i32 = -1,
        committed_metadata: Option<String>,
    }

    struct TxnOffsetCommitResponse {
        throttle_time_ms: i32,
        topics: Vec<TxnOffsetCommitResponseTopic>,
    }

    struct TxnOffsetCommitResponseTopic {
        name: String,
        partitions: Vec<TxnOffsetCommitResponsePartition>,
    }

    struct TxnOffsetCommitResponsePartition {
        partition_index: i32,
        error_code: ErrorCode,
    }
}
