//! A member that the group no longer has, and one whose transactional id is another's. Not who does that to it.
//! Invariant: what starts over is another member, and says so to whoever commits for it.

use super::{Script, assigned, listed, refusal, unchanged};
use crate::protocol::ErrorCode;
use headwater_log::{GroupEvent, MemberEpoch};

#[test]
fn an_evicted_member_joins_under_another_name() {
    let mut script = Script::stable(3, &[0]);
    assert_eq!(script.member.credentials(MemberEpoch(3)), Ok(None));
    let last = script.beat(refusal(ErrorCode::UNKNOWN_MEMBER_ID));
    let join = script.request();
    assert_eq!((&*last.member_id, &*join.member_id), ("m", "m.1"));
    assert_eq!(join.member_epoch, 0);
    assert!(matches!(&script.events()[..], [GroupEvent::Fenced(_)]));
}

#[test]
fn what_was_computed_before_the_eviction_is_not_committed_after_it() {
    let mut script = Script::stable(3, &[0]);
    script.beat(refusal(ErrorCode::UNKNOWN_MEMBER_ID));
    assert!(script.member.credentials(MemberEpoch(3)).is_err());
    script.beat(listed(5, &[0]));
    assert!(script.member.credentials(MemberEpoch(3)).is_err());
    assert_eq!(
        script.member.credentials(MemberEpoch(5)),
        Ok(Some("m.1".into()))
    );
}

#[test]
fn a_member_whose_transactional_id_was_taken_by_an_evictor_starts_over() {
    let mut script = Script::stable(3, &[0]);
    script.member.taken_over(script.now_ms);
    let asked = script.beat(refusal(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!((asked.member_epoch, asked.active_tasks), (3, Some(vec![])));
    assert!(matches!(&script.events()[..], [GroupEvent::Fenced(_)]));
    assert_eq!(script.beat(listed(7, &[0])).member_id, "m.1");
    assert_eq!(script.events(), [assigned(7, &[(0, 0)])]);
}

#[test]
fn a_member_that_the_group_still_has_leaves_and_starts_over_when_its_transactional_id_was_taken() {
    let mut script = Script::stable(3, &[0]);
    // The answer to what was sent before says nothing about what came after.
    script.request();
    script.member.taken_over(script.now_ms);
    script.member.on_response(script.now_ms, &unchanged(3));
    assert_eq!(script.events(), []);
    script.beat(unchanged(3));
    assert!(
        matches!(&script.events()[..], [GroupEvent::Fenced(why)] if why.contains("transactional id"))
    );
    assert_eq!(script.member.incarnation(), 1);
    let leave = script.beat(unchanged(-1));
    assert_eq!((&*leave.member_id, leave.member_epoch), ("m", -1));
    assert_eq!(script.beat(listed(7, &[0])).member_id, "m.1");
}

#[test]
fn of_two_members_that_take_each_others_transactional_id_one_stays_out() {
    let mut script = Script::stable(3, &[0]);
    for round in 1..=4 {
        script.member.taken_over(script.now_ms);
        script.beat(unchanged(3));
        let events = script.events();
        if round == 4 {
            assert!(
                matches!(&events[..], [GroupEvent::Refused(why)] if why.contains("process id"))
            );
            break;
        }
        assert!(matches!(&events[..], [GroupEvent::Fenced(_)]));
        script.beat(unchanged(-1));
        script.beat(listed(3, &[0]));
        script.events();
    }
    assert_eq!(script.beat(unchanged(-1)).member_epoch, -1);
    assert!(script.member.is_out());
}

#[test]
fn a_member_that_is_woken_beats_at_once() {
    let mut script = Script::stable(3, &[0]);
    while script.now_ms < 10_000 {
        script.beat(unchanged(3));
    }
    assert!(script.member.due_ms() > Some(script.now_ms + 500));
    script.member.wake(script.now_ms);
    assert_eq!(script.member.due_ms(), Some(script.now_ms));
}

#[test]
fn what_is_written_after_a_refused_commit_is_another_members_before_the_former_has_left() {
    let mut script = Script::stable(3, &[0]);
    script.member.fenced_at_commit(script.now_ms);
    assert_eq!(script.member.incarnation(), 1);
    let leave = script.beat(refusal(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!((&*leave.member_id, leave.member_epoch), ("m", -1));
    assert_eq!(script.beat(listed(7, &[0])).member_id, "m.1");
    assert_eq!(script.member.incarnation(), 1);
}
