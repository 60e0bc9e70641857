//! Members and assignment of consumer groups (KIP-848).
//! Not for classic or streams groups. Invariant: each group succeeds or fails by itself.
//! Source: `ConsumerGroupDescribeRequest.json` and `ConsumerGroupDescribeResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, Uuid, message, request};

request!(69, "ConsumerGroupDescribe", ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse, 0..=1, 0);

message! {
    struct ConsumerGroupDescribeRequest {
        group_ids: Vec<String>,
        include_authorized_operations: bool,
    }

    struct ConsumerGroupDescribeResponse {
        throttle_time_ms: i32,
        groups: Vec<DescribedGroup>,
    }

    struct DescribedGroup {
        error_code: ErrorCode,
        error_message: Option<String>,
        group_id: String,
        group_state: String,
        group_epoch: i32,
        assignment_epoch: i32,
        assignor_name: String,
        members: Vec<Member>,
        authorized_operations: i32 = -2147483648,
    }

    struct Member {
        member_id: String,
        instance_id: Option<String>,
        rack_id: Option<String>,
        member_epoch: i32,
        client_id: String,
        client_host: String,
        subscribed_topic_names: Vec<String>,
        subscribed_topic_regex: Option<String>,
        assignment: Assignment,
        target_assignment: Assignment,
        member_type: i8 [1..] = -1,
    }

    struct Assignment {
        topic_partitions: Vec<TopicPartitions>,
    }

    struct TopicPartitions {
        topic_id: Uuid,
        topic_name: String,
        partitions: Vec<i32>,
    }
}
