//! Deletes the records of partitions before an offset.
//! Not a deletion by key. Invariant: offset -1 is the high watermark.
//! Source: `DeleteRecordsRequest.json` and `DeleteRecordsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(21, "DeleteRecords", DeleteRecordsRequest => DeleteRecordsResponse, 2..=2, 2);

message! {
    struct DeleteRecordsRequest {
        topics: Vec<DeleteRecordsTopic>,
        timeout_ms: i32,
    }

    struct DeleteRecordsTopic {
        name: String,
        partitions: Vec<DeleteRecordsPartition>,
    }

    struct DeleteRecordsPartition {
        partition_index: i32,
        offset: i64,
    }

    struct DeleteRecordsResponse {
        throttle_time_ms: i32,
        topics: Vec<DeleteRecordsTopicResult>,
    }

    struct DeleteRecordsTopicResult {
        name: String,
        partitions: Vec<DeleteRecordsPartitionResult>,
    }

    struct DeleteRecordsPartitionResult {
        partition_index: i32,
        low_watermark: i64,
        error_code: ErrorCode,
    }
}
