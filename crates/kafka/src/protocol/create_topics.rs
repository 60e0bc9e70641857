//! Creates topics.
//! Not atomic: each topic succeeds or fails by itself. Invariant: partitions and replicas of -1 are the broker's defaults.
//! Source: `CreateTopicsRequest.json` and `CreateTopicsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, Uuid, message, request};

request!(19, "CreateTopics", CreateTopicsRequest => CreateTopicsResponse, 7..=7, 5);

message! {
    struct CreateTopicsRequest {
        topics: Vec<CreatableTopic>,
        timeout_ms: i32 = 60000,
        validate_only: bool,
    }

    struct CreatableTopic {
        name: String,
        num_partitions: i32,
        replication_factor: i16,
        assignments: Vec<CreatableReplicaAssignment>,
        configs: Vec<CreatableTopicConfig>,
    }

    struct CreatableReplicaAssignment {
        partition_index: i32,
        broker_ids: Vec<i32>,
    }

    struct CreatableTopicConfig {
        name: String,
        value: Option<String>,
    }

    struct CreateTopicsResponse {
        throttle_time_ms: i32,
        topics: Vec<CreatableTopicResult>,
    }

    struct CreatableTopicResult {
        name: String,
        topic_id: Uuid,
        error_code: ErrorCode,
        error_message: Option<String>,
        topic_config_error_code: ErrorCode [tag 0, 7..],
        num_partitions: i32 = -1,
        replication_factor: i16 = -1,
        configs: Option<Vec<CreatableTopicConfigs>>,
    }

    struct CreatableTopicConfigs {
        name: String,
        value: Option<String>,
        read_only: bool,
        config_source: i8 = -1,
        is_sensitive: bool,
    }
}
