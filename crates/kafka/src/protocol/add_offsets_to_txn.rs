//! The group whose offsets take part in a transaction, for brokers without KIP-890.
//! Not the offsets: `txn_offset_commit` has them. Invariant: sent before the offsets.
//! Source: `AddOffsetsToTxnRequest.json` and `AddOffsetsToTxnResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(25, "AddOffsetsToTxn", AddOffsetsToTxnRequest => AddOffsetsToTxnResponse, 3..=4, 3);

message! {
    struct AddOffsetsToTxnRequest {
        transactional_id: String,
        producer_id: i64,
        producer_epoch: i16,
        group_id: String,
    }

    struct AddOffsetsToTxnResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
    }
}
