//! A member in conversation with a scripted coordinator, as one was seen to answer (Kafka 4.3.1), and its requests byte by byte
//! as Java writes them. Not a broker: the log suite has one. Invariant: a script's times are those the member is asked at.

mod evicted;

use super::{Member, topology};
use crate::protocol::{
    ErrorCode, Request,
    streams_group_heartbeat::{
        Status, StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse, TaskIds,
    },
};
use headwater_log::{
    Assignment, GroupEvent, InternalTopic, MemberEpoch, Membership, Subtopology, TaskId,
};

/// Topology C of the live page: count by a new key.
fn counting(source: &str, application: &str) -> Vec<Subtopology> {
    let internal = |kind: &str, config: &[(&str, &str)]| InternalTopic {
        name: format!("{application}-counts-{kind}"),
        partitions: 0,
        config: config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    vec![
        Subtopology {
            id: 0,
            source_topics: vec![source.into()],
            repartition_sinks: vec![format!("{application}-counts-repartition")],
            ..Subtopology::default()
        },
        Subtopology {
            id: 1,
            repartition_sources: vec![internal(
                "repartition",
                &[
                    ("cleanup.policy", "delete"),
                    ("message.timestamp.type", "CreateTime"),
                    ("retention.ms", "-1"),
                    ("segment.bytes", "52428800"),
                ],
            )],
            changelogs: vec![internal(
                "changelog",
                &[
                    ("cleanup.policy", "compact"),
                    ("message.timestamp.type", "CreateTime"),
                ],
            )],
            ..Subtopology::default()
        },
    ]
}

fn membership() -> Membership {
    Membership {
        group: "g".into(),
        member: "m".into(),
        process: "p".into(),
        worker: 1,
        subtopologies: counting("in", "app"),
        dialect: "".into(),
        standby_replicas: None,
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 300_000,
        endpoint: None,
    }
}

fn hex(request: &StreamsGroupHeartbeatRequest) -> String {
    let mut bytes = Vec::new();
    request.encode(0, &mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tasks(ids: &[(u32, u32)]) -> Vec<TaskId> {
    ids.iter()
        .map(|(subtopology, partition)| TaskId {
            subtopology: *subtopology,
            partition: *partition,
        })
        .collect()
}

fn ids(subtopology: u32, partitions: &[i32]) -> Vec<TaskIds> {
    vec![TaskIds {
        subtopology_id: subtopology.to_string(),
        partitions: partitions.to_vec(),
    }]
}

/// An answer without lists.
fn unchanged(epoch: i32) -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse {
        member_id: "m".into(),
        member_epoch: epoch,
        heartbeat_interval_ms: 5_000,
        status: Some(Vec::new()),
        ..StreamsGroupHeartbeatResponse::default()
    }
}

/// An answer with the partitions of sub-topology 0 to run.
fn listed(epoch: i32, partitions: &[i32]) -> StreamsGroupHeartbeatResponse {
    let active = if partitions.is_empty() {
        Vec::new()
    } else {
        ids(0, partitions)
    };
    StreamsGroupHeartbeatResponse {
        active_tasks: Some(active),
        standby_tasks: Some(Vec::new()),
        warmup_tasks: Some(Vec::new()),
        ..unchanged(epoch)
    }
}

fn refusal(code: ErrorCode) -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse {
        error_code: code,
        error_message: Some("why".into()),
        ..StreamsGroupHeartbeatResponse::default()
    }
}

fn with_status(
    code: i8,
    detail: &str,
    answer: StreamsGroupHeartbeatResponse,
) -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse {
        status: Some(vec![Status {
            status_code: code,
            status_detail: detail.into(),
        }]),
        ..answer
    }
}

/// A member and the time it lives in.
struct Script {
    member: Member,
    now_ms: u64,
}

impl Script {
    fn new() -> Self {
        Self {
            member: Member::new(membership(), 1),
            now_ms: 0,
        }
    }

    /// Waits until a request is due and takes it.
    #[track_caller]
    fn request(&mut self) -> StreamsGroupHeartbeatRequest {
        self.now_ms = self
            .now_ms
            .max(self.member.due_ms().expect("a request is due"));
        self.member.next_request(self.now_ms).expect("it is there")
    }

    /// The next request, answered so.
    #[track_caller]
    fn beat(&mut self, answer: StreamsGroupHeartbeatResponse) -> StreamsGroupHeartbeatRequest {
        let request = self.request();
        self.now_ms += 1;
        self.member.on_response(self.now_ms, &answer);
        request
    }

