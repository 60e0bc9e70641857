//! The state of transactional ids.
//! Not a way to end them. Invariant: each id succeeds or fails by itself.
//! Source: `DescribeTransactionsRequest.json` and `DescribeTransactionsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(65, "DescribeTransactions", DescribeTransactionsRequest => DescribeTransactionsResponse, 0..=0, 0);

message! {
    struct DescribeTransactionsRequest {
        transactional_ids: Vec<String>,
    }

    struct DescribeTransactionsResponse {
        throttle_time_ms: i32,
        transaction_states: Vec<TransactionState>,
    }

    struct TransactionState {
        error_code: ErrorCode,
        transactional_id: String,
        transaction_state: String,
        transaction_timeout_ms: i32,
        transaction_start_time_ms: i64,
        producer_id: i64,
        producer_epoch: i16,
        topics: Vec<TopicData>,
    }

    struct TopicData {
        topic: String,
        partitions: Vec<i32>,
    }
}
