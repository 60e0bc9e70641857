//! The committed offsets of groups.
//! Not a partition's ends. Invariant: with `require_stable` an open transaction makes it fail as retriable.
//! Source: `OffsetFetchRequest.json` and `OffsetFetchResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, Uuid, message, request};

request!(9, "OffsetFetch", OffsetFetchRequest => OffsetFetchResponse, 8..=10, 6);

message! {
    struct OffsetFetchRequest {
        groups: Vec<OffsetFetchRequestGroup>,
        require_stable: bool,
    }

    struct OffsetFetchRequestGroup {
        group_id: String,
        member_id: Option<String> [9..],
        member_epoch: i32 [9..] = -1,
        topics: Option<Vec<OffsetFetchRequestTopics>>,
    }

    struct OffsetFetchRequestTopics {
        name: String [..=9],
        topic_id: Uuid [10..],
        partition_indexes: Vec<i32>,
    }

    struct OffsetFetchResponse {
        throttle_time_ms: i32,
        groups: Vec<OffsetFetchResponseGroup>,
    }

    struct OffsetFetchResponseGroup {
        group_id: String,
        topics: Vec<OffsetFetchResponseTopics>,
        error_code: ErrorCode,
    }

    struct OffsetFetchResponseTopics {
        name: String [..=9],
        topic_id: Uuid [10..],
        partitions: Vec<OffsetFetchResponsePartitions>,
    }

    struct OffsetFetchResponsePartitions {
        partition_index: i32,
        committed_offset: i64,
        committed_leader_epoch: i32 = -1,
        metadata: Option<String>,
        error_code: ErrorCode,
    }
}