    fn lose(&mut self) -> StreamsGroupHeartbeatRequest {
        let request = self.request();
        self.now_ms += 1;
        self.member.on_lost(self.now_ms);
        request
    }

    fn events(&mut self) -> Vec<GroupEvent> {
        std::iter::from_fn(|| self.member.event()).collect()
    }

    fn own(&mut self, active: &[(u32, u32)]) {
        self.member.own(self.now_ms, &tasks(active), &[], true);
    }

    /// Says what is held before the newest list is taken.
    fn own_still(&mut self, active: &[(u32, u32)]) {
        self.member.own(self.now_ms, &tasks(active), &[], false);
    }

    /// In the group at this epoch, with these partitions of sub-topology 0, opened and reported.
    fn stable(epoch: i32, partitions: &[i32]) -> Self {
        let mut script = Self::new();
        script.beat(listed(epoch, partitions));
        assert_eq!(script.events().len(), 1);
        let held: Vec<_> = partitions.iter().map(|id| (0, *id as u32)).collect();
        script.own(&held);
        script.beat(unchanged(epoch));
        script
    }
}

fn assigned(epoch: i32, active: &[(u32, u32)]) -> GroupEvent {
    GroupEvent::Assigned(Assignment {
        epoch: MemberEpoch(epoch),
        active: tasks(active),
        standby: Vec::new(),
    })
}

#[test]
fn a_join_is_written_byte_for_byte_as_java_writes_it() {
    let mut script = Script::new();
    let mut request = script.request();
    request.group_id = "app".into();
    assert_eq!(hex(&request), include_str!("tests/join.hex").trim());
}

#[test]
fn a_beat_an_acknowledgement_and_a_leave_are_written_as_java_writes_them() {
    let mut script = Script::stable(3, &[]);
    assert_eq!(
        hex(&script.beat(listed(3, &[0, 1]))),
        "0267026d00000003000000000000ffffffffff00000000ff0000000000"
    );
    script.own(&[(0, 1), (0, 0)]);
    assert_eq!(
        hex(&script.beat(unchanged(3))),
        "0267026d00000003000000000000ffffffffff02023003000000000000000100010100ff0000000000"
    );
    script.member.leave(script.now_ms);
    assert_eq!(
        hex(&script.request()),
        "0267026dffffffff000000000000ffffffffff00000000ff0000000000"
    );
}

#[test]
fn the_first_member_of_a_group_gets_its_tasks_after_the_initial_delay() {
    let mut script = Script::new();
    let delayed = with_status(5, "initial rebalance delay", listed(1, &[]));
    let join = script.beat(delayed);
    assert_eq!(
        (join.member_epoch, join.active_tasks),
        (0, Some(Vec::new()))
    );
    assert_eq!(script.events(), [assigned(1, &[])]);
    while script.now_ms < 3_000 {
        let beat = script.beat(with_status(5, "initial rebalance delay", unchanged(1)));
        assert_eq!((beat.active_tasks, beat.topology), (None, None));
    }
    assert!(script.now_ms < 3_000 + 250, "{} ms", script.now_ms);
    assert_eq!(script.events(), []);
    script.beat(listed(3, &[0, 1]));
    assert_eq!(script.events(), [assigned(3, &[(0, 0), (0, 1)])]);
}

#[test]
fn a_task_is_reported_as_given_up_only_after_the_worker_said_so() {
    let mut script = Script::stable(27, &[0, 1]);
    script.beat(listed(27, &[0]));
    assert_eq!(script.events(), [assigned(27, &[(0, 0)])]);
    for _ in 0..5 {
        assert_eq!(script.beat(unchanged(27)).active_tasks, None);
    }
    let before_ms = script.now_ms;
    script.own(&[(0, 0)]);
    assert_eq!(script.beat(unchanged(28)).active_tasks, Some(ids(0, &[0])));
    assert!(script.now_ms <= before_ms + 1, "at once");
    // The epoch that commits need from here on.
    assert_eq!(script.events(), [assigned(28, &[(0, 0)])]);
    script.own(&[(0, 0)]);
    assert_eq!(script.beat(unchanged(28)).active_tasks, None, "told once");
}

