//! Deletes topics by name or id.
//! Not atomic: each topic succeeds or fails by itself. Invariant: a topic has a name or an id, the other is null or zero.
//! Source: `DeleteTopicsRequest.json` and `DeleteTopicsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, Uuid, message, request};

request!(20, "DeleteTopics", DeleteTopicsRequest => DeleteTopicsResponse, 6..=6, 4);

message! {
    struct DeleteTopicsRequest {
        topics: Vec<DeleteTopicState>,
        timeout_ms: i32,
    }

    struct DeleteTopicState {
        name: Option<String>,
        topic_id: Uuid,
    }

    struct DeleteTopicsResponse {
        throttle_time_ms: i32,
        responses: Vec<DeletableTopicResult>,
    }

    struct DeletableTopicResult {
        name: Option<String>,
        topic_id: Uuid,
        error_code: ErrorCode,
        error_message: Option<String>,
    }
}
