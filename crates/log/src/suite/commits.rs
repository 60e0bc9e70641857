//! Behaviours of commits: all or nothing, in order, fenced, settled. Not of the positions that go with them: see
//! [`super::positions`]. Invariant: what a committed reader sees was committed, whole, by a client that was not fenced.

use super::{
    Harness,
    kit::{Kit, end_of, position},
};
use crate::{CommitRequest, Error, Guarantee, OffsetSpec, Request, Response};

/// One past the last offset written, by partition, each once.
pub fn a_receipt_holds_the_end_of_every_partition_written(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 3);
    let (one, two) = (kit.at("t", 2), kit.at("t", 0));
    client.add(&one, "a");
    client.add(&two, "b");
    client.add(&one, "c");
    let receipt = client.commit();
    let names: Vec<_> = receipt.ends.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(
        names,
        [two.clone(), one.clone()],
        "sorted, and only what was written"
    );
    for partition in [&one, &two] {
        let last = kit.read_all(partition).pop().unwrap();
        assert_eq!(end_of(&receipt, partition), last.offset + 1);
    }
    let second = client.write(&one, &["d"]);
    assert_eq!(second.ends.len(), 1);
    assert!(end_of(&second, &one) > end_of(&receipt, &one));
}

/// However long the client waits and polls.
pub fn records_are_not_seen_before_their_commit(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    client.write(&partition, &["before"]);
    client.add(&partition, "a");
    for _ in 0..10 {
        client.pump();
        harness.advance(1);
    }
    assert_eq!(kit.texts(&partition), ["before"]);
    client.commit();
    assert_eq!(kit.texts(&partition), ["before", "a"]);
}

/// Neither at once nor after later commits.
pub fn aborted_records_are_never_seen(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    let (written, untouched) = (kit.at("t", 0), kit.at("t", 1));
    client.write(&written, &["a"]);
    for round in 0..3 {
        client.add(&written, "never");
        client.add(&untouched, "never");
        client.pump();
        client.add(&written, "never");
        client.done(Request::Abort);
        client.write(&written, &[&format!("after {round}")]);
    }
    assert_eq!(kit.texts(&written), ["a", "after 0", "after 1", "after 2"]);
    assert_eq!(kit.texts(&untouched), [""; 0]);
    assert_eq!(client.appended_bytes(), 0);
}

/// Submitting is the cut, not the completion.
pub fn appends_after_a_submitted_commit_belong_to_the_next(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    client.add(&partition, "first");
    let ticket = client.submit(Request::Commit(CommitRequest::default()));
    client.add(&partition, "dropped");
    client.committed(ticket).unwrap();
    assert_eq!(kit.texts(&partition), ["first"]);
    client.done(Request::Abort);
    client.add(&partition, "second");
    let ticket = client.submit(Request::Commit(CommitRequest::default()));
    client.add(&partition, "third");
    client.committed(ticket).unwrap();
    client.commit();
    assert_eq!(kit.texts(&partition), ["first", "second", "third"]);
}

/// One bad partition, and neither the good ones nor the positions take effect.
pub fn a_refused_commit_leaves_nothing(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    let (good, also_good, bad) = (kit.at("t", 0), kit.at("t", 1), kit.at("missing", 0));
    let group = kit.name("group");
    client.add(&good, "never");
    client.add(&bad, "never");
    client.add(&also_good, "never");
    let error = client.commit_with(position(&group, &good, 7)).unwrap_err();
    assert!(matches!(error, Error::UnknownTopic(name) if name == *bad.topic));
    assert_eq!(client.positions(&group).len(), 0);
    client.write(&good, &["a"]);
    assert_eq!(kit.texts(&good), ["a"]);
    assert_eq!(kit.texts(&also_good), [""; 0]);
}

/// It was computed from state that does not hold.
pub fn what_was_appended_before_a_failed_commit_was_handed_out_is_dropped(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let (good, bad) = (kit.at("t", 0), kit.at("missing", 0));
    client.add(&bad, "never");
    let ticket = client.submit(Request::Commit(CommitRequest::default()));
    client.add(&good, "never");
    client.committed(ticket).unwrap_err();
    assert_eq!(client.appended_bytes(), 0);
    client.write(&good, &["a"]);
    assert_eq!(kit.texts(&good), ["a"]);
}

/// With nothing appended and no positions.
pub fn an_empty_commit_succeeds(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client("writer");
    for _ in 0..3 {
        assert_eq!(client.commit().ends, []);
    }
    client.done(Request::Abort);
}

/// The weaker promise, the same calls.
pub fn at_least_once_commits_records_and_positions(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_with("weaker", |options| {
        options.guarantee = Guarantee::AtLeastOnce;
        options.transactional_id = None;
    });
    kit.create(&mut client, "t", 1);
    let partition = kit.at("t", 0);
    let group = kit.name("group");
    client.add(&partition, "a");
    client.add(&partition, "b");
    let receipt = client.commit_with(position(&group, &partition, 1)).unwrap();
    assert_eq!(end_of(&receipt, &partition), 2);
    assert_eq!(client.positions(&group)[&partition].offset, 1);
    assert_eq!(client.read_until(&partition, 0, 2).len(), 2);
    assert_eq!(kit.texts(&partition), ["a", "b"]);
}

