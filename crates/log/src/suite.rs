//! The contract of [`Log`] and [`Client`](crate::Client) as executable behaviours, run by every implementation with one line:
//! `log_suite!(MyHarness::new())`. Not tests of what one log does beyond the contract.
//! Invariant: a behaviour assumes nothing of offsets but that they grow, and nothing of time but the harness's clock.
#![expect(
    clippy::unwrap_used,
    reason = "a behaviour is a test, and a wrong answer ends it"
)]

pub mod commits;
pub mod groups;
mod kit;
pub mod positions;
pub mod records;
pub mod reopening;
#[cfg(test)]
mod tests;
pub mod topics;

use crate::Log;
use headwater_world::Clock;
use std::sync::Arc;

/// One log under test. Each behaviour gets a harness of its own.
pub trait Harness {
    /// The log, always the same one until [`Harness::reopen`].
    fn log(&self) -> Arc<dyn Log>;
    /// The clock that the log uses.
    fn clock(&self) -> Arc<dyn Clock>;
    /// Lets so many ms pass: moves a simulated clock, sleeps on a real one.
    fn advance(&self, ms: u64);
    /// For durable logs: opens the log anew, after every client and every `Arc` of it handed out was dropped.
    fn reopen(&self) -> Option<Arc<dyn Log>> {
        None
    }
    /// Goes before every name of a topic, group and member, so that behaviours may share one broker.
    fn prefix(&self) -> String {
        String::new()
    }
    /// ms after which a silent member may be fenced; the smallest the log allows.
    fn session_timeout_ms(&self) -> i64 {
        1_000
    }
    /// False when a client's heartbeats go on in the background while nobody polls it.
    fn is_silent_unless_polled(&self) -> bool {
        true
    }
    /// Behaviours this log is known not to have, by name: they are passed over, loudly. A list that only shrinks.
    fn gaps(&self) -> &[&str] {
        &[]
    }
    /// True when the log is several processes that hear of each other: ends of transactions take offsets, a receipt is decided
    /// before readers see it, one epoch may cover several assignments, and a coordinator hears late of a topic. Elsewhere the
    /// stricter rule holds.
    fn is_distributed(&self) -> bool {
        false
    }
    /// False when standby tasks are not up to the members.
    fn has_standbys(&self) -> bool {
        true
    }
}

/// Runs every behaviour, each on a harness made for it.
pub fn run_all(harness: &dyn Fn() -> Box<dyn Harness>) {
    for (name, behaviour) in BEHAVIOURS {
        run(name, *behaviour, &*harness());
    }
}

/// Runs one behaviour, unless the harness says that its log lacks it.
pub fn run(name: &str, behaviour: Behaviour, harness: &dyn Harness) {
    match harness.gaps().contains(&name) {
        true => eprintln!("log suite: NOT RUN, a known gap: {name}"),
        false => behaviour(harness),
    }
}

/// A behaviour.
pub type Behaviour = fn(&dyn Harness);

/// All behaviours with their names.
pub const BEHAVIOURS: &[(&str, Behaviour)] = crate::log_suite!(@behaviours log_suite_list);

