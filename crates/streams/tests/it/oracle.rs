//! Topologies of the oracle's corpus (the real Kafka Streams 4.3.1 as judge), written by hand in the DSL and compared with what
//! Kafka Streams did: description, internal topics, every record in order, the stores at the end.
//! Not an interpreter of the case files: only their input is read. Invariant: `*.out.json` is never written by us.

mod case;
mod topology;

use case::check;

macro_rules! cases {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name), topology::$name);
        }
    )*};
}

cases! {
    agg_aggregate_null_result agg_cache_dedup_in_one_record agg_cache_evicts agg_cache_evicts_random agg_cache_off_in_one_record agg_cache_zero_bytes
    agg_count agg_group_by agg_group_by_long_key agg_group_by_named agg_logging_config agg_logging_off
    group_by_windowed_named handler_deserialization_continue misc process_buffer_stream_time process_running_total
    process_stream_tick process_then_group process_wall_clock_into_aggregation process_wall_clock_tick repartition_auto
    repartition_merge_none repartition_named repartition_then_group stateless_feedback_topic stateless_headers
    stream_table_aggregate stream_table_inner stream_table_inner_rekeyed stream_table_left
    stream_table_left_and_count_rekeyed stream_table_left_rekeyed table_stream_joined_with_itself table_to_stream
    table_to_table_joined table_to_table_rekeyed two_subtopologies_time wide window_aggregate_null
    window_cache_evicts window_cache_evicts_random window_hopping window_hopping_no_cache window_key_functions window_tumbling
    window_tumbling_no_grace window_tumbling_retention word_count
}
