//! Clients that lack one right, at its use: reading, writing, a transactional id, a group. Not administration, whose refusals are beside
//! its code. Invariant: each is told within ten seconds by an error that names the right and what it is about, and no secret.

use crate::group::{self, join, next_event};
use headwater_broker::{Cluster, Listener, USERS, has_streams_groups, is_usable};
use headwater_kafka::Kafka;
use headwater_log::{
    AppendRecord, Client, ClientOptions, CommitRequest, CommittedOffset, Error, GroupEvent,
    Guarantee, HeadersRef, Log, NewTopic, Request, TopicPartition, call,
};
use headwater_world::World;
use std::time::{Duration, Instant};

const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// Longer than [`TOLD_WITHIN`], so that it is not this that is measured.
const CALL_MS_MAX: u64 = 60_000;
/// For brokers to learn what is permitted.
const GRANT_DEADLINE: Duration = Duration::from_secs(60);

/// `seen` may be described, `own` and `free` are what they need to be; `hidden` has no rights at all.
const GRANTS: [&str; 3] = [
    "--operation Describe --topic seen --group seen --transactional-id seen",
    "--operation Write --topic own --transactional-id own",
    "--operation Read --topic own --group free",
];

fn brokers() -> Cluster {
    let mut options = group::options().listen(Listener::SaslPlaintext);
    options.acl = true;
    let cluster = Cluster::start(&options).unwrap();
    let mut root = Kafka::at(&cluster.bootstrap())
        .unwrap()
        .client(options_of(Some("root")))
        .unwrap();
    let topic = |name: &str| NewTopic {
        name: name.into(),
        partitions: 1,
        config: Default::default(),
    };
    let topics = ["seen", "own", "hidden"].map(topic).to_vec();
    done(&mut *root, Request::CreateTopics(topics)).unwrap();
    // Makes the coordinators' topics, which takes a while and is nobody's right.
    write(&mut *root, "own").unwrap();
    let commit = commit(Some(("own", "free")));
    done(&mut *root, commit).unwrap();
    for grant in GRANTS {
        let principal = format!("User:{}", USERS[0].0);
        let mut arguments = vec!["--add", "--allow-principal", &principal];
        arguments.extend(grant.split(' '));
        cluster.tool("acls", &arguments).unwrap();
    }
    let begin = Instant::now();
    let mut client = client(&cluster, None);
    let last = Request::CommittedOffsets {
        group: "free".into(),
        partitions: None,
    };
    while let Err(error) = done(&mut *client, last.clone()) {
        assert!(begin.elapsed() < GRANT_DEADLINE, "{error}");
    }
    cluster
}

fn options_of(transactional_id: Option<&str>) -> ClientOptions {
    ClientOptions {
        guarantee: match transactional_id {
            Some(_) => Guarantee::ExactlyOnce,
            None => Guarantee::AtLeastOnce,
        },
        transactional_id: transactional_id.map(str::to_owned),
        ..ClientOptions::default()
    }
}

fn kafka(cluster: &Cluster) -> Kafka {
    let (user, password) = USERS[0];
    let jaas = format!("x.PlainLoginModule required username=\"{user}\" password=\"{password}\";");
    let settings = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.jaas.config", &jaas),
    ];
    let kafka = Kafka::at(&cluster.bootstrap_of(Listener::SaslPlaintext)).unwrap();
    kafka.with_properties(settings).unwrap()
}

fn client(cluster: &Cluster, transactional_id: Option<&str>) -> Box<dyn Client> {
    let options = options_of(transactional_id);
    kafka(cluster).client(options).unwrap()
}

fn done(client: &mut dyn Client, request: Request) -> Result<(), Error> {
    call(client, &*World::real().clock, request, CALL_MS_MAX).map(drop)
}

fn write(client: &mut dyn Client, topic: &str) -> Result<(), Error> {
    let slot = client.slot(&TopicPartition::new(topic, 0));
    let record = AppendRecord {
        timestamp: 1,
        key: None,
        value: Some(b"x"),
        headers: HeadersRef::NONE,
    };
    client.append(slot, &record)?;
    done(client, commit(None))
}

/// With a position in a topic, for a group.
fn commit(position: Option<(&str, &str)>) -> Request {
    let Some((topic, group)) = position else {
        return Request::Commit(CommitRequest::default());
    };
    let at = CommittedOffset::at(1);
    Request::Commit(CommitRequest {
        group: Some(group.into()),
        member: None,
        offsets: vec![(TopicPartition::new(topic, 0), at)],
    })
}

