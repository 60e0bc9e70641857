//! Behaviours of positions: those committed by groups, and those looked up in partitions. Not of group membership.
//! Invariant: a position once committed is what every later reader of it gets, until it is replaced, forgotten or its topic deleted.

use super::{
    Harness,
    groups::Worker,
    kit::{Kit, end_of, position},
};
use crate::{AppendRecord, CommitRequest, CommittedOffset, Error, OffsetSpec, Request, Response};

/// Kafka Streams keeps the partition time there.
pub fn committed_positions_keep_metadata_and_leader_epoch(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    let group = kit.name("group");
    let full = CommittedOffset {
        offset: 3,
        leader_epoch: Some(0),
        metadata: "AgAAAAAAAAXc".into(),
    };
    let request = CommitRequest {
        group: Some(group.as_str().into()),
        member: None,
        offsets: vec![
            (kit.at("t", 0), full.clone()),
            (kit.at("t", 1), CommittedOffset::at(0)),
        ],
    };
    client.commit_with(request).unwrap();
    let positions = client.positions(&group);
    assert_eq!(positions[&kit.at("t", 0)], full);
    assert_eq!(positions[&kit.at("t", 1)], CommittedOffset::at(0));
    assert_eq!(kit.client("other").positions(&group), positions);
}

/// Seen together or not at all.
pub fn positions_commit_together_with_records(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    let (input, output) = (kit.at("t", 0), kit.at("t", 1));
    let group = kit.name("group");
    client.add(&output, "a");
    client.commit_with(position(&group, &input, 1)).unwrap();
    client.add(&output, "never");
    client.done(Request::Abort);
    assert_eq!(client.positions(&group)[&input].offset, 1);
    assert_eq!(kit.texts(&output), ["a"]);
}

/// Forth and back.
pub fn a_later_commit_replaces_positions(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    let group = kit.name("group");
    for (partition, offset) in [(0, 5), (1, 6), (0, 9), (0, 2)] {
        let partition = kit.at("t", partition);
        client
            .commit_with(position(&group, &partition, offset))
            .unwrap();
    }
    let positions = client.positions(&group);
    assert_eq!(positions[&kit.at("t", 0)].offset, 2);
    assert_eq!(positions[&kit.at("t", 1)].offset, 6);
}

/// Absence is the answer "never committed".
pub fn only_partitions_with_a_position_are_returned(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 3);
    let group = kit.name("group");
    client
        .commit_with(position(&group, &kit.at("t", 1), 4))
        .unwrap();
    let asked = vec![kit.at("t", 0), kit.at("t", 1), kit.at("t", 2)];
    let request = Request::CommittedOffsets {
        group: group.as_str().into(),
        partitions: Some(asked),
    };
    match client.ask(request) {
        Ok(Response::Committed(found)) => {
            assert_eq!(found, [(kit.at("t", 1), CommittedOffset::at(4))]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.positions(&kit.name("nobody")).len(), 0);
}

/// Each group reads for itself.
pub fn groups_do_not_share_positions(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    client
        .commit_with(position(&kit.name("one"), &partition, 1))
        .unwrap();
    client
        .commit_with(position(&kit.name("two"), &partition, 2))
        .unwrap();
    assert_eq!(client.positions(&kit.name("one"))[&partition].offset, 1);
    assert_eq!(client.positions(&kit.name("two"))[&partition].offset, 2);
}

/// What a reset does.
pub fn positions_are_set_and_forgotten_in_a_group_without_members(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    let group = kit.name("group");
    let (one, two) = (kit.at("t", 0), kit.at("t", 1));
    client.commit_with(position(&group, &one, 5)).unwrap();
    client.done(Request::SetOffsets {
        group: group.as_str().into(),
        offsets: vec![
            (one.clone(), None),
            (two.clone(), Some(CommittedOffset::at(8))),
        ],
    });
    let positions = client.positions(&group);
    assert_eq!(positions.len(), 1);
    assert_eq!(positions[&two].offset, 8);
}

/// Members would not notice, and would commit over it.
pub fn a_group_with_members_refuses_changes_from_outside(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("in", 1);
    let partition = kit.at("in", 0);
    let mut worker = Worker::new(&kit, "a", "p");
    worker.until("a task", |worker| !worker.active.is_empty());
    let group = kit.name("app");
    let set = Request::SetOffsets {
        group: group.as_str().into(),
        offsets: vec![(partition.clone(), Some(CommittedOffset::at(1)))],
    };
    let delete = Request::DeleteGroup(group.as_str().into());
    for request in [&set, &delete] {
        let error = client.refused(request.clone());
        assert!(
            matches!(&error, Error::Invalid(why) if why.contains(&group)),
            "{error:?}"
        );
    }
    worker.client.leave();
    client.done(set);
    assert_eq!(client.positions(&group)[&partition].offset, 1);
}

/// And can be founded anew.
pub fn a_deleted_group_has_no_positions(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let group = kit.name("group");
    client.commit_with(position(&group, &partition, 5)).unwrap();
    client.done(Request::DeleteGroup(group.as_str().into()));
    assert_eq!(client.positions(&group).len(), 0);
    client.commit_with(position(&group, &partition, 1)).unwrap();
    assert_eq!(client.positions(&group)[&partition].offset, 1);
}

/// In an idle partition stable and end are the same.
pub fn start_stable_and_end_are_looked_up(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    for spec in [OffsetSpec::Start, OffsetSpec::Stable, OffsetSpec::End] {
        assert_eq!(client.look_up(&partition, spec), 0);
    }
    let end = end_of(&client.write(&partition, &["a", "b"]), &partition);
    client.until("the commit's end", |client| {
        let stable = client.look_up(&partition, OffsetSpec::Stable);
        (stable >= end && client.look_up(&partition, OffsetSpec::End) == stable).then_some(())
    });
    client.add(&partition, "open");
    client.pump();
    let stable = client.look_up(&partition, OffsetSpec::Stable);
    assert!(stable <= client.look_up(&partition, OffsetSpec::End));
    assert_eq!(client.look_up(&partition, OffsetSpec::Start), 0);
}

/// The first record at least as late.
pub fn an_offset_is_found_by_time(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let slot = client.at(&partition);
    let mut offsets = Vec::new();
    for batch in [[100, 200], [300, 400]] {
        for timestamp in batch {
            let record = AppendRecord {
                timestamp,
                value: Some(b"v"),
                ..AppendRecord::default()
            };
            client.append(slot, &record).unwrap();
        }
        let end = end_of(&client.commit(), &partition);
        offsets.extend([end - 2, end - 1]);
    }
    for (time, index) in [
        (0, 0),
        (100, 0),
        (101, 1),
        (200, 1),
        (201, 2),
        (350, 3),
        (400, 3),
    ] {
        let found = client.look_up(&partition, OffsetSpec::AtTime(time));
        if !harness.is_distributed() {
            assert_eq!(found, offsets[index], "at {time}");
        }
        // Else it may be the place of a marker, which has a time of its own: what is read from there on counts.
        let end = client.look_up(&partition, OffsetSpec::Stable);
        let rows = client.read_until(&partition, found, end);
        let first = rows.iter().find(|row| row.timestamp >= time).unwrap();
        assert_eq!(first.offset, offsets[index], "at {time}");
    }
    let end = client.look_up(&partition, OffsetSpec::Stable);
    let found = client.look_up(&partition, OffsetSpec::AtTime(401));
    assert!(harness.is_distributed() || found == end, "{found} of {end}");
    let rows = client.read_until(&partition, found, end);
    assert!(rows.iter().all(|row| row.timestamp < 401), "{rows:?}");
}