#[test]
fn a_task_that_came_and_went_before_it_was_reported_is_reported_as_given_up() {
    let mut script = Script::stable(11, &[0]);
    script.beat(listed(11, &[0, 3]));
    // The worker takes it, but a commit is under way and nothing is said until that ends.
    script.beat(listed(11, &[0]));
    script.own_still(&[(0, 0)]);
    assert_eq!(
        script.beat(unchanged(11)).active_tasks,
        None,
        "it may hold both"
    );
    script.own(&[(0, 0)]);
    assert_eq!(script.beat(unchanged(12)).active_tasks, Some(ids(0, &[0])));
    script.own(&[(0, 0)]);
    assert_eq!(script.beat(unchanged(12)).active_tasks, None, "told once");
}

#[test]
fn beats_follow_each_other_while_things_move_and_rest_when_nothing_does() {
    let mut script = Script::stable(3, &[0]);
    let from_ms = script.now_ms;
    let mut beats = 0;
    while script.now_ms < from_ms + 60_000 {
        script.beat(unchanged(3));
        beats += 1;
    }
    assert!(
        (50..80).contains(&beats),
        "{beats} beats in a minute of rest"
    );
    script.beat(listed(4, &[]));
    let from_ms = script.now_ms;
    script.own(&[]);
    script.beat(unchanged(5));
    script.beat(unchanged(5));
    assert!(
        script.now_ms - from_ms < 30,
        "{} ms",
        script.now_ms - from_ms
    );
}

#[test]
fn a_lost_answer_is_probed_for_and_its_list_asked_for_again() {
    let mut script = Script::stable(3, &[0, 1]);
    script.lose();
    let probe = script.beat(unchanged(3));
    assert_eq!(
        (probe.member_epoch, probe.active_tasks),
        (3, Some(ids(0, &[0, 1])))
    );
    let join = script.beat(listed(4, &[0]));
    assert_eq!(
        (join.member_epoch, join.active_tasks),
        (0, Some(Vec::new()))
    );
    assert!(join.topology.is_some());
    assert_eq!(script.events(), [assigned(4, &[(0, 0)])]);
}

#[test]
fn a_lost_answer_that_comes_again_needs_no_new_join() {
    let mut script = Script::stable(3, &[0, 1]);
    script.lose();
    script.beat(listed(3, &[0]));
    assert_eq!(script.events(), [assigned(3, &[(0, 0)])]);
    script.own(&[(0, 0)]);
    assert_eq!(script.beat(unchanged(4)).member_epoch, 3);
}

#[test]
fn a_member_that_was_evicted_meanwhile_drops_its_tasks_before_it_joins_again() {
    let mut script = Script::stable(3, &[0, 1]);
    script.lose();
    script.beat(refusal(ErrorCode::UNKNOWN_MEMBER_ID));
    let events = script.events();
    assert!(
        matches!(&events[..], [GroupEvent::Fenced(why)] if why.contains("UNKNOWN_MEMBER_ID")),
        "{events:?}"
    );
    let join = script.beat(listed(9, &[0, 1]));
    assert_eq!(
        (join.member_epoch, join.active_tasks),
        (0, Some(Vec::new()))
    );
    assert_eq!(script.events(), [assigned(9, &[(0, 0), (0, 1)])]);
}

#[test]
fn two_lost_answers_in_a_row_cost_the_tasks() {
    let mut script = Script::stable(3, &[0, 1]);
    script.lose();
    script.beat(unchanged(3));
    assert_eq!(script.lose().member_epoch, 0);
    assert!(matches!(&script.events()[..], [GroupEvent::Fenced(_)]));
    assert_eq!(script.beat(listed(5, &[0])).member_epoch, 0);
    assert_eq!(script.events(), [assigned(5, &[(0, 0)])]);
}

#[test]
fn a_probe_is_repeated_when_the_join_after_it_could_not_be_sent() {
    let mut script = Script::stable(3, &[0]);
    script.lose();
    script.beat(unchanged(3));
    assert_eq!(script.request().member_epoch, 0);
    script.member.on_not_sent(script.now_ms);
    assert_eq!(
        script
            .beat(refusal(ErrorCode::NOT_COORDINATOR))
            .member_epoch,
        3
    );
    assert_eq!(
        script
            .beat(refusal(ErrorCode::FENCED_MEMBER_EPOCH))
            .member_epoch,
        3
    );
    assert!(matches!(&script.events()[..], [GroupEvent::Fenced(_)]));
}

#[test]
fn a_lost_answer_to_the_first_join_is_no_loss() {
    let mut script = Script::new();
    script.lose();
    assert_eq!(script.events(), []);
    assert_eq!(script.beat(listed(1, &[])).member_epoch, 0);
    assert_eq!(script.events(), [assigned(1, &[])]);
}

