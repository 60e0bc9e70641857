//! Static members of classic groups on a real broker (`group.instance.id`). Not what moves when none is static: the log's suite has that.
//! Invariant: the generation, which every round of the group moves, tells whether the others heard of a restart.

use crate::broker::{cluster, kafka};
use crate::group::next_event;
use headwater_log::{
    Assignment, Client, ClientOptions, CommitRequest, CommittedOffset, Error, GroupEvent, Log,
    MemberEpoch, Membership, NewTopic, Request, Subtopology, TaskId, TopicPartition, call,
};
use headwater_world::World;
use std::time::{Duration, Instant};

/// Longer than the tests take: nothing here waits for its end.
const SESSION_MS: i64 = 120_000;
/// On a machine that is busy, and before the session is over.
const DEADLINE: Duration = Duration::from_secs(60);
const CALL_MS_MAX: u64 = 60_000;

/// A member as its worker drives it.
struct Member {
    client: Box<dyn Client>,
    name: String,
    group: String,
    told: Option<Assignment>,
    refused: Option<String>,
}

impl Member {
    /// Of the process `process`, started for the `times`th time.
    fn start(group: &str, process: &str, times: u32) -> Self {
        let kafka = kafka().unwrap().with("group.protocol", "classic").unwrap();
        let kafka = kafka.with("consumer.group.instance.id", process).unwrap();
        let mut client = kafka.client(ClientOptions::default()).unwrap();
        let name = format!("{process}-{times}");
        let membership = Membership {
            group: group.into(),
            member: name.as_str().into(),
            process: process.into(),
            worker: 1,
            subtopologies: vec![Subtopology {
                source_topics: vec![group.into()],
                ..Subtopology::default()
            }],
            dialect: "".into(),
            standby_replicas: None,
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: 60_000,
            endpoint: None,
        };
        client.join(membership).unwrap();
        Self {
            client,
            name,
            group: group.into(),
            told: None,
            refused: None,
        }
    }

    fn hear(&mut self, ms_max: u64) {
        match next_event(&mut *self.client, ms_max) {
            Some(GroupEvent::Assigned(list)) => {
                self.client.own(&list.active, &list.standby);
                self.told = Some(list);
            }
            Some(GroupEvent::Refused(reason)) => self.refused = Some(reason),
            Some(event) => panic!("{}: {event:?}", self.name),
            None => {}
        }
    }

    fn tasks(&self) -> Vec<TaskId> {
        self.told
            .as_ref()
            .map_or(Vec::new(), |it| it.active.clone())
    }

    fn generation(&self) -> MemberEpoch {
        self.told.as_ref().map_or(MemberEpoch(0), |it| it.epoch)
    }

    /// Commits a position of its first task.
    fn commit(&mut self) -> Result<(), Error> {
        let partition = self.tasks()[0].partition;
        let partition = TopicPartition::new(self.group.as_str(), partition);
        let request = Request::Commit(CommitRequest {
            group: Some(self.group.as_str().into()),
            member: Some((self.name.as_str().into(), self.generation())),
            offsets: vec![(partition, CommittedOffset::at(0))],
        });
        let clock = World::real().clock;
        call(&mut *self.client, &*clock, request, CALL_MS_MAX).map(drop)
    }
}

#[track_caller]
fn until(members: &mut [&mut Member], what: &str, is_so: impl Fn(&[&mut Member]) -> bool) {
    let begin = Instant::now();
    while !is_so(members) {
        assert!(begin.elapsed() < DEADLINE, "waited for {what}");
        members.iter_mut().for_each(|member| member.hear(10));
    }
}

fn create(topic: &str, partitions: u32) {
    let mut client = kafka().unwrap().client(ClientOptions::default()).unwrap();
    let topic = NewTopic {
        name: topic.into(),
        partitions,
        config: Default::default(),
    };
    let create = Request::CreateTopics(vec![topic]);
    call(&mut *client, &*World::real().clock, create, CALL_MS_MAX).unwrap();
}

#[test]
fn a_static_member_is_restarted_and_the_other_hears_nothing_of_it() {
    const GROUP: &str = "static-restart";
    if cluster().is_none() {
        return;
    }
    create(GROUP, 4);
    let mut first = Member::start(GROUP, "first", 0);
    let mut second = Member::start(GROUP, "second", 0);
    until(&mut [&mut first, &mut second], "a fair share", |members| {
        let is_settled = members[0].generation() == members[1].generation();
        is_settled && members.iter().all(|it| it.tasks().len() == 2)
    });
    let generation = first.generation();
    let shares = [first.tasks(), second.tasks()];
    // One of them leads the group. Each is closed, then killed.
    for times in 1..=2 {
        for (at, name) in ["first", "second"].into_iter().enumerate() {
            let (restarted, other) = match at {
                0 => (&mut first, &mut second),
                _ => (&mut second, &mut first),
            };
            if times == 1 {
                restarted.client.end_membership();
            }
            *restarted = Member::start(GROUP, name, times);
            until(&mut [&mut *restarted], "its tasks", |members| {
                !members[0].tasks().is_empty()
            });
            assert_eq!(restarted.tasks(), shares[at]);
            assert_eq!(restarted.generation(), generation);
            restarted.commit().unwrap();
            other.hear(0);
            assert_eq!(
                (other.generation(), other.tasks()),
                (generation, shares[1 - at].clone())
            );
            other.commit().unwrap();
        }
    }
    // One that leaves for good is not waited for.
    let begin = Instant::now();
    first.client.leave();
    until(&mut [&mut second], "all tasks", |members| {
        members[0].tasks().len() == 4
    });
    assert!(begin.elapsed() < Duration::from_millis(SESSION_MS as u64));
}

#[test]
fn of_two_members_with_one_instance_id_the_older_is_told_so_and_commits_nothing_more() {
    const GROUP: &str = "static-twins";
    if cluster().is_none() {
        return;
    }
    create(GROUP, 1);
    let mut older = Member::start(GROUP, "twin", 0);
    until(&mut [&mut older], "its task", |members| {
        !members[0].tasks().is_empty()
    });
    older.commit().unwrap();
    let mut newer = Member::start(GROUP, "twin", 1);
    until(&mut [&mut newer], "its task", |members| {
        !members[0].tasks().is_empty()
    });
    let refused = older.commit();
    assert!(refused.is_err(), "its place was another's");
    until(&mut [&mut older], "the end of the older", |members| {
        members[0].refused.is_some()
    });
    let told = older.refused.clone().unwrap();
    println!("{told}");
    for word in [
        "group 'static-twins'",
        "'twin-1'",
        "group.instance.id=twin.",
        "Stop one of them",
        "FENCED_INSTANCE_ID",
    ] {
        assert!(told.contains(word), "no {word} in: {told}");
    }
    assert!(older.commit().is_err());
    // What the older does as it ends takes nothing from the newer.
    older.client.leave();
    drop(older);
    newer.hear(0);
    assert_eq!((newer.tasks().len(), &newer.refused), (1, &None));
    newer.commit().unwrap();
}

#[test]
fn an_instance_id_needs_the_classic_protocol() {
    let Some(kafka) = kafka() else { return };
    let kafka = kafka.with("group.instance.id", "shop").unwrap();
    for kafka in [
        kafka.clone(),
        kafka.with("group.protocol", "streams").unwrap(),
    ] {
        let refused = kafka.client(ClientOptions::default()).err();
        let told = refused.map(|error| error.to_string()).unwrap_or_default();
        for word in [
            "group.instance.id 'shop'",
            "group.protocol=classic",
            "leave it out",
        ] {
            assert!(told.contains(word), "no {word} in: {told}");
        }
    }
}
