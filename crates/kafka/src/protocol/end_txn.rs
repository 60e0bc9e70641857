//! The end of a transaction, committed or aborted.
//! Not visible at once: markers follow. Invariant: from version 5 on the answer brings the next epoch of the producer.
//! Source: `EndTxnRequest.json` and `EndTxnResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(26, "EndTxn", EndTxnRequest => EndTxnResponse, 3..=5, 3);

message! {
    struct EndTxnRequest {
        transactional_id: String,
        producer_id: i64,
        producer_epoch: i16,
        committed: bool,
    }

    struct EndTxnResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        producer_id: i64 [5..] = -1,
        producer_epoch: i16 [5..] = -1,
    }
}
