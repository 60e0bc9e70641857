//! Members and state of classic groups.
//! Not for streams or consumer groups. Invariant: each group succeeds or fails by itself.
//! Source: `DescribeGroupsRequest.json` and `DescribeGroupsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};
use bytes::Bytes;

request!(15, "DescribeGroups", DescribeGroupsRequest => DescribeGroupsResponse, 5..=6, 5);

message! {
    struct DescribeGroupsRequest {
        groups: Vec<String>,
        include_authorized_operations: bool,
    }

    struct DescribeGroupsResponse {
        throttle_time_ms: i32,
        groups: Vec<DescribedGroup>,
    }

    struct DescribedGroup {
        error_code: ErrorCode,
        error_message: Option<String> [6..],
        group_id: String,
        group_state: String,
        protocol_type: String,
        protocol_data: String,
        members: Vec<DescribedGroupMember>,
        authorized_operations: i32 = -2147483648,
    }

    struct DescribedGroupMember {
        member_id: String,
        group_instance_id: Option<String>,
        client_id: String,
        client_host: String,
        member_metadata: Bytes,
        member_assignment: Bytes,
    }
}
