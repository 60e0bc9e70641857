//! Forgets groups without members, offsets included.
//! Not for groups with members. Invariant: each group succeeds or fails by itself.
//! Source: `DeleteGroupsRequest.json` and `DeleteGroupsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(42, "DeleteGroups", DeleteGroupsRequest => DeleteGroupsResponse, 2..=2, 2);

message! {
    struct DeleteGroupsRequest {
        groups_names: Vec<String>,
    }

    struct DeleteGroupsResponse {
        throttle_time_ms: i32,
        results: Vec<DeletableGroupResult>,
    }

    struct DeletableGroupResult {
        group_id: String,
        error_code: ErrorCode,
    }
}
