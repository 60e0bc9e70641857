//! Keeps a member of a classic group alive.
//! Not for streams groups. Invariant: REBALANCE_IN_PROGRESS asks the member to join again.
//! Source: `HeartbeatRequest.json` and `HeartbeatResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(12, "Heartbeat", HeartbeatRequest => HeartbeatResponse, 4..=4, 4);

message! {
    struct HeartbeatRequest {
        group_id: String,
        generation_id: i32,
        member_id: String,
        group_instance_id: Option<String>,
    }

    struct HeartbeatResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
    }
}
