//! The transactional ids that one broker coordinates.
//! Not those of the whole cluster: every broker is asked. Invariant: empty filters mean all.
//! Source: `ListTransactionsRequest.json` and `ListTransactionsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(66, "ListTransactions", ListTransactionsRequest => ListTransactionsResponse, 0..=1, 0);

message! {
    struct ListTransactionsRequest {
        state_filters: Vec<String>,
        producer_id_filters: Vec<i64>,
        duration_filter: i64 [1..] = -1,
    }

    struct ListTransactionsResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        unknown_state_filters: Vec<String>,
        transaction_states: Vec<TransactionState>,
    }

    struct TransactionState {
        transactional_id: String,
        producer_id: i64,
        transaction_state: String,
    }
}
