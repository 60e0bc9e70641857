//! Transactions as on Kafka, and without its traces. Not what both have in common: that is the suite.
//! Invariant: a committed reader stops at the first open transaction and never sees an aborted one.

use super::*;
use crate::Error;

fn kafka_like() -> Scene {
    Scene::with_topic(Faults {
        kafka_like: true,
        ..Faults::default()
    })
}

#[test]
fn an_open_transaction_holds_the_stable_offset_back() {
    let scene = kafka_like();
    let (mut open, mut other) = (scene.client("open"), scene.client("other"));
    add(&mut *open, "a");
    open.poll();
    add(&mut *other, "b");
    scene.ask(&mut *other, commit(1)).unwrap();
    assert_eq!(scene.look_up(OffsetSpec::Stable), 0);
    assert_eq!(scene.look_up(OffsetSpec::End), 3, "a, b and b's marker");
    assert_eq!(scene.values(), [""; 0]);
    scene.ask(&mut *open, commit(1)).unwrap();
    assert_eq!(scene.look_up(OffsetSpec::Stable), 4);
    assert_eq!(scene.read(), [(0, "a".into()), (1, "b".into())]);
}

#[test]
fn markers_and_positions_may_come_after_the_answer() {
    let scene = kafka_like();
    scene.log.set_faults(Faults {
        marker_delay_ms_max: 5_000,
        ..Faults::default()
    });
    let mut client = scene.client("a");
    add(&mut *client, "a");
    scene.ask(&mut *client, commit(1)).unwrap();
    assert_eq!(scene.look_up(OffsetSpec::Stable), 0, "the marker is owed");
    assert_eq!(scene.look_up(OffsetSpec::End), 1);
    // Its producer waits for its markers before it writes on; a later client of its id does, too.
    add(&mut *client, "b");
    client.poll();
    assert_eq!(scene.values(), ["a"]);
    scene.ask(&mut *client, commit(2)).unwrap();
    assert_eq!(scene.look_up(OffsetSpec::Stable), 2);
    drop(scene.client("a"));
    assert_eq!(scene.values(), ["a", "b"]);
    assert_eq!(scene.position(), Some(2));
}

#[test]
fn aborted_records_leave_gaps_as_on_kafka_and_none_otherwise() {
    for (kafka_like, offsets) in [(true, [4, 5]), (false, [0, 1])] {
        let scene = Scene::with_topic(Faults {
            kafka_like,
            ..Faults::default()
        });
        let mut client = scene.client("a");
        for _ in 0..3 {
            add(&mut *client, "never");
        }
        client.poll();
        scene.ask(&mut *client, Request::Abort).unwrap();
        add(&mut *client, "a");
        add(&mut *client, "b");
        scene.ask(&mut *client, commit(1)).unwrap();
        assert_eq!(
            scene.read(),
            [(offsets[0], "a".into()), (offsets[1], "b".into())]
        );
    }
}

#[test]
fn a_reader_that_is_not_exactly_once_sees_open_records_as_on_kafka() {
    let scene = kafka_like();
    let mut writer = scene.client("a");
    add(&mut *writer, "open");
    writer.poll();
    let mut reader = scene.client_as("r", Guarantee::AtLeastOnce);
    let slot = reader.slot(&t());
    reader.read_from(slot, 0);
    assert!(reader.fetch().unwrap().is_some());
}

#[test]
fn a_transaction_open_for_too_long_is_aborted_and_its_client_told() {
    let scene = kafka_like();
    let mut client = scene.client("a");
    add(&mut *client, "never");
    client.poll();
    scene.advance(10_001);
    assert_eq!(
        scene.look_up(OffsetSpec::Stable),
        2,
        "the tick of any client aborts it"
    );
    add(&mut *client, "never either");
    let answer = scene.ask(&mut *client, commit(1));
    assert!(matches!(answer, Err(Error::Aborted(_))), "{answer:?}");
    add(&mut *client, "after");
    scene.ask(&mut *client, commit(1)).unwrap();
    assert_eq!(scene.values(), ["after"]);
}

/// A commit of position 7 that is under way with its positions in the open transaction; `None` when this seed runs past that.
fn met_between_its_steps(seed: u64) -> Option<(Scene, Box<dyn Client>, Ticket)> {
    let scene = kafka_like();
    let mut client = scene.client("slow");
    add(&mut *client, "never");
    scene.log.set_faults(Faults {
        seed,
        delay_polls_max: 5,
        ..Faults::default()
    });
    let ticket = client.submit(commit(7));
    while client.poll().is_none() {
        if scene.log.shared.with(|state| state.has_open_offsets("g")) {
            scene.log.freeze("slow");
            scene.log.set_faults(Faults::default());
            return Some((scene, client, ticket));
        }
    }
    None
}

#[test]
fn positions_of_an_open_transaction_are_waited_out() {
    let (scene, mut client, ticket) = (0..20).find_map(met_between_its_steps).unwrap();
    let mut heir = scene.log.client(ClientOptions::default()).unwrap();
    let request = Request::CommittedOffsets {
        group: "g".into(),
        partitions: None,
    };
    let asked = heir.submit(request);
    for _ in 0..10 {
        assert!(heir.poll().is_none());
    }
    scene.advance(10_001);
    let answer = scene.wait(&mut *heir, asked);
    assert!(
        matches!(&answer, Ok(Response::Committed(positions)) if positions.is_empty()),
        "{answer:?}"
    );
    scene.log.thaw("slow");
    let answer = scene.wait(&mut *client, ticket);
    assert!(matches!(answer, Err(Error::Aborted(_))), "{answer:?}");
    assert_eq!(scene.position(), None);
}

#[test]
fn a_topic_deleted_under_a_transaction_takes_its_part_along() {
    let scene = kafka_like();
    let mut client = scene.client("a");
    add(&mut *client, "gone");
    client.poll();
    let mut admin = scene.client("admin");
    scene
        .ask(&mut *admin, Request::DeleteTopics(vec!["t".into()]))
        .unwrap();
    scene.ask(&mut *admin, create("t")).unwrap();
    scene
        .ask(&mut *client, Request::Commit(CommitRequest::default()))
        .unwrap();
    assert_eq!(scene.look_up(OffsetSpec::End), 0);
}
