//! The settings of topics, brokers and groups.
//! Not able to change them. Invariant: sensitive values come as null.
//! Source: `DescribeConfigsRequest.json` and `DescribeConfigsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(32, "DescribeConfigs", DescribeConfigsRequest => DescribeConfigsResponse, 4..=4, 4);

message! {
    struct DescribeConfigsRequest {
        resources: Vec<DescribeConfigsResource>,
        include_synonyms: bool,
        include_documentation: bool,
    }

    struct DescribeConfigsResource {
        resource_type: i8,
        resource_name: String,
        configuration_keys: Option<Vec<String>>,
    }

    struct DescribeConfigsResponse {
        throttle_time_ms: i32,
        results: Vec<DescribeConfigsResult>,
    }

    struct DescribeConfigsResult {
        error_code: ErrorCode,
        error_message: Option<String>,
        resource_type: i8,
        resource_name: String,
        configs: Vec<DescribeConfigsResourceResult>,
    }

    struct DescribeConfigsResourceResult {
        name: String,
        value: Option<String>,
        read_only: bool,
        config_source: i8 = -1,
        is_sensitive: bool,
        synonyms: Vec<DescribeConfigsSynonym>,
        config_type: i8,
        documentation: Option<String>,
    }

    struct DescribeConfigsSynonym {
        name: String,
        value: Option<String>,
        source: i8,
    }
}
