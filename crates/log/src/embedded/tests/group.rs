//! Groups of the embedded log: assignment, fencing of commits, expiry, restarts. The coordinator's own rules are tested beside it.
//! Invariant checked: a commit of a member that lost its task leaves no effect.

use super::kit::{DIR, Session, partition, topic};
use crate::{
    Assignment, Client, ClientOptions, CommitRequest, CommittedOffset, Error, GroupEvent,
    InternalTopic, Log, Membership, Request, Response, Subtopology, TopicConfig, call,
    embedded::EmbeddedOptions,
};
use headwater_world::{Simulation, World};
use std::{path::Path, time::Duration};

fn membership(member: &str) -> Membership {
    Membership {
        group: "app".into(),
        member: member.into(),
        process: member.into(),
        worker: 1,
        subtopologies: vec![Subtopology {
            source_topics: vec!["in".into()],
            changelogs: vec![InternalTopic {
                name: "app-store-changelog".into(),
                partitions: 0,
                config: TopicConfig::from([("cleanup.policy".into(), "compact".into())]),
            }],
            ..Subtopology::default()
        }],
        dialect: "".into(),
        standby_replicas: None,
        session_timeout_ms: 1000,
        rebalance_timeout_ms: 1000,
        endpoint: None,
    }
}

/// Polls all clients for a while; the last assignment each one heard of, taken over at once.
fn settle(
    simulation: &Simulation,
    clients: &mut [&mut Box<dyn Client>],
    last: &mut [Option<Assignment>],
) {
    for _ in 0..30 {
        simulation.clock.advance(Duration::from_millis(50));
        for (client, last) in clients.iter_mut().zip(last.iter_mut()) {
            client.poll();
            while let Some(event) = client.group_event() {
                match event {
                    GroupEvent::Assigned(assignment) => {
                        client.own(&assignment.active, &assignment.standby);
                        *last = Some(assignment);
                    }
                    GroupEvent::Fenced(_) => *last = None,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

fn commit(
    client: &mut Box<dyn Client>,
    simulation: &Simulation,
    member: &str,
    assignment: &Assignment,
    offset: i64,
) -> crate::Result<Response> {
    let name = partition("in", assignment.active[0].partition);
    let request = CommitRequest {
        group: Some("app".into()),
        member: Some((member.into(), assignment.epoch)),
        offsets: vec![(name, CommittedOffset::at(offset))],
    };
    call(
        &mut **client,
        &*simulation.world.clock,
        Request::Commit(request),
        1000,
    )
}

#[test]
fn members_share_tasks_and_one_that_was_silent_is_fenced() {
    let simulation = World::simulated(1);
    let mut session = Session::open(
        Path::new(DIR),
        &simulation.world,
        EmbeddedOptions::default(),
    )
    .unwrap();
    session.create(&[topic("in", 2, &[])]).unwrap();
    let client = || session.log.client(ClientOptions::default()).unwrap();
    let (mut a, mut b) = (client(), client());
    a.join(membership("a")).unwrap();
    b.join(membership("b")).unwrap();
    let mut last = [None, None];
    settle(&simulation, &mut [&mut a, &mut b], &mut last);
    let [Some(of_a), Some(of_b)] = &last else {
        panic!("{last:?}");
    };
    assert_eq!((of_a.active.len(), of_b.active.len()), (1, 1));
    assert_eq!(
        a.partitions("app-store-changelog"),
        Some(2),
        "created by the coordinator"
    );
    commit(&mut a, &simulation, "a", of_a, 5).unwrap();
    commit(&mut b, &simulation, "b", of_b, 6).unwrap();
    let error = commit(&mut a, &simulation, "a", of_b, 7).unwrap_err();
    assert!(matches!(error, Error::Fenced(_)), "{error}");
    // A group at work is not changed from outside.
    for request in [
        Request::DeleteGroup("app".into()),
        Request::SetOffsets {
            group: "app".into(),
            offsets: vec![(partition("in", 0), None)],
        },
    ] {
        let error = session.ask(request).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
    }
    // Member a falls silent; b takes all, and a's late commit has no effect.
    let (of_a, mut of_b) = (of_a.clone(), [Some(of_b.clone())]);
    settle(&simulation, &mut [&mut b], &mut of_b);
    assert_eq!(of_b[0].as_ref().unwrap().active.len(), 2);
    let name = partition("in", of_a.active[0].partition);
    let slot = a.slot(&name);
    a.append(slot, &crate::AppendRecord::default()).unwrap();
    let error = commit(&mut a, &simulation, "a", &of_a, 50).unwrap_err();
    assert!(matches!(error, Error::Fenced(_)), "{error}");
    assert_eq!(session.read(&name, 0).unwrap(), []);
    let mut offsets: Vec<_> = session
        .committed()
        .unwrap()
        .iter()
        .map(|(_, offset)| *offset)
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [5, 6]);
    // It joins anew by itself.
    let mut again = [None, of_b[0].clone()];
    settle(&simulation, &mut [&mut a, &mut b], &mut again);
    assert_eq!(again[0].as_ref().unwrap().active.len(), 1, "{again:?}");
    a.leave();
    b.leave();
    session.ask(Request::DeleteGroup("app".into())).unwrap();
    assert_eq!(session.committed().unwrap(), []);
}

#[test]
fn a_later_client_of_a_transactional_id_fences_the_earlier_one() {
    let simulation = World::simulated(1);
    let mut session = Session::open(
        Path::new(DIR),
        &simulation.world,
        EmbeddedOptions::default(),
    )
    .unwrap();
    session.create(&[topic("t", 1, &[])]).unwrap();
    let options = || ClientOptions {
        transactional_id: Some("app-1".into()),
        ..ClientOptions::default()
    };
    let mut earlier = session.log.client(options()).unwrap();
    let slot = earlier.slot(&partition("t", 0));
    earlier
        .append(slot, &crate::AppendRecord::default())
        .unwrap();
    let _later = session.log.client(options()).unwrap();
    let clock = simulation.world.clock.clone();
    let committed = call(
        &mut *earlier,
        &*clock,
        Request::Commit(CommitRequest::default()),
        1000,
    );
    assert!(matches!(committed, Err(Error::Fenced(_))), "{committed:?}");
    assert_eq!(session.read(&partition("t", 0), 0).unwrap(), []);
    let settled = call(&mut *earlier, &*clock, Request::Settle, 1000).unwrap();
    assert!(matches!(settled, Response::Aborted), "{settled:?}");
}
