//! Joins a classic group, which waits until all members have.
//! Not for streams groups. Invariant: the leader alone gets the list of members.
//! Source: `JoinGroupRequest.json` and `JoinGroupResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};
use bytes::Bytes;

request!(11, "JoinGroup", JoinGroupRequest => JoinGroupResponse, 7..=9, 6);

message! {
    struct JoinGroupRequest {
        group_id: String,
        session_timeout_ms: i32,
        rebalance_timeout_ms: i32 = -1,
        member_id: String,
        group_instance_id: Option<String>,
        protocol_type: String,
        protocols: Vec<JoinGroupRequestProtocol>,
        reason: Option<String> [8..],
    }

    struct JoinGroupRequestProtocol {
        name: String,
        metadata: Bytes,
    }

    struct JoinGroupResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        generation_id: i32 = -1,
        protocol_type: Option<String>,
        protocol_name: Option<String>,
        leader: String,
        skip_assignment: bool [9..],
        member_id: String,
        members: Vec<JoinGroupResponseMember>,
    }

    struct JoinGroupResponseMember {
        member_id: String,
        group_instance_id: Option<String>,
        metadata: Bytes,
    }
}
