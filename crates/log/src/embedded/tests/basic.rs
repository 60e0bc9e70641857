//! Open, append, commit, read, close, open again. Not crashes: see `crash`.
//! Invariant: what is read after opening again is what was read before.

use super::kit::{DIR, Session, partition, topic};
use crate::{Error, OffsetSpec, embedded::EmbeddedOptions};
use headwater_world::World;
use std::path::Path;

fn survives_reopening(world: &World, dir: &Path, options: &EmbeddedOptions) {
    let (a, b) = (partition("t", 0), partition("t", 1));
    let mut session = Session::open(dir, world, options.clone()).unwrap();
    session.create(&[topic("t", 2, &[])]).unwrap();
    for round in 0..50 {
        for record in 0..4 {
            let value = format!("value {round} {record}");
            session.append(&a, Some("key"), Some(&value), 1000 + round);
            session.append(&b, None, Some(&value), 1000 + round);
        }
        let receipt = session.commit(&[(a.clone(), round * 4)]).unwrap();
        assert_eq!(
            receipt.ends,
            [(a.clone(), round * 4 + 4), (b.clone(), round * 4 + 4)]
        );
    }
    let before = (session.read(&a, 0).unwrap(), session.read(&b, 57).unwrap());
    assert_eq!(before.0.len(), 200);
    assert_eq!(before.1.first().unwrap().0, 57);
    let (log, client) = (session.log, session.client);
    drop(client);
    drop(log);
    for _ in 0..2 {
        let mut session = Session::open(dir, world, options.clone()).unwrap();
        let after = (session.read(&a, 0).unwrap(), session.read(&b, 57).unwrap());
        assert_eq!(before, after);
        assert_eq!(session.committed().unwrap(), [(a.clone(), 196)]);
        assert_eq!(session.offset(&a, OffsetSpec::AtTime(1010)).unwrap(), 40);
        assert_eq!(session.log.warnings(), Vec::<String>::new());
    }
}

#[test]
fn what_was_committed_is_there_after_reopening() {
    let small = EmbeddedOptions {
        journal_file_bytes_max: 2000,
        segment_bytes: 700,
        ..EmbeddedOptions::default()
    };
    for options in [EmbeddedOptions::default(), small] {
        let dir = tempfile::tempdir().unwrap();
        survives_reopening(&World::real(), &dir.path().join("log"), &options);
        survives_reopening(&World::simulated(1).world, Path::new(DIR), &options);
    }
}

#[test]
fn a_second_opener_is_told_which_directory_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::real();
    let _session = Session::open(dir.path(), &world, EmbeddedOptions::default()).unwrap();
    let error = Session::open(dir.path(), &world, EmbeddedOptions::default())
        .err()
        .unwrap();
    let message = error.to_string();
    assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
    assert!(message.contains("open_read_only"), "{message}");
}

#[test]
fn a_commit_to_an_unknown_topic_leaves_no_effect() {
    let world = World::simulated(1).world;
    let mut session = Session::open(Path::new(DIR), &world, EmbeddedOptions::default()).unwrap();
    session.create(&[topic("t", 1, &[])]).unwrap();
    let known = partition("t", 0);
    session.append(&known, None, Some("dropped"), 0);
    session.append(&partition("nowhere", 0), None, Some("lost"), 0);
    let error = session.commit(&[]).unwrap_err();
    assert!(
        matches!(&error, Error::UnknownTopic(name) if name == "nowhere"),
        "{error}"
    );
    assert_eq!(session.read(&known, 0).unwrap(), []);
    session.append(&known, None, Some("kept"), 0);
    session.commit(&[(known.clone(), 5)]).unwrap();
    assert_eq!(
        session.read(&known, 0).unwrap(),
        [(0, None, Some("kept".into()))]
    );
}
