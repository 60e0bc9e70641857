//! The groups that one broker coordinates.
//! Not those of the whole cluster: every broker is asked. Invariant: an empty filter means all.
//! Source: `ListGroupsRequest.json` and `ListGroupsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(16, "ListGroups", ListGroupsRequest => ListGroupsResponse, 4..=5, 3);

message! {
    struct ListGroupsRequest {
        states_filter: Vec<String>,
        types_filter: Vec<String> [5..],
    }

    struct ListGroupsResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        groups: Vec<ListedGroup>,
    }

    struct ListedGroup {
        group_id: String,
        protocol_type: String,
        group_state: String,
        group_type: String [5..],
    }
}
