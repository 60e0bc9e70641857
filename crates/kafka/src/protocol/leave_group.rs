//! Takes members out of a classic group.
//! Not for streams groups: their heartbeat with epoch -1 does. Invariant: each member succeeds or fails by itself.
//! Source: `LeaveGroupRequest.json` and `LeaveGroupResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(13, "LeaveGroup", LeaveGroupRequest => LeaveGroupResponse, 4..=5, 4);

message! {
    struct LeaveGroupRequest {
        group_id: String,
        members: Vec<MemberIdentity>,
    }

    struct MemberIdentity {
        member_id: String,
        group_instance_id: Option<String>,
        reason: Option<String> [5..],
    }

    struct LeaveGroupResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        members: Vec<MemberResponse>,
    }

    struct MemberResponse {
        member_id: String,
        group_instance_id: Option<String>,
        error_code: ErrorCode,
    }
}
