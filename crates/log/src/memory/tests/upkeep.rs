//! Compaction and deletion on demand. Not when a real log would do either.
//! Invariant: offsets stay what they were, and a reader passes over the holes.

use super::*;

#[test]
fn compaction_keeps_the_newest_of_each_key_at_its_offset() {
    for kafka_like in [false, true] {
        let scene = Scene::with_topic(Faults {
            kafka_like,
            ..Faults::default()
        });
        let mut client = scene.client("a");
        for (key, value) in [
            ("a", Some("1")),
            ("b", Some("1")),
            ("a", Some("2")),
            ("c", None),
        ] {
            add_pair(&mut *client, key, value);
        }
        scene.ask(&mut *client, commit(1)).unwrap();
        add_pair(&mut *client, "b", Some("never"));
        client.poll();
        scene.ask(&mut *client, Request::Abort).unwrap();
        let before = (scene.look_up(OffsetSpec::End), scene.read());
        scene.log.compact("t").unwrap();
        let rows = scene.read();
        assert_eq!(rows, [(1, "1".into()), (2, "2".into()), (3, "-".into())]);
        assert!(rows.iter().all(|row| before.1.contains(row)));
        scene.log.compact_with_tombstones("t").unwrap();
        assert_eq!(scene.read(), rows[..2]);
        assert_eq!(scene.look_up(OffsetSpec::End), before.0);
        add_pair(&mut *client, "d", Some("4"));
        scene.ask(&mut *client, commit(2)).unwrap();
        assert_eq!(scene.read()[2], (before.0, "4".into()));
    }
}

#[test]
fn a_reader_passes_over_a_hole_at_the_end() {
    let scene = Scene::with_topic(Faults::default());
    let mut client = scene.client("a");
    add_pair(&mut *client, "a", None);
    scene.ask(&mut *client, commit(1)).unwrap();
    scene.log.compact_with_tombstones("t").unwrap();
    let slot = client.slot(&t());
    client.read_from(slot, 0);
    let chunk = client.fetch().unwrap().unwrap();
    assert_eq!(
        (chunk.bytes.len(), chunk.next_offset, chunk.end_offset),
        (0, 1, 1)
    );
    assert!(client.fetch().unwrap().is_none());
}

#[test]
fn compaction_leaves_what_is_not_stable() {
    let scene = Scene::with_topic(Faults {
        kafka_like: true,
        ..Faults::default()
    });
    let (mut done, mut open) = (scene.client("done"), scene.client("open"));
    add_pair(&mut *done, "k", Some("old"));
    scene.ask(&mut *done, commit(1)).unwrap();
    add_pair(&mut *open, "k", Some("open"));
    open.poll();
    scene.log.compact("t").unwrap();
    scene.ask(&mut *open, commit(1)).unwrap();
    assert_eq!(scene.values(), ["old", "open"]);
}

#[test]
fn retention_moves_the_start() {
    let scene = Scene::with_topic(Faults::default());
    let mut client = scene.client("a");
    for value in ["a", "b", "c"] {
        add(&mut *client, value);
    }
    scene.ask(&mut *client, commit(1)).unwrap();
    scene.log.delete_before(&t(), 2).unwrap();
    assert_eq!(scene.read(), [(2, "c".into())]);
    scene.log.delete_before(&t(), 9).unwrap();
    assert_eq!(scene.look_up(OffsetSpec::Start), 3);
    assert!(scene.log.compact("missing").is_err());
}
