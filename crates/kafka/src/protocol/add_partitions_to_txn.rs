//! Partitions that take part in a transaction, for brokers without KIP-890.
//! Not needed where the broker has transactions v2: it adds them on produce. Invariant: sent before the first batch of a partition in a transaction.
//! Source: `AddPartitionsToTxnRequest.json` and `AddPartitionsToTxnResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(24, "AddPartitionsToTxn", AddPartitionsToTxnRequest => AddPartitionsToTxnResponse, 3..=3, 3);

message! {
    struct AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: String,
        v3_and_below_producer_id: i64,
        v3_and_below_producer_epoch: i16,
        v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
    }

    struct AddPartitionsToTxnTopic {
        name: String,
        partitions: Vec<i32>,
    }

    struct AddPartitionsToTxnResponse {
        throttle_time_ms: i32,
        results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
    }

    struct AddPartitionsToTxnTopicResult {
        name: String,
        results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
    }

    struct AddPartitionsToTxnPartitionResult {
        partition_index: i32,
        partition_error_code: ErrorCode,
    }
}
