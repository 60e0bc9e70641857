//! Record batches from the leader of their partitions, within a fetch session (KIP-227).
//! Not the batches' own bytes: `records` is a slice of the answer. Invariant: from version 13 on topics are ids.
//! Source: `FetchRequest.json` and `FetchResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, Uuid, message, request};
use bytes::Bytes;

request!(1, "Fetch", FetchRequest => FetchResponse, 12..=18, 12);

message! {
    struct FetchRequest {
        cluster_id: Option<String> [tag 0, 12..],
        replica_id: i32 [..=14] = -1,
        replica_state: ReplicaState [tag 1, 15..],
        max_wait_ms: i32,
        min_bytes: i32,
        max_bytes: i32 = i32::MAX,
        isolation_level: i8,
        session_id: i32,
        session_epoch: i32 = -1,
        topics: Vec<FetchTopic>,
        forgotten_topics_data: Vec<ForgottenTopic>,
        rack_id: String,
    }

    struct ReplicaState {
        replica_id: i32 = -1,
        replica_epoch: i64 = -1,
    }

    struct FetchTopic {
        topic: String [..=12],
        topic_id: Uuid [13..],
        partitions: Vec<FetchPartition>,
    }

    struct FetchPartition {
        partition: i32,
        current_leader_epoch: i32 = -1,
        fetch_offset: i64,
        last_fetched_epoch: i32 = -1,
        log_start_offset: i64 = -1,
        partition_max_bytes: i32,
        replica_directory_id: Uuid [tag 0, 17..],
        high_watermark: i64 [tag 1, 18..] = i64::MAX,
    }

    struct ForgottenTopic {
        topic: String [..=12],
        topic_id: Uuid [13..],
        partitions: Vec<i32>,
    }

    struct FetchResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        session_id: i32,
        responses: Vec<FetchableTopicResponse>,
        node_endpoints: Vec<NodeEndpoint> [tag 0, 16..],
    }

    struct FetchableTopicResponse {
        topic: String [..=12],
        topic_id: Uuid [13..],
        partitions: Vec<PartitionData>,
    }

    struct PartitionData {
        partition_index: i32,
        error_code: ErrorCode,
        high_watermark: i64,
        last_stable_offset: i64 = -1,
        log_start_offset: i64 = -1,
        diverging_epoch: EpochEndOffset [tag 0, 12..],
        current_leader: LeaderIdAndEpoch [tag 1, 12..],
        snapshot_id: SnapshotId [tag 2, 12..],
        aborted_transactions: Option<Vec<AbortedTransaction>>,
        preferred_read_replica: i32 = -1,
        records: Option<Bytes>,
    }

    struct EpochEndOffset {
        epoch: i32 = -1,
        end_offset: i64 = -1,
    }

    struct LeaderIdAndEpoch {
        leader_id: i32 = -1,
        leader_epoch: i32 = -1,
    }

    struct SnapshotId {
        end_offset: i64 = -1,
        epoch: i32 = -1,
    }

    struct AbortedTransaction {
        producer_id: i64,
        first_offset: i64,
    }

    struct NodeEndpoint {
        node_id: i32,
        host: String,
        port: i32,
        rack: Option<String>,
    }
}