/// Makes one `#[test]` of each behaviour; the harness expression is evaluated for each.
#[macro_export]
macro_rules! log_suite {
    (@behaviours $then:ident $($args:tt)*) => {
        $crate::$then! { ($($args)*)
            records::records_come_back_in_order_with_all_they_hold
            records::one_commit_writes_to_several_partitions
            records::a_chunk_that_begins_before_the_position_yields_only_later_records
            records::a_fetch_at_the_end_is_empty
            records::the_end_offset_tells_an_empty_poll_from_the_end
            records::a_reader_sees_what_is_written_while_it_reads
            records::a_seek_reads_again
            records::a_reader_takes_turns_between_partitions
            records::a_partition_that_is_not_read_any_more_yields_nothing
            records::a_partition_on_hold_goes_on_where_it_stood
            records::a_position_beyond_the_end_is_an_error_that_names_it
            records::a_slot_may_be_taken_before_its_topic_exists
            records::a_batch_larger_than_the_fetch_limit_comes_whole
            records::small_fetches_yield_every_record_once
            records::large_records_come_back
            records::timestamps_may_go_back
            records::a_recycled_buffer_spoils_nothing
            records::the_waker_is_called_when_records_arrive
            commits::a_receipt_holds_the_end_of_every_partition_written
            commits::records_are_not_seen_before_their_commit
            commits::aborted_records_are_never_seen
            commits::appends_after_a_submitted_commit_belong_to_the_next
            commits::a_refused_commit_leaves_nothing
            commits::what_was_appended_before_a_failed_commit_was_handed_out_is_dropped
            commits::an_empty_commit_succeeds
            commits::at_least_once_commits_records_and_positions
            commits::appends_beyond_the_limit_wait_for_a_commit
            commits::settle_tells_how_the_last_commit_ended
            commits::a_later_client_of_a_transactional_id_fences_the_earlier
            commits::what_a_fenced_client_left_open_is_never_seen
            commits::an_abandoned_transaction_of_the_same_id_does_not_block_readers
            commits::two_producers_interleave_without_loss
            commits::every_ticket_ends_once
            positions::committed_positions_keep_metadata_and_leader_epoch
            positions::positions_commit_together_with_records
            positions::a_later_commit_replaces_positions
            positions::only_partitions_with_a_position_are_returned
            positions::groups_do_not_share_positions
            positions::positions_are_set_and_forgotten_in_a_group_without_members
            positions::a_group_with_members_refuses_changes_from_outside
            positions::a_deleted_group_has_no_positions
            positions::start_stable_and_end_are_looked_up
            positions::an_offset_is_found_by_time
            topics::topics_are_created_and_described
            topics::descriptions_leave_unknown_topics_out
            topics::a_topic_that_exists_is_refused_and_those_before_it_stay
            topics::bad_names_counts_and_settings_are_refused
            topics::settings_are_altered_and_reset
            topics::a_topic_created_again_is_another_one
            topics::a_deleted_topic_is_gone_and_its_positions_with_it
            topics::partitions_grow_and_never_shrink
            topics::deleted_records_are_out_of_range
            topics::unknown_topics_and_partitions_are_named
            topics::the_number_of_partitions_becomes_known
            groups::a_first_member_gets_every_task
            groups::internal_topics_are_created_with_derived_counts
            groups::a_task_moves_only_after_it_was_given_up
            groups::a_member_that_leaves_hands_its_tasks_on
            groups::a_silent_member_is_fenced_and_comes_back
            groups::a_task_that_was_given_up_cannot_be_committed
            groups::a_commit_under_way_survives_a_change_elsewhere
            groups::a_stranger_cannot_commit_for_a_group
            groups::a_member_whose_commit_was_fenced_gets_tasks_anew
            groups::missing_topics_are_named_until_they_exist
            groups::unequal_partition_counts_are_named
            groups::another_topology_is_refused_while_the_group_has_members
            groups::groups_and_members_are_listed
            groups::standbys_live_on_another_process
            groups::members_hear_which_host_holds_what
            groups::a_member_may_stop_the_whole_group
            groups::no_task_ever_has_two_members
            reopening::committed_records_and_positions_survive
            reopening::topics_keep_identity_and_settings
            reopening::what_was_not_committed_does_not_survive
        }
    };
    ($harness:expr) => { $crate::log_suite! { @behaviours log_suite_tests $harness } };
}

/// Part of [`log_suite!`].
#[doc(hidden)]
#[macro_export]
macro_rules! log_suite_tests {
    (($harness:expr) $($module:ident::$name:ident)*) => {
        $(#[test] fn $name() {
            $crate::suite::run(stringify!($name), $crate::suite::$module::$name, &$harness)
        })*
    };
}

/// Part of [`log_suite!`].
#[doc(hidden)]
#[macro_export]
macro_rules! log_suite_list {
    (() $($module:ident::$name:ident)*) => {
        &[$((stringify!($name), $crate::suite::$module::$name)),*]
    };
}
