//! The cluster's id, controller and brokers.
//! Not topics and leaders: `metadata` has those. Invariant: a controller of -1 is unknown.
//! Source: `DescribeClusterRequest.json` and `DescribeClusterResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(60, "DescribeCluster", DescribeClusterRequest => DescribeClusterResponse, 0..=2, 0);

message! {
    struct DescribeClusterRequest {
        include_cluster_authorized_operations: bool,
        endpoint_type: i8 [1..] = 1,
        include_fenced_brokers: bool [2..],
    }

    struct DescribeClusterResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        error_message: Option<String>,
        endpoint_type: i8 [1..] = 1,
        cluster_id: String,
        controller_id: i32 = -1,
        brokers: Vec<DescribeClusterBroker>,
        cluster_authorized_operations: i32 = -2147483648,
    }

    struct DescribeClusterBroker {
        broker_id: i32,
        host: String,
        port: i32,
        rack: Option<String>,
        is_fenced: bool [2..],
    }
}