/// Reads until something comes.
fn read(client: &mut dyn Client, topic: &str) -> Result<(), Error> {
    let slot = client.slot(&TopicPartition::new(topic, 0));
    client.read_from(slot, 0);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(CALL_MS_MAX) {
        client.poll();
        if client.fetch()?.is_some() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// What a member is refused with.
fn refusal(cluster: &Cluster, group: &str) -> Result<(), Error> {
    let mut client = join(&kafka(cluster), group, "own", "m", None);
    match next_event(&mut *client, CALL_MS_MAX) {
        Some(GroupEvent::Refused(reason)) => Err(Error::Invalid(reason)),
        other => panic!("{other:?}"),
    }
}

struct Judge(Vec<String>);

impl Judge {
    /// `act` must fail soon, with these words.
    fn told(&mut self, name: &str, words: &[&str], act: impl FnOnce() -> Result<(), Error>) {
        let begin = Instant::now();
        let result = act();
        let elapsed = begin.elapsed();
        let Err(error) = result else {
            return self.0.push(format!("{name}: nothing was refused"));
        };
        let text = format!("{error} {error:?}");
        println!("{name}: {elapsed:?}: {error}");
        if elapsed > TOLD_WITHIN {
            self.0.push(format!("{name}: after {elapsed:?}: {text}"));
        }
        if text.contains(USERS[0].1) {
            self.0.push(format!("{name}: holds the password"));
        }
        let missing = words.iter().filter(|word| !text.contains(**word));
        for word in missing {
            self.0.push(format!("{name}: no '{word}' in: {text}"));
        }
    }
}

#[test]
fn a_right_that_is_missing_is_named_with_what_it_is_about() {
    if !is_usable("rights") {
        return;
    }
    let cluster = brokers();
    let plain = || client(&cluster, None);
    let own = || client(&cluster, Some("own"));
    let judge = &mut Judge(Vec::new());
    judge.told("read", &["Read", "'seen'"], || read(&mut *plain(), "seen"));
    judge.told("read, unseen", &["Describe", "Read", "'hidden'"], || {
        read(&mut *plain(), "hidden")
    });
    judge.told("write", &["Write", "seen-0"], || {
        write(&mut *plain(), "seen")
    });
    judge.told("write, unseen", &["Describe", "Write", "'hidden'"], || {
        write(&mut *plain(), "hidden")
    });
    judge.told("write, exactly once", &["Write", "seen-0"], || {
        write(&mut *own(), "seen")
    });
    judge.told("transactional id", &["Write", "'seen'"], || {
        write(&mut *client(&cluster, Some("seen")), "own")
    });
    let words = ["Describe", "transactional id 'hidden'"];
    judge.told("transactional id, unseen", &words, || {
        write(&mut *client(&cluster, Some("hidden")), "own")
    });
    let words = ["Read", "group 'seen'"];
    for (name, mut client) in [("positions", plain()), ("positions, exactly once", own())] {
        judge.told(name, &words, || {
            done(&mut *client, commit(Some(("own", "seen"))))
        });
    }
    judge.told("a member", &["READ", "group 'seen'"], || {
        refusal(&cluster, "seen")
    });
    // Partitions are announced first: the coordinator of transactions refuses, not a leader.
    if has_streams_groups("transactions of the former kind") {
        let downgrade = ["downgrade", "--feature", "transaction.version=1"];
        let tool = "org.apache.kafka.tools.FeatureCommand";
        cluster.tool(tool, &downgrade).unwrap();
        let words = ["Write", "'seen'", "AddPartitionsToTxn"];
        judge.told("write, exactly once, v1", &words, || {
            write(&mut *own(), "seen")
        });
    }
    assert!(judge.0.is_empty(), "{}", judge.0.join("\n"));
    standby_replicas_cannot_be_set(&cluster);
}

/// The member works all the same: a group without the setting runs.
fn standby_replicas_cannot_be_set(cluster: &Cluster) {
    let mut client = join(&kafka(cluster), "free", "own", "m", Some(1));
    let (mut notice, mut has_task) = (None, false);
    while notice.is_none() || !has_task {
        match next_event(&mut *client, CALL_MS_MAX) {
            Some(GroupEvent::Notice(text)) => notice = Some(text),
            Some(GroupEvent::Assigned(list)) => {
                client.own(&list.active, &list.standby);
                has_task |= !list.active.is_empty();
            }
            Some(GroupEvent::Refused(reason)) => panic!("{reason}"),
            Some(_) => {}
            None => panic!("notice {notice:?}, task: {has_task}"),
        }
    }
    let notice = notice.unwrap();
    println!("{notice}");
    for word in [
        "group 'free'",
        "standby replicas",
        "AlterConfigs",
        "kafka-acls",
    ] {
        assert!(notice.contains(word), "no '{word}' in: {notice}");
    }
}
