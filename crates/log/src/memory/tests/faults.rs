//! Lost, late and frozen: what a client hears, and what is true. Not group membership: see [`super::groups`].
//! Invariant: what `Settle` says is what readers find.

use super::*;
use crate::Error;

fn unreliable(seed: u64) -> Faults {
    Faults {
        seed,
        kafka_like: seed.is_multiple_of(2),
        delay_polls_max: (seed % 5) as u32,
        lose_request_per_mille: 100,
        lose_answer_per_mille: 100,
        request_timeout_ms: 20,
        ..Faults::default()
    }
}

/// Commits until told that it took effect or not; true when it did.
fn commit_and_settle(
    scene: &Scene,
    client: &mut dyn Client,
    offset: i64,
    trace: &mut String,
) -> bool {
    let mut answer = scene.ask(client, commit(offset));
    loop {
        trace.push_str(&format!("{offset}: {answer:?}\n"));
        match answer {
            Ok(Response::Receipt(_)) => return true,
            Ok(Response::Aborted) | Err(Error::Aborted(_)) => return false,
            Err(Error::UnknownOutcome | Error::TimedOut(_)) => {
                answer = scene.ask(client, Request::Settle);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The whole conversation of one seed, after checking that it was told the truth.
fn converse(seed: u64) -> String {
    let scene = Scene::with_topic(unreliable(seed));
    let mut client = scene.client("a");
    let mut trace = String::new();
    let mut wanted = Vec::new();
    for offset in 0..30 {
        add(&mut *client, &format!("{offset}a"));
        client.poll();
        add(&mut *client, &format!("{offset}b"));
        if commit_and_settle(&scene, &mut *client, offset, &mut trace) {
            wanted.push(offset);
        }
    }
    scene.log.set_faults(Faults::default());
    let values: Vec<_> = wanted
        .iter()
        .flat_map(|offset| [format!("{offset}a"), format!("{offset}b")])
        .collect();
    assert_eq!(scene.values(), values, "seed {seed}\n{trace}");
    assert_eq!(
        scene.position(),
        wanted.last().copied(),
        "seed {seed}\n{trace}"
    );
    trace
}

#[test]
fn an_unknown_commit_is_settled_truthfully() {
    let traces: String = (0..200).map(converse).collect();
    for word in ["UnknownOutcome", "TimedOut", "Aborted", "Receipt"] {
        assert!(traces.contains(word), "no seed led to {word}");
    }
}

#[test]
fn the_same_seed_gives_the_same_answers() {
    assert_eq!(converse(4), converse(4));
    assert_ne!(converse(4), converse(6));
}

#[test]
fn a_lost_request_leaves_no_effect() {
    for kafka_like in [false, true] {
        let scene = Scene::with_topic(Faults {
            kafka_like,
            lose_request_per_mille: 1000,
            ..Faults::default()
        });
        let mut client = scene.client("a");
        let answer = scene.ask(&mut *client, create("lost"));
        assert!(matches!(answer, Err(Error::TimedOut(_))), "{answer:?}");
        add(&mut *client, "never");
        scene.ask(&mut *client, commit(1)).unwrap_err();
        let refused = client.append(crate::Slot(0), &AppendRecord::default());
        assert!(
            matches!(refused, Err(Error::UnknownOutcome)),
            "settle first"
        );
        scene.log.set_faults(Faults::default());
        let answer = scene.ask(&mut *client, commit(1));
        assert!(matches!(answer, Err(Error::UnknownOutcome)), "settle first");
        let answer = scene.ask(&mut *client, Request::Settle);
        assert!(matches!(answer, Ok(Response::Aborted)), "{answer:?}");
        scene.ask(&mut *client, create("lost")).unwrap();
        assert_eq!(scene.position(), None);
        add(&mut *client, "after");
        scene.ask(&mut *client, commit(1)).unwrap();
        assert_eq!(scene.values(), ["after"]);
    }
}

#[test]
fn a_lost_answer_leaves_the_effect() {
    for kafka_like in [false, true] {
        let scene = Scene::with_topic(Faults {
            kafka_like,
            lose_answer_per_mille: 1000,
            ..Faults::default()
        });
        let mut client = scene.client("a");
        add(&mut *client, "there");
        let answer = scene.ask(&mut *client, commit(1));
        assert!(
            matches!(answer, Err(Error::UnknownOutcome | Error::TimedOut(_))),
            "{answer:?}"
        );
        let answer = scene.ask(&mut *client, create("t"));
        assert!(matches!(answer, Err(Error::TimedOut(_))), "{answer:?}");
        scene.log.set_faults(Faults::default());
        let answer = scene.ask(&mut *client, Request::Settle);
        assert!(matches!(answer, Ok(Response::Receipt(_))), "{answer:?}");
        assert_eq!(scene.values(), ["there"]);
        assert_eq!(scene.position(), Some(1));
    }
}

#[test]
fn a_lost_abort_does_not_let_its_records_into_the_next_commit() {
    let scene = Scene::with_topic(Faults {
        kafka_like: true,
        ..Faults::default()
    });
    let mut client = scene.client("a");
    add(&mut *client, "never");
    client.poll();
    scene.log.set_faults(Faults {
        lose_request_per_mille: 1000,
        request_timeout_ms: 100,
        ..Faults::default()
    });
    let answer = scene.ask(&mut *client, Request::Abort);
    assert!(matches!(answer, Err(Error::TimedOut(_))), "{answer:?}");
    scene.log.set_faults(Faults::default());
    add(&mut *client, "kept");
    scene.ask(&mut *client, commit(1)).unwrap();
    assert_eq!(scene.values(), ["kept"]);
}

#[test]
fn a_commit_after_one_in_doubt_is_not_tried() {
    let scene = Scene::with_topic(Faults {
        lose_request_per_mille: 1000,
        request_timeout_ms: 10,
        ..Faults::default()
    });
    let mut client = scene.client("a");
    add(&mut *client, "never");
    let first = client.submit(commit(1));
    add(&mut *client, "never either");
    let second = client.submit(commit(2));
    scene.wait(&mut *client, first).unwrap_err();
    scene.log.set_faults(Faults::default());
    let answer = scene.wait(&mut *client, second);
    assert!(matches!(answer, Err(Error::UnknownOutcome)), "{answer:?}");
    let answer = scene.ask(&mut *client, Request::Settle);
    assert!(matches!(answer, Ok(Response::Aborted)), "{answer:?}");
    assert_eq!(scene.values(), [""; 0]);
}

#[test]
fn a_frozen_client_hears_nothing_until_it_thaws() {
    let scene = Scene::with_topic(Faults::default());
    let mut client = scene.client("cold");
    add(&mut *client, "a");
    let slot = client.slot(&t());
    client.read_from(slot, 0);
    scene.log.freeze("cold");
    let ticket = client.submit(commit(1));
    for _ in 0..10 {
        assert!(client.poll().is_none());
        assert!(client.fetch().unwrap().is_none());
    }
    assert_eq!(scene.values(), [""; 0]);
    scene.log.thaw("cold");
    scene.wait(&mut *client, ticket).unwrap();
    assert!(client.fetch().unwrap().is_some());
}

#[test]
fn an_unavailable_partition_is_neither_read_nor_written() {
    for kafka_like in [false, true] {
        let scene = Scene::with_topic(Faults {
            kafka_like,
            ..Faults::default()
        });
        let mut client = scene.client("a");
        add(&mut *client, "a");
        scene.ask(&mut *client, commit(1)).unwrap();
        let slot = client.slot(&t());
        client.read_from(slot, 0);
        scene.log.set_available(&t(), false);
        assert!(client.fetch().unwrap().is_none());
        add(&mut *client, "b");
        let ticket = client.submit(commit(2));
        for _ in 0..10 {
            assert!(client.poll().is_none());
        }
        scene.log.set_available(&t(), true);
        scene.wait(&mut *client, ticket).unwrap();
        assert!(client.fetch().unwrap().is_some());
        scene.log.set_available(&t(), false);
        add(&mut *client, "never");
        scene.ask(&mut *client, commit(3)).unwrap_err();
        scene.log.set_available(&t(), true);
        let answer = scene.ask(&mut *client, Request::Settle);
        assert!(matches!(answer, Ok(Response::Aborted)), "{answer:?}");
        assert_eq!(scene.values(), ["a", "b"]);
    }
}

#[test]
fn partitions_that_go_away_come_back_and_nothing_is_lost() {
    let scene = Scene::with_topic(Faults::default());
    let mut client = scene.client("a");
    for offset in 0..50 {
        add(&mut *client, &offset.to_string());
        scene.ask(&mut *client, commit(offset)).unwrap();
    }
    scene.log.set_faults(Faults {
        seed: 3,
        unavailable_per_mille: 200,
        unavailable_ms: 5,
        delay_polls_max: 2,
        ..Faults::default()
    });
    let mut reader = scene.log.client(ClientOptions {
        fetch_bytes_max: 1,
        ..ClientOptions::default()
    });
    let reader = reader.as_mut().unwrap();
    let slot = reader.slot(&t());
    reader.read_from(slot, 0);
    let (mut at, mut empty) = (0, 0);
    while at < 50 {
        reader.poll();
        match reader.fetch().unwrap() {
            Some(chunk) => {
                assert_eq!(chunk.position, at);
                at = chunk.next_offset;
            }
            None => {
                empty += 1;
                scene.advance(1);
            }
        }
    }
    assert!(empty > 10, "only {empty} fetches found the partition away");
}
