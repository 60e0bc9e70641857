//! Members of streams groups for the tests of this binary, and what a member's request for standby replicas does to its group.
//! Not the group's rules, which the log's suite has. Invariant: Kafka's own tool says what the group's setting is.

use crate::broker::{self, SESSION_TIMEOUT_MS, cluster};
use headwater_broker::{Cluster, Options, has_streams_groups};
use headwater_kafka::Kafka;
use headwater_log::{
    Client, ClientOptions, GroupEvent, InternalTopic, Log, Membership, NewTopic, Request,
    Subtopology, call,
};
use headwater_world::World;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(120);

/// The shared broker's options, for a broker of one's own.
pub(crate) fn options() -> Options {
    broker::options()
}

/// A member of a streams group whose topology reads one topic.
pub(crate) fn join(
    kafka: &Kafka,
    group: &str,
    topic: &str,
    member: &str,
    standby_replicas: Option<u32>,
) -> Box<dyn Client> {
    let mut client = kafka.client(ClientOptions::default()).unwrap();
    let membership = membership(group, topic, member, standby_replicas);
    client.join(membership).unwrap();
    client
}

fn membership(group: &str, topic: &str, member: &str, standby_replicas: Option<u32>) -> Membership {
    Membership {
        group: group.into(),
        member: member.into(),
        process: member.into(),
        worker: 1,
        subtopologies: vec![Subtopology {
            source_topics: vec![topic.into()],
            ..Subtopology::default()
        }],
        dialect: "".into(),
        standby_replicas,
        session_timeout_ms: SESSION_TIMEOUT_MS,
        rebalance_timeout_ms: 60_000,
        endpoint: None,
    }
}

/// What the member is told next; `None` when nothing came.
pub(crate) fn next_event(client: &mut dyn Client, ms_max: u64) -> Option<GroupEvent> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(ms_max) {
        client.poll();
        if let Some(event) = client.group_event() {
            return Some(event);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// The group's own setting, as the tool prints it; `None` where there is none.
fn setting(cluster: &Cluster, group: &str) -> Option<String> {
    let describe = ["--describe", "--entity-type", "groups", "--entity-name"];
    let told = cluster
        .tool("configs", &[&describe[..], &[group]].concat())
        .unwrap();
    let rest = told.split("streams.num.standby.replicas=").nth(1)?;
    Some(rest.split_whitespace().next().unwrap().to_owned())
}

#[test]
fn standby_replicas_of_a_group_follow_what_is_asked_for_down_to_none_and_stay_where_nothing_is() {
    const GROUP: &str = "standby-replicas";
    if !has_streams_groups("standby replicas of a group") {
        return;
    }
    let Some(cluster) = cluster() else { return };
    let kafka = Kafka::at(&cluster.bootstrap()).unwrap();
    let mut admin = kafka.client(ClientOptions::default()).unwrap();
    let topic = NewTopic {
        name: GROUP.into(),
        partitions: 1,
        config: Default::default(),
    };
    let create = Request::CreateTopics(vec![topic]);
    call(&mut *admin, &*World::real().clock, create, 60_000).unwrap();
    // The last two: what is not asked for leaves what was set.
    for (asked, expected) in [(Some(1), "1"), (Some(0), "0"), (Some(2), "2"), (None, "2")] {
        let mut client = join(&kafka, GROUP, GROUP, &format!("m-{asked:?}"), asked);
        let begin = Instant::now();
        loop {
            let event = next_event(&mut *client, 1_000);
            assert!(
                !matches!(event, Some(GroupEvent::Notice(_) | GroupEvent::Refused(_))),
                "{event:?}"
            );
            if let Some(GroupEvent::Assigned(list)) = &event {
                client.own(&list.active, &list.standby);
            }
            let found = setting(cluster, GROUP);
            // Where nothing is asked for, the member must at least have joined before it is looked.
            let is_settled = asked.is_some() || matches!(event, Some(GroupEvent::Assigned(_)));
            if is_settled && found.as_deref() == Some(expected) {
                break;
            }
            assert!(begin.elapsed() < DEADLINE, "{asked:?}: {found:?}");
        }
        client.leave();
    }
}

#[test]
fn a_changelog_with_other_partitions_than_tasks_is_told_by_name() {
    const TOPIC: &str = "wrong-count";
    const CHANGELOG: &str = "wrong-count-store-changelog";
    if !has_streams_groups("wrong partition counts") {
        return;
    }
    let Some(cluster) = cluster() else { return };
    let kafka = Kafka::at(&cluster.bootstrap()).unwrap();
    let mut admin = kafka.client(ClientOptions::default()).unwrap();
    let topics = [(TOPIC, 2), (CHANGELOG, 3)].map(|(name, partitions)| NewTopic {
        name: name.into(),
        partitions,
        config: Default::default(),
    });
    let create = Request::CreateTopics(topics.into());
    call(&mut *admin, &*World::real().clock, create, 60_000).unwrap();
    let mut client = kafka.client(ClientOptions::default()).unwrap();
    let changelog = InternalTopic {
        name: CHANGELOG.into(),
        partitions: 0,
        config: Default::default(),
    };
    client
        .join(Membership {
            subtopologies: vec![Subtopology {
                source_topics: vec![TOPIC.into()],
                changelogs: vec![changelog],
                ..Subtopology::default()
            }],
            ..membership(TOPIC, TOPIC, "m", None)
        })
        .unwrap();
    let begin = Instant::now();
    let reason = loop {
        assert!(begin.elapsed() < DEADLINE, "nothing was told");
        match next_event(&mut *client, 1_000) {
            Some(GroupEvent::NotReady(reason)) => break reason,
            Some(GroupEvent::Assigned(list)) => {
                assert!(list.active.is_empty(), "{list:?}");
                client.own(&[], &[]);
            }
            Some(event) => panic!("{event:?}"),
            None => {}
        }
    };
    println!("{reason}");
    for word in ["partition counts do not fit", CHANGELOG] {
        assert!(reason.contains(word), "no '{word}' in: {reason}");
    }
}

#[test]
fn an_endpoint_that_cannot_be_opened_is_told_to_the_application() {
    const GROUP: &str = "taken-endpoint";
    if !has_streams_groups("an endpoint that cannot be opened") {
        return;
    }
    let Some(cluster) = cluster() else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let kafka = Kafka::at(&cluster.bootstrap()).unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let kafka = kafka.with("headwater.endpoint", &at).unwrap();
    let mut client = join(&kafka, GROUP, GROUP, "m", None);
    let begin = Instant::now();
    let notice = loop {
        assert!(begin.elapsed() < DEADLINE, "nothing was told");
        match next_event(&mut *client, 1_000) {
            Some(GroupEvent::Notice(notice)) => break notice,
            Some(GroupEvent::Refused(reason)) => panic!("{reason}"),
            _ => {}
        }
    };
    println!("{notice}");
    for word in [
        "process m opens no endpoint",
        "session timeout",
        "headwater.endpoint",
    ] {
        assert!(notice.contains(word), "no '{word}' in: {notice}");
    }
}
