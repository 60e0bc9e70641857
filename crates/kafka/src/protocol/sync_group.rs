//! Hands out the assignment of a classic group that its leader made.
//! Not an assignor. Invariant: only the leader sends assignments.
//! Source: `SyncGroupRequest.json` and `SyncGroupResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};
use bytes::Bytes;

request!(14, "SyncGroup", SyncGroupRequest => SyncGroupResponse, 4..=5, 4);

message! {
    struct SyncGroupRequest {
        group_id: String,
        generation_id: i32,
        member_id: String,
        group_instance_id: Option<String>,
        protocol_type: Option<String> [5..],
        protocol_name: Option<String> [5..],
        assignments: Vec<SyncGroupRequestAssignment>,
    }

    struct SyncGroupRequestAssignment {
        member_id: String,
        assignment: Bytes,
    }

    struct SyncGroupResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        protocol_type: Option<String> [5..],
        protocol_name: Option<String> [5..],
        assignment: Bytes,
    }
}