/// Memory is bounded by refusing, not by dropping.
pub fn appends_beyond_the_limit_wait_for_a_commit(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_with("limited", |options| options.append_bytes_max = 2_000);
    kit.create(&mut client, "t", 1);
    let partition = kit.at("t", 0);
    let mut taken = 0;
    let error = loop {
        match client.try_add(&partition, &"x".repeat(100)) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(client.appended_bytes() <= 2_000 && taken < 100);
    };
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(taken > 0 && client.appended_bytes() > 0);
    client.commit();
    assert_eq!(client.appended_bytes(), 0);
    client.write(&partition, &["one more"]);
    assert_eq!(kit.read_all(&partition).len(), taken + 1);
}

/// After an answer was lost this is how a worker finds out; without a loss it says the same as the answer did.
pub fn settle_tells_how_the_last_commit_ended(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let (good, bad) = (kit.at("t", 0), kit.at("missing", 0));
    let written = client.write(&good, &["a"]);
    match client.ask(Request::Settle) {
        Ok(Response::Receipt(receipt)) => assert_eq!(receipt, written),
        other => panic!("{other:?}"),
    }
    client.add(&bad, "never");
    client.commit_with(CommitRequest::default()).unwrap_err();
    for _ in 0..2 {
        let settled = client.ask(Request::Settle);
        assert!(matches!(settled, Ok(Response::Aborted)), "{settled:?}");
    }
    client.write(&good, &["b"]);
    assert_eq!(kit.texts(&good), ["a", "b"]);
}

/// There is one writer of an id, the newest.
pub fn a_later_client_of_a_transactional_id_fences_the_earlier(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut old = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let group = kit.name("group");
    old.write(&partition, &["a"]);
    let mut new = kit.client("writer");
    new.write(&partition, &["b"]);
    old.add(&partition, "never");
    let error = old
        .commit_with(position(&group, &partition, 9))
        .unwrap_err();
    assert!(matches!(error, Error::Fenced(_)), "{error:?}");
    new.write(&partition, &["c"]);
    assert_eq!(kit.texts(&partition), ["a", "b", "c"]);
    assert_eq!(new.positions(&group).len(), 0);
}

/// Also what had left the client already.
pub fn what_a_fenced_client_left_open_is_never_seen(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut old = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    old.add(&partition, "never");
    old.pump();
    let mut new = kit.client("writer");
    new.write(&partition, &["a"]);
    old.pump();
    assert!(matches!(
        old.commit_with(CommitRequest::default()),
        Err(Error::Fenced(_))
    ));
    assert_eq!(kit.texts(&partition), ["a"]);
}

/// A worker that restarts finds the stable offset at the end.
pub fn an_abandoned_transaction_of_the_same_id_does_not_block_readers(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut lost = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    lost.add(&partition, "never");
    lost.pump();
    drop(lost);
    let mut client = kit.client("writer");
    // Opening is what ends it; the first commit waits for that.
    client.commit();
    let end = client.look_up(&partition, OffsetSpec::End);
    client.until("a stable end", |client| {
        (client.look_up(&partition, OffsetSpec::Stable) == end).then_some(())
    });
    assert_eq!(kit.texts(&partition), [""; 0]);
}

/// Each one's records in its order.
pub fn two_producers_interleave_without_loss(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut one = kit.client_and_topic("t", 1);
    let mut two = kit.client("other");
    let partition = kit.at("t", 0);
    for round in 0..10 {
        one.add(&partition, &format!("1:{round}"));
        two.add(&partition, &format!("2:{round}"));
        one.pump();
        two.pump();
        if round % 3 == 0 {
            two.commit();
        }
        one.commit();
    }
    two.commit();
    let texts = kit.texts(&partition);
    for producer in ["1:", "2:"] {
        let seen: Vec<_> = texts
            .iter()
            .filter(|text| text.starts_with(producer))
            .collect();
        let wanted: Vec<_> = (0..10).map(|round| format!("{producer}{round}")).collect();
        assert_eq!(seen, wanted.iter().collect::<Vec<_>>());
    }
}

/// Whatever was asked, however many at once.
pub fn every_ticket_ends_once(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    client.add(&partition, "a");
    let requests = [
        Request::DescribeTopics(None),
        Request::Commit(CommitRequest::default()),
        Request::Offsets(vec![(partition.clone(), OffsetSpec::Start)]),
        Request::ListGroups,
        Request::Commit(CommitRequest::default()),
        Request::CommittedOffsets {
            group: kit.name("group").into(),
            partitions: None,
        },
    ];
    let tickets: Vec<_> = requests.into_iter().map(|it| client.submit(it)).collect();
    let distinct: std::collections::BTreeSet<_> = tickets.iter().collect();
    assert_eq!(distinct.len(), tickets.len());
    for ticket in tickets.into_iter().rev() {
        client.wait(ticket).unwrap();
    }
    for _ in 0..10 {
        assert!(client.poll().is_none());
    }
}
