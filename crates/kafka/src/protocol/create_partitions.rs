//! Raises the number of partitions of topics.
//! Not able to lower it. Invariant: the count is the new total.
//! Source: `CreatePartitionsRequest.json` and `CreatePartitionsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(37, "CreatePartitions", CreatePartitionsRequest => CreatePartitionsResponse, 3..=3, 2);

message! {
    struct CreatePartitionsRequest {
        topics: Vec<CreatePartitionsTopic>,
        timeout_ms: i32,
        validate_only: bool,
    }

    struct CreatePartitionsTopic {
        name: String,
        count: i32,
        assignments: Option<Vec<CreatePartitionsAssignment>>,
    }

    struct CreatePartitionsAssignment {
        broker_ids: Vec<i32>,
    }

    struct CreatePartitionsResponse {
        throttle_time_ms: i32,
        results: Vec<CreatePartitionsTopicResult>,
    }

    struct CreatePartitionsTopicResult {
        name: String,
        error_code: ErrorCode,
        error_message: Option<String>,
    }
}
