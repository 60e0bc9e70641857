//! The brokers of the cluster and the leaders of partitions.
//! Not a cache of them. Invariant: a topic is asked for by name or by id, never both.
//! Source: `MetadataRequest.json` and `MetadataResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, Uuid, message, request};

request!(3, "Metadata", MetadataRequest => MetadataResponse, 12..=13, 9);

message! {
    struct MetadataRequest {
        topics: Option<Vec<MetadataRequestTopic>>,
        allow_auto_topic_creation: bool = true,
        include_topic_authorized_operations: bool,
    }

    struct MetadataRequestTopic {
        topic_id: Uuid,
        name: Option<String>,
    }

    struct MetadataResponse {
        throttle_time_ms: i32,
        brokers: Vec<MetadataResponseBroker>,
        cluster_id: Option<String>,
        controller_id: i32 = -1,
        topics: Vec<MetadataResponseTopic>,
        error_code: ErrorCode [13..],
    }

    struct MetadataResponseBroker {
        node_id: i32,
        host: String,
        port: i32,
        rack: Option<String>,
    }

    struct MetadataResponseTopic {
        error_code: ErrorCode,
        name: Option<String>,
        topic_id: Uuid,
        is_internal: bool,
        partitions: Vec<MetadataResponsePartition>,
        topic_authorized_operations: i32 = -2147483648,
    }

    struct MetadataResponsePartition {
        error_code: ErrorCode,
        partition_index: i32,
        leader_id: i32,
        leader_epoch: i32 = -1,
        replica_nodes: Vec<i32>,
        isr_nodes: Vec<i32>,
        offline_replicas: Vec<i32>,
    }
}
