//! An application that starts where a dead member of another protocol still counts. Not a live one: that is refused in the end.
//! Invariant: who waits says for what, and joins when the dead member's session is over.

use crate::broker::{SESSION_TIMEOUT_MS, kafka};
use headwater_log::{
    Client, ClientOptions, GroupEvent, Log, Membership, NewTopic, Request, Subtopology,
    TopicConfig, call,
};
use headwater_world::World;
use std::time::{Duration, Instant};

/// On a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_streams_group_is_joined_when_a_dead_classic_member_is_gone() {
    check("classic", "streams");
}

#[test]
fn a_classic_group_is_joined_when_a_dead_streams_member_is_gone() {
    check("streams", "classic");
}

#[track_caller]
fn check(dead: &str, living: &str) {
    if !headwater_broker::has_streams_groups("members of another protocol") || kafka().is_none() {
        return;
    }
    let group = format!("foreign-{living}-{}", std::process::id());
    create(&group);
    let mut first = join(dead, &group, "first");
    until_assigned(&mut *first);
    // Killed: nobody is told.
    drop(first);
    let mut second = join(living, &group, "second");
    let told = until_assigned(&mut *second);
    let is_why = |it: &String| it.contains(&group) && it.contains("members of another protocol");
    assert!(told.iter().any(is_why), "{told:?}");
}

fn create(topic: &str) {
    let mut client = kafka().unwrap().client(ClientOptions::default()).unwrap();
    let new = NewTopic {
        name: topic.into(),
        partitions: 1,
        config: TopicConfig::default(),
    };
    let request = Request::CreateTopics(vec![new]);
    let clock = World::real().clock;
    call(&mut *client, &*clock, request, DEADLINE.as_millis() as u64).unwrap();
}

/// A member of a group that reads the topic of the same name.
fn join(protocol: &str, group: &str, member: &str) -> Box<dyn Client> {
    let kafka = kafka().unwrap().with("group.protocol", protocol).unwrap();
    let mut client = kafka.client(ClientOptions::default()).unwrap();
    let membership = Membership {
        group: group.into(),
        member: member.into(),
        process: member.into(),
        worker: 1,
        subtopologies: vec![Subtopology {
            source_topics: vec![group.into()],
            ..Subtopology::default()
        }],
        dialect: "".into(),
        standby_replicas: None,
        session_timeout_ms: SESSION_TIMEOUT_MS,
        rebalance_timeout_ms: 60_000,
        endpoint: None,
    };
    client.join(membership).unwrap();
    client
}

/// Waits until the member has its task; what it was told meanwhile.
#[track_caller]
fn until_assigned(client: &mut dyn Client) -> Vec<String> {
    let begin = Instant::now();
    let mut told = Vec::new();
    loop {
        assert!(begin.elapsed() < DEADLINE, "no task came; told {told:?}");
        client.poll();
        match client.group_event() {
            Some(GroupEvent::Assigned(list)) if list.active.len() == 1 => {
                client.own(&list.active, &list.standby);
                return told;
            }
            Some(GroupEvent::NotReady(reason)) => told.push(reason),
            Some(GroupEvent::Refused(reason)) => panic!("refused: {reason}"),
            Some(_) => {}
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
