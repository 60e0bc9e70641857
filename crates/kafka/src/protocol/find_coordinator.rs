//! Which broker coordinates a group or a transactional id.
//! Not a cache of the answer. Invariant: key type 0 is a group, 1 a transactional id.
//! Source: `FindCoordinatorRequest.json` and `FindCoordinatorResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(10, "FindCoordinator", FindCoordinatorRequest => FindCoordinatorResponse, 4..=6, 3);

message! {
    struct FindCoordinatorRequest {
        key_type: i8,
        coordinator_keys: Vec<String>,
    }

    struct FindCoordinatorResponse {
        throttle_time_ms: i32,
        coordinators: Vec<Coordinator>,
    }

    struct Coordinator {
        key: String,
        node_id: i32,
        host: String,
        port: i32,
        error_code: ErrorCode,
        error_message: Option<String>,
    }
}
