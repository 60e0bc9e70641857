//! Changes single settings of topics, brokers and groups.
//! Not a replacement of all settings. Invariant: operation 0 sets, 1 deletes.
//! Source: `IncrementalAlterConfigsRequest.json` and `IncrementalAlterConfigsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(44, "IncrementalAlterConfigs", IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse, 1..=1, 1);

message! {
    struct IncrementalAlterConfigsRequest {
        resources: Vec<AlterConfigsResource>,
        validate_only: bool,
    }

    struct AlterConfigsResource {
        resource_type: i8,
        resource_name: String,
        configs: Vec<AlterableConfig>,
    }

    struct AlterableConfig {
        name: String,
        config_operation: i8,
        value: Option<String>,
    }

    struct IncrementalAlterConfigsResponse {
        throttle_time_ms: i32,
        responses: Vec<AlterConfigsResourceResponse>,
    }

    struct AlterConfigsResourceResponse {
        error_code: ErrorCode,
        error_message: Option<String>,
        resource_type: i8,
        resource_name: String,
    }
}
