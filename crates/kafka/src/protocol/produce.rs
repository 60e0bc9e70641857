//! Record batches for the leader of their partitions, and where they were put.
//! Not the batches' own bytes: `records` is opaque here. Invariant: from version 12 on the broker adds partitions to the transaction by itself (KIP-890), from 13 on topics are ids.
//! Source: `ProduceRequest.json` and `ProduceResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, Uuid, message, request};
use bytes::Bytes;

request!(0, "Produce", ProduceRequest => ProduceResponse, 9..=13, 9);

message! {
    struct ProduceRequest {
        transactional_id: Option<String>,
        acks: i16,
        timeout_ms: i32,
        topic_data: Vec<TopicProduceData>,
    }

    struct TopicProduceData {
        name: String [..=12],
        topic_id: Uuid [13..],
        partition_data: Vec<PartitionProduceData>,
    }

    struct PartitionProduceData {
        index: i32,
        records: Option<Bytes>,
    }

    struct ProduceResponse {
        responses: Vec<TopicProduceResponse>,
        throttle_time_ms: i32,
        node_endpoints: Vec<NodeEndpoint> [tag 0, 10..],
    }

    struct TopicProduceResponse {
        name: String [..=12],
        topic_id: Uuid [13..],
        partition_responses: Vec<PartitionProduceResponse>,
    }

    struct PartitionProduceResponse {
        index: i32,
        error_code: ErrorCode,
        base_offset: i64,
        log_append_time_ms: i64 = -1,
        log_start_offset: i64 = -1,
        record_errors: Vec<BatchIndexAndErrorMessage>,
        error_message: Option<String>,
        current_leader: LeaderIdAndEpoch [tag 0, 10..],
    }

    struct BatchIndexAndErrorMessage {
        batch_index: i32,
        batch_index_error_message: Option<String>,
    }

    struct LeaderIdAndEpoch {
        leader_id: i32 = -1,
        leader_epoch: i32 = -1,
    }

    struct NodeEndpoint {
        node_id: i32,
        host: String,
        port: i32,
        rack: Option<String>,
    }
}
