//! A producer id with a new epoch, which fences the earlier owner of a transactional id.
//! Not the transaction itself. Invariant: a producer id of -1 asks for any, an id and epoch for the next epoch of that one.
//! Source: `InitProducerIdRequest.json` and `InitProducerIdResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(22, "InitProducerId", InitProducerIdRequest => InitProducerIdResponse, 4..=5, 2);

message! {
    struct InitProducerIdRequest {
        transactional_id: Option<String>,
        transaction_timeout_ms: i32,
        producer_id: i64 = -1,
        producer_epoch: i16 = -1,
    }

    struct InitProducerIdResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        producer_id: i64 = -1,
        producer_epoch: i16,
    }
}
