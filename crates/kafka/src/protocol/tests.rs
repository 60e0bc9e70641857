//! The messages against another codec, against themselves, and against damage.
//! Not a broker. Invariant: a failing case prints the message, the version and the seed.

mod damage;
mod judge;
mod random;

pub(crate) use random::{Dice, Random};

/// Calls `$case!` once for each message of each direction: module, name here, module and name of the other codec.
macro_rules! every_message {
    ($case:ident) => {
        $case! {
            add_offsets_to_txn AddOffsetsToTxnRequest add_offsets_to_txn_request AddOffsetsToTxnRequestData;
            add_offsets_to_txn AddOffsetsToTxnResponse add_offsets_to_txn_response AddOffsetsToTxnResponseData;
            add_partitions_to_txn AddPartitionsToTxnRequest add_partitions_to_txn_request AddPartitionsToTxnRequestData;
            add_partitions_to_txn AddPartitionsToTxnResponse add_partitions_to_txn_response AddPartitionsToTxnResponseData;
            api_versions ApiVersionsRequest api_versions_request ApiVersionsRequestData;
            api_versions ApiVersionsResponse api_versions_response ApiVersionsResponseData;
            consumer_group_describe ConsumerGroupDescribeRequest consumer_group_describe_request ConsumerGroupDescribeRequestData;
            consumer_group_describe ConsumerGroupDescribeResponse consumer_group_describe_response ConsumerGroupDescribeResponseData;
            create_partitions CreatePartitionsRequest create_partitions_request CreatePartitionsRequestData;
            create_partitions CreatePartitionsResponse create_partitions_response CreatePartitionsResponseData;
            create_topics CreateTopicsRequest create_topics_request CreateTopicsRequestData;
            create_topics CreateTopicsResponse create_topics_response CreateTopicsResponseData;
            delete_groups DeleteGroupsRequest delete_groups_request DeleteGroupsRequestData;
            delete_groups DeleteGroupsResponse delete_groups_response DeleteGroupsResponseData;
            delete_records DeleteRecordsRequest delete_records_request DeleteRecordsRequestData;
            delete_records DeleteRecordsResponse delete_records_response DeleteRecordsResponseData;
            delete_topics DeleteTopicsRequest delete_topics_request DeleteTopicsRequestData;
            delete_topics DeleteTopicsResponse delete_topics_response DeleteTopicsResponseData;
            describe_cluster DescribeClusterRequest describe_cluster_request DescribeClusterRequestData;
            describe_cluster DescribeClusterResponse describe_cluster_response DescribeClusterResponseData;
            describe_configs DescribeConfigsRequest describe_configs_request DescribeConfigsRequestData;
            describe_configs DescribeConfigsResponse describe_configs_response DescribeConfigsResponseData;
            describe_groups DescribeGroupsRequest describe_groups_request DescribeGroupsRequestData;
            describe_groups DescribeGroupsResponse describe_groups_response DescribeGroupsResponseData;
            describe_transactions DescribeTransactionsRequest describe_transactions_request DescribeTransactionsRequestData;
            describe_transactions DescribeTransactionsResponse describe_transactions_response DescribeTransactionsResponseData;
            end_txn EndTxnRequest end_txn_request EndTxnRequestData;
            end_txn EndTxnResponse end_txn_response EndTxnResponseData;
            fetch FetchRequest fetch_request FetchRequestData;
            fetch FetchResponse fetch_response FetchResponseData;
            find_coordinator FindCoordinatorRequest find_coordinator_request FindCoordinatorRequestData;
            find_coordinator FindCoordinatorResponse find_coordinator_response FindCoordinatorResponseData;
            heartbeat HeartbeatRequest heartbeat_request HeartbeatRequestData;
            heartbeat HeartbeatResponse heartbeat_response HeartbeatResponseData;
            incremental_alter_configs IncrementalAlterConfigsRequest incremental_alter_configs_request IncrementalAlterConfigsRequestData;
            incremental_alter_configs IncrementalAlterConfigsResponse incremental_alter_configs_response IncrementalAlterConfigsResponseData;
            init_producer_id InitProducerIdRequest init_producer_id_request InitProducerIdRequestData;
            init_producer_id InitProducerIdResponse init_producer_id_response InitProducerIdResponseData;
            join_group JoinGroupRequest join_group_request JoinGroupRequestData;
            join_group JoinGroupResponse join_group_response JoinGroupResponseData;
            leave_group LeaveGroupRequest leave_group_request LeaveGroupRequestData;
            leave_group LeaveGroupResponse leave_group_response LeaveGroupResponseData;
            list_groups ListGroupsRequest list_groups_request ListGroupsRequestData;
            list_groups ListGroupsResponse list_groups_response ListGroupsResponseData;
            list_offsets ListOffsetsRequest list_offsets_request ListOffsetsRequestData;
            list_offsets ListOffsetsResponse list_offsets_response ListOffsetsResponseData;
            list_transactions ListTransactionsRequest list_transactions_request ListTransactionsRequestData;
            list_transactions ListTransactionsResponse list_transactions_response ListTransactionsResponseData;
            metadata MetadataRequest metadata_request MetadataRequestData;
            metadata MetadataResponse metadata_response MetadataResponseData;
            offset_commit OffsetCommitRequest offset_commit_request OffsetCommitRequestData;
            offset_commit OffsetCommitResponse offset_commit_response OffsetCommitResponseData;
            offset_delete OffsetDeleteRequest offset_delete_request OffsetDeleteRequestData;
            offset_delete OffsetDeleteResponse offset_delete_response OffsetDeleteResponseData;
            offset_fetch OffsetFetchRequest offset_fetch_request OffsetFetchRequestData;
            offset_fetch OffsetFetchResponse offset_fetch_response OffsetFetchResponseData;
            offset_for_leader_epoch OffsetForLeaderEpochRequest offset_for_leader_epoch_request OffsetForLeaderEpochRequestData;
            offset_for_leader_epoch OffsetForLeaderEpochResponse offset_for_leader_epoch_response OffsetForLeaderEpochResponseData;
            produce ProduceRequest produce_request ProduceRequestData;
            produce ProduceResponse produce_response ProduceResponseData;
            sasl_authenticate SaslAuthenticateRequest sasl_authenticate_request SaslAuthenticateRequestData;
            sasl_authenticate SaslAuthenticateResponse sasl_authenticate_response SaslAuthenticateResponseData;
            sasl_handshake SaslHandshakeRequest sasl_handshake_request SaslHandshakeRequestData;
            sasl_handshake SaslHandshakeResponse sasl_handshake_response SaslHandshakeResponseData;
            streams_group_describe StreamsGroupDescribeRequest streams_group_describe_request StreamsGroupDescribeRequestData;
            streams_group_describe StreamsGroupDescribeResponse streams_group_describe_response StreamsGroupDescribeResponseData;
            streams_group_heartbeat StreamsGroupHeartbeatRequest streams_group_heartbeat_request StreamsGroupHeartbeatRequestData;
            streams_group_heartbeat StreamsGroupHeartbeatResponse streams_group_heartbeat_response StreamsGroupHeartbeatResponseData;
            sync_group SyncGroupRequest sync_group_request SyncGroupRequestData;
            sync_group SyncGroupResponse sync_group_response SyncGroupResponseData;
            txn_offset_commit TxnOffsetCommitRequest txn_offset_commit_request TxnOffsetCommitRequestData;
            txn_offset_commit TxnOffsetCommitResponse txn_offset_commit_response TxnOffsetCommitResponseData;
        }
    };
}
use every_message;
