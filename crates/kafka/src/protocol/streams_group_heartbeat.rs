//! A member's heartbeat in a streams group (KIP-1071): joining, owning, leaving, and the tasks assigned.
//! Not the state machine of a member. Invariant: null is unchanged, an empty list is none.
//! Source: `StreamsGroupHeartbeatRequest.json` and `StreamsGroupHeartbeatResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(88, "StreamsGroupHeartbeat", StreamsGroupHeartbeatRequest => StreamsGroupHeartbeatResponse, 0..=0, 0);

/// `StreamsGroupHeartbeatRequest.LEAVE_GROUP_MEMBER_EPOCH`.
pub(crate) const LEAVE_EPOCH: i32 = -1;

impl From<headwater_log::Endpoint> for Endpoint {
    fn from(endpoint: headwater_log::Endpoint) -> Self {
        let headwater_log::Endpoint { host, port } = endpoint;
        Self { host, port }
    }
}

impl From<Endpoint> for headwater_log::Endpoint {
    fn from(endpoint: Endpoint) -> Self {
        let Endpoint { host, port } = endpoint;
        Self { host, port }
    }
}

impl StreamsGroupHeartbeatRequest {
    /// Takes a member out of its group, whoever sends it.
    pub(crate) fn leave(group: &str, member: &str) -> Self {
        Self {
            group_id: group.into(),
            member_id: member.into(),
            member_epoch: LEAVE_EPOCH,
            ..Self::default()
        }
    }
}

message! {
    struct StreamsGroupHeartbeatRequest {
        group_id: String,
        member_id: String,
        member_epoch: i32,
        endpoint_information_epoch: i32,
        instance_id: Option<String>,
        rack_id: Option<String>,
        rebalance_timeout_ms: i32 = -1,
        topology: Option<Topology>,
        active_tasks: Option<Vec<TaskIds>>,
        standby_tasks: Option<Vec<TaskIds>>,
        warmup_tasks: Option<Vec<TaskIds>>,
        process_id: Option<String>,
        user_endpoint: Option<Endpoint>,
        client_tags: Option<Vec<KeyValue>>,
        task_offsets: Option<Vec<TaskOffset>>,
        task_end_offsets: Option<Vec<TaskOffset>>,
        shutdown_application: bool,
    }

    struct Topology {
        epoch: i32,
        subtopologies: Vec<Subtopology>,
    }

    struct Subtopology {
        subtopology_id: String,
        source_topics: Vec<String>,
        source_topic_regex: Vec<String>,
        state_changelog_topics: Vec<TopicInfo>,
        repartition_sink_topics: Vec<String>,
        repartition_source_topics: Vec<TopicInfo>,
        copartition_groups: Vec<CopartitionGroup>,
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

    struct CopartitionGroup {
        source_topics: Vec<i16>,
        source_topic_regex: Vec<i16>,
        repartition_source_topics: Vec<i16>,
    }

    struct TaskIds {
        subtopology_id: String,
        partitions: Vec<i32>,
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

    struct StreamsGroupHeartbeatResponse {
        throttle_time_ms: i32,
        error_code: ErrorCode,
        error_message: Option<String>,
        member_id: String,
        member_epoch: i32,
        heartbeat_interval_ms: i32,
        acceptable_recovery_lag: i32,
        task_offset_interval_ms: i32,
        status: Option<Vec<Status>>,
        active_tasks: Option<Vec<TaskIds>>,
        standby_tasks: Option<Vec<TaskIds>>,
        warmup_tasks: Option<Vec<TaskIds>>,
        endpoint_information_epoch: i32,
        partitions_by_user_endpoint: Option<Vec<EndpointToPartitions>>,
    }

    struct Status {
        status_code: i8,
        status_detail: String,
    }

    struct EndpointToPartitions {
        user_endpoint: Endpoint,
        active_partitions: Vec<TopicPartition>,
        standby_partitions: Vec<TopicPartition>,
    }

    struct TopicPartition {
        topic: String,
        partitions: Vec<i32>,
    }
}
