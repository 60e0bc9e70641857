//! Members, tasks and topology of streams groups (KIP-1071).
//! Not fit to copy a topology from: partition counts are resolved and copartition groups left out. Invariant: each group succeeds or fails by itself.
//! Source: `StreamsGroupDescribeRequest.json` and `StreamsGroupDescribeResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(89, "StreamsGroupDescribe", StreamsGroupDescribeRequest => StreamsGroupDescribeResponse, 0..=0, 0);

message! {
    struct StreamsGroupDescribeRequest {
        group_ids: Vec<String>,
        include_authorized_operations: bool,
    }

    struct StreamsGroupDescribeResponse {
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
        topology: Option<Topology>,
        members: Vec<Member>,
        authorized_operations: i32 = -2147483648,
    }

    struct Topology {
        epoch: i32,
        subtopologies: Option<Vec<Subtopology>>,
    }

    struct Subtopology {
        subtopology_id: String,
        source_topics: Vec<String>,
        repartition_sink_topics: Vec<String>,
        state_changelog_topics: Vec<TopicInfo>,
        repartition_source_topics: Vec<TopicInfo>,
    }

    struct TopicInfo {
        name: String,
        partitions: i32,
        replication_factor: i16,
        topic_configs: Vec<KeyValue>,
    }

    struct KeyValue {
        key: String,
        value: String,
    }

    struct Member {
        member_id: String,
        member_epoch: i32,
        instance_id: Option<String>,
        rack_id: Option<String>,
        client_id: String,
        client_host: String,
        topology_epoch: i32,
        process_id: String,
        user_endpoint: Option<Endpoint>,
        client_tags: Vec<KeyValue>,
        task_offsets: Vec<TaskOffset>,
        task_end_offsets: Vec<TaskOffset>,
        assignment: Assignment,
        target_assignment: Assignment,
        is_classic: bool,
    }

    struct Endpoint {
        host: String,
        port: u16,
    }

    struct TaskOffset {
        subtopology_id: String,
        partition: i32,
        offset: i64,
    }

    struct Assignment {
        active_tasks: Vec<TaskIds>,
        standby_tasks: Vec<TaskIds>,
        warmup_tasks: Vec<TaskIds>,
    }

    struct TaskIds {
        subtopology_id: String,
        partitions: Vec<i32>,
    }
}
