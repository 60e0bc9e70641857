//! Which versions of which requests a broker speaks, and which features are finalized.
//! Not the choice of a version: the connection makes it. Invariant: the answer's header is version 0 whatever the version, so that any client can read it.
//! Source: `ApiVersionsRequest.json` and `ApiVersionsResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(18, "ApiVersions", ApiVersionsRequest => ApiVersionsResponse, 0..=4, 3);

message! {
    struct ApiVersionsRequest {
        client_software_name: String [3..],
        client_software_version: String [3..],
    }

    struct ApiVersionsResponse {
        error_code: ErrorCode,
        api_keys: Vec<ApiVersion>,
        throttle_time_ms: i32 [1..],
        supported_features: Vec<SupportedFeatureKey> [tag 0, 3..],
        finalized_features_epoch: i64 [tag 1, 3..] = -1,
        finalized_features: Vec<FinalizedFeatureKey> [tag 2, 3..],
        zk_migration_ready: bool [tag 3, 3..],
    }

    struct ApiVersion {
        api_key: i16,
        min_version: i16,
        max_version: i16,
    }

    struct SupportedFeatureKey {
        name: String,
        min_version: i16,
        max_version: i16,
    }

    struct FinalizedFeatureKey {
        name: String,
        max_version_level: i16,
        min_version_level: i16,
    }
}