#[test]
fn another_coordinator_is_looked_for_and_nothing_is_lost() {
    let mut script = Script::stable(3, &[0]);
    for code in [
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
    ] {
        let request = script.request();
        assert_eq!(request.member_epoch, 3);
        assert!(script.member.on_response(script.now_ms, &refusal(code)));
    }
    script.beat(refusal(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
    assert_eq!(script.beat(unchanged(3)).member_epoch, 3);
    assert_eq!(script.events(), []);
}

#[test]
fn a_topology_that_differs_is_refused_for_good() {
    let mut script = Script::new();
    script.beat(refusal(ErrorCode::INVALID_REQUEST));
    let events = script.events();
    assert!(
        matches!(&events[..], [GroupEvent::Refused(why)] if why.contains("INVALID_REQUEST (42): why") && why.contains("application.id")),
        "{events:?}"
    );
    assert_eq!(
        (script.member.due_ms(), script.member.is_out()),
        (None, true)
    );
}

#[test]
fn a_missing_right_is_named() {
    let mut script = Script::new();
    script.beat(refusal(ErrorCode::GROUP_AUTHORIZATION_FAILED));
    let events = script.events();
    assert!(
        matches!(&events[..], [GroupEvent::Refused(why)] if why.contains("READ on the group")),
        "{events:?}"
    );
}

#[test]
fn a_refusal_without_words_of_the_broker_reads_well() {
    let mut script = Script::new();
    let mut answer = refusal(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    answer.error_message = None;
    script.beat(answer);
    let told = "group 'g' refuses member 'm': GROUP_AUTHORIZATION_FAILED (30) (the principal needs READ on the group)";
    assert_eq!(script.events(), [GroupEvent::Refused(told.into())]);
}

#[test]
fn a_heartbeat_that_is_invalid_costs_the_tasks_and_not_the_membership() {
    let mut script = Script::stable(3, &[0]);
    script.beat(refusal(ErrorCode::INVALID_REQUEST));
    assert!(matches!(&script.events()[..], [GroupEvent::Fenced(_)]));
    assert_eq!(script.beat(listed(4, &[0])).member_epoch, 0);
}

#[test]
fn an_unknown_server_error_is_reported_once_and_tried_again() {
    let mut script = Script::new();
    for _ in 0..4 {
        assert_eq!(
            script
                .beat(refusal(ErrorCode::UNKNOWN_SERVER_ERROR))
                .member_epoch,
            0
        );
    }
    assert!(matches!(&script.events()[..], [GroupEvent::NotReady(_)]));
    script.beat(listed(1, &[0]));
    assert_eq!(script.events(), [assigned(1, &[(0, 0)])]);
}

#[test]
fn missing_topics_are_reported_when_the_reason_changes() {
    let mut script = Script::new();
    script.beat(with_status(1, "in", listed(1, &[])));
    script.beat(with_status(1, "in", unchanged(1)));
    script.beat(with_status(2, "in=8, other=4", unchanged(1)));
    let not_ready = |why: &str| GroupEvent::NotReady(why.into());
    assert_eq!(
        script.events(),
        [
            assigned(1, &[]),
            not_ready("source topics are missing: in"),
            not_ready("partition counts do not fit: in=8, other=4"),
        ]
    );
    script.beat(listed(3, &[0]));
    script.beat(with_status(1, "in", listed(3, &[])));
    assert_eq!(
        script.events(),
        [
            assigned(3, &[(0, 0)]),
            assigned(3, &[]),
            not_ready("source topics are missing: in")
        ]
    );
}

#[test]
fn internal_topics_that_are_being_created_are_no_news_unless_it_takes_long() {
    let mut script = Script::new();
    script.beat(with_status(3, "app-x", listed(1, &[])));
    script.events();
    while script.now_ms < 4_700 {
        script.beat(with_status(3, "app-x", unchanged(1)));
    }
    assert_eq!(script.events(), []);
    while script.now_ms < 5_300 {
        script.beat(with_status(3, "app-x", unchanged(1)));
    }
    assert_eq!(
        script.events(),
        [GroupEvent::NotReady(
            "internal topics are missing: app-x".into()
        )]
    );
}

#[test]
fn a_shutdown_asked_for_by_another_member_ends_the_membership() {
    let mut script = Script::stable(3, &[0]);
    script.beat(with_status(4, "member m asked", unchanged(3)));
    let events = script.events();
    let [GroupEvent::Refused(why)] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(
        why.contains("whole application to stop: member m asked"),
        "{why}"
    );
    assert_eq!(script.beat(unchanged(-1)).member_epoch, -1);
    assert!(script.member.is_out());
}

#[test]
fn a_group_of_another_protocol_is_waited_for_and_then_joined() {
    let mut script = Script::new();
    for _ in 0..3 {
        script.beat(refusal(ErrorCode::GROUP_ID_NOT_FOUND));
    }
    let events = script.events();
    let [GroupEvent::NotReady(why)] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(
        why.contains("group 'g'") && why.contains("50000 ms"),
        "{why}"
    );
    assert_eq!(script.beat(listed(2, &[0])).member_epoch, 0);
    assert_eq!(script.events(), [assigned(2, &[(0, 0)])]);
}

#[test]
fn a_group_of_another_protocol_that_does_not_go_is_a_refusal_after_a_session() {
    let mut script = Script::new();
    while !script.member.is_out() {
        script.beat(refusal(ErrorCode::GROUP_ID_NOT_FOUND));
    }
    assert!(matches!(
        &script.events()[..],
        [GroupEvent::NotReady(_), GroupEvent::Refused(_)]
    ));
    assert!(
        (50_000..52_000).contains(&script.now_ms),
        "{}",
        script.now_ms
    );
}

#[test]
fn a_member_that_stops_the_whole_group_says_so_with_its_leave() {
    let mut script = Script::stable(3, &[0]);
    script.member.stop_group(script.now_ms);
    let leave = script.lose();
    assert_eq!((leave.member_epoch, leave.shutdown_application), (-1, true));
    let again = script.beat(unchanged(-1));
    assert_eq!((again.member_epoch, again.shutdown_application), (-1, true));
    assert!(script.member.is_out());
}

#[test]
fn leaving_is_tried_a_few_times_and_then_left_to_the_coordinator() {
    let mut script = Script::stable(3, &[0]);
    script.member.leave(script.now_ms);
    assert_eq!(script.lose().member_epoch, -1);
    script.lose();
    assert!(!script.member.is_out());
    script.lose();
    assert!(script.member.is_out());
    assert!(script.now_ms < 1_000);
}

#[test]
fn a_member_that_leaves_while_a_beat_is_in_flight_leaves_after_it() {
    let mut script = Script::stable(3, &[0]);
    script.request();
    script.member.leave(script.now_ms);
    assert_eq!(script.member.due_ms(), None);
    script
        .member
        .on_response(script.now_ms, &listed(4, &[0, 1]));
    assert_eq!(script.events(), []);
    assert_eq!(script.beat(unchanged(-1)).member_epoch, -1);
    assert!(script.member.is_out());
}

#[test]
fn a_member_that_never_joined_has_nothing_to_leave() {
    let mut script = Script::new();
    script.member.leave(0);
    assert!(script.member.is_out());
}

#[test]
fn a_refused_commit_leaves_and_joins_anew_without_an_event() {
    let mut script = Script::stable(3, &[0]);
    script.member.fenced_at_commit(script.now_ms);
    assert_eq!(script.beat(unchanged(-1)).member_epoch, -1);
    assert_eq!(script.beat(listed(7, &[0])).member_epoch, 0);
    assert_eq!(script.events(), [assigned(7, &[(0, 0)])]);
}

#[test]
fn a_worker_that_does_not_come_by_loses_its_tasks_until_it_does() {
    let mut script = Script::stable(3, &[0]);
    script.member.pause(script.now_ms);
    assert!(
        matches!(&script.events()[..], [GroupEvent::Fenced(why)] if why.contains("max.poll.interval.ms"))
    );
    assert_eq!(script.beat(unchanged(-1)).member_epoch, -1);
    assert_eq!(
        (script.member.due_ms(), script.member.is_out()),
        (None, false)
    );
    script.member.resume(script.now_ms);
    assert_eq!(script.beat(listed(8, &[0])).member_epoch, 0);
}

#[test]
fn copartition_groups_stand_in_the_order_of_javas_hash_sets() {
    // As Java sent it for a join of these two: the second topic's bucket comes first.
    let part = Subtopology {
        source_topics: vec!["kipA-in".into(), "kipB-in".into()],
        copartition_groups: vec![vec!["kipA-in".into(), "kipB-in".into()]],
        ..Subtopology::default()
    };
    let sent = topology::topology(&[part], -1);
    let group = &sent.subtopologies[0].copartition_groups[0];
    assert_eq!(group.source_topics, [1, 0]);
}
