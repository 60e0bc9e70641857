//! Administrative requests on a real broker. Not their races, which need a broker that misbehaves.
//! Invariant: every answer here is Kafka's own.

mod security;

use super::*;
use crate::connection::fake::run;
use headwater_broker::{Options, is_usable};
use headwater_log::{CommittedOffset, NewTopic, OffsetSpec, TopicConfig, TopicPartition};
use std::future::Future;

/// Runs a test against brokers of its own, if there can be any.
fn on_brokers<F: Future<Output = ()>>(nodes: usize, test: impl FnOnce(Asking) -> F) {
    if !is_usable("administrative requests") {
        return;
    }
    let brokers = headwater_broker::Cluster::start(&Options::nodes(nodes)).unwrap();
    let settings = Settings::at(&brokers.bootstrap()).unwrap();
    run(async {
        let cluster = Cluster::new(Rc::new(settings.clone()), "admin");
        test(Asking { cluster, settings }).await;
    });
}

struct Asking {
    cluster: Rc<Cluster>,
    settings: Settings,
}

impl Asking {
    async fn ask(&self, request: Request) -> Result<Response> {
        ask(&self.cluster, &self.settings, request).await
    }

    async fn done(&self, request: Request) {
        match self.ask(request.clone()).await {
            Ok(Response::Done) => {}
            other => panic!("{request:?}: {other:?}"),
        }
    }

    async fn refused(&self, request: Request) -> String {
        match self.ask(request.clone()).await {
            Err(error) => format!("{error:?}"),
            Ok(response) => panic!("{request:?}: {response:?}"),
        }
    }

    async fn topics(&self, names: Option<&[&str]>) -> Vec<String> {
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        match self.ask(Request::DescribeTopics(names)).await {
            Ok(Response::Topics(topics)) => topics
                .iter()
                .map(|topic| format!("{} {} {:?}", topic.name, topic.partitions, topic.config))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    async fn offsets(&self, wanted: &[(&str, u32, OffsetSpec)]) -> Vec<i64> {
        let wanted = wanted
            .iter()
            .map(|(topic, partition, spec)| (TopicPartition::new(*topic, *partition), *spec));
        match self.ask(Request::Offsets(wanted.collect())).await {
            Ok(Response::Offsets(offsets)) => offsets.into_iter().map(|(_, at)| at).collect(),
            other => panic!("{other:?}"),
        }
    }

    async fn positions(&self, group: &str) -> Vec<(String, i64)> {
        let request = Request::CommittedOffsets {
            group: group.into(),
            partitions: None,
        };
        match self.ask(request).await {
            Ok(Response::Committed(found)) => found
                .into_iter()
                .map(|(partition, at)| (partition.to_string(), at.offset))
                .collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn topic(name: &str, partitions: u32, config: &[(&str, &str)]) -> NewTopic {
    NewTopic {
        name: name.into(),
        partitions,
        config: config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<TopicConfig>(),
    }
}

#[test]
fn topics_and_positions_are_made_described_changed_and_ended() {
    on_brokers(1, |admin| async move {
        topics(&admin).await;
        positions(&admin).await;
    });
}

async fn topics(admin: &Asking) {
    let wanted = vec![
        topic("a", 3, &[]),
        topic("b", 1, &[("cleanup.policy", "compact")]),
    ];
    admin.done(Request::CreateTopics(wanted)).await;
    let b = "b 1 {\"cleanup.policy\": \"compact\"}";
    assert_eq!(admin.topics(None).await, ["a 3 {}", b]);
    assert_eq!(admin.topics(Some(&["b", "missing", "a/b"])).await, [b]);
    let again = vec![topic("c", 1, &[]), topic("a", 1, &[]), topic("d", 1, &[])];
    assert_eq!(
        admin.refused(Request::CreateTopics(again)).await,
        "TopicExists(\"a\")"
    );
    assert_eq!(admin.topics(Some(&["c", "d"])).await, ["c 1 {}"]);
    for bad in [
        topic("a b", 1, &[]),
        topic("e", 0, &[]),
        topic("e", 1, &[("retention.ms", "soon")]),
    ] {
        let error = admin.refused(Request::CreateTopics(vec![bad])).await;
        assert!(error.starts_with("Invalid("), "{error}");
    }
    let alter = |topic: &str, value: Option<&str>| Request::AlterTopic {
        topic: topic.into(),
        config: [("cleanup.policy".to_owned(), value.map(str::to_owned))].into(),
    };
    admin.done(alter("b", None)).await;
    assert_eq!(
        admin.refused(alter("missing", None)).await,
        "UnknownTopic(\"missing\")"
    );
    let grow = |partitions| Request::CreatePartitions {
        topic: "a".into(),
        partitions,
    };
    admin.done(grow(4)).await;
    let error = admin.refused(grow(2)).await;
    assert!(error.starts_with("Invalid("), "{error}");
    assert_eq!(admin.topics(Some(&["a"])).await, ["a 4 {}"]);
    admin.done(Request::DeleteTopics(vec!["c".into()])).await;
    assert_eq!(
        admin.refused(Request::DeleteTopics(vec!["c".into()])).await,
        "UnknownTopic(\"c\")"
    );
}

async fn positions(admin: &Asking) {
    let specs = [
        OffsetSpec::Start,
        OffsetSpec::Stable,
        OffsetSpec::End,
        OffsetSpec::AtTime(5),
    ];
    let wanted: Vec<_> = (0..4)
        .flat_map(|at| specs.map(|spec| ("a", at, spec)))
        .collect();
    assert_eq!(admin.offsets(&wanted).await, [0; 16]);
    let missing = Request::Offsets(vec![(TopicPartition::new("a", 9), OffsetSpec::End)]);
    assert!(admin.refused(missing).await.starts_with("UnknownPartition"));
    let set = |partition, at: Option<i64>| Request::SetOffsets {
        group: "g".into(),
        offsets: vec![(
            TopicPartition::new("a", partition),
            at.map(CommittedOffset::at),
        )],
    };
    admin.done(set(0, Some(7))).await;
    admin.done(set(1, Some(8))).await;
    admin.done(set(0, None)).await;
    assert_eq!(admin.positions("g").await, [("a-1".into(), 8)]);
    assert_eq!(admin.positions("nobody").await, []);
    match admin.ask(Request::ListGroups).await {
        Ok(Response::Groups(groups)) => {
            let names: Vec<_> = groups.iter().map(|group| &*group.group).collect();
            assert_eq!(names, ["g"]);
        }
        other => panic!("{other:?}"),
    }
    admin.done(Request::DeleteGroup("g".into())).await;
    assert_eq!(admin.positions("g").await, []);
    let delete = |offset| Request::DeleteRecords(vec![(TopicPartition::new("a", 0), offset)]);
    admin.done(delete(0)).await;
    assert!(admin.refused(delete(1)).await.contains("start: 0, end: 0"));
    assert!(admin.refused(delete(-1)).await.contains("start: 0, end: 0"));
}

#[test]
fn a_topic_is_known_to_three_brokers_once_it_is_created() {
    on_brokers(3, |admin| async move {
        for number in 0..5 {
            let name = format!("t{number}");
            admin
                .done(Request::CreateTopics(vec![topic(&name, 6, &[])]))
                .await;
            // Any broker may be the one that is asked.
            for _ in 0..5 {
                assert_eq!(admin.topics(Some(&[&name])).await.len(), 1);
            }
            let ends: Vec<_> = (0..6)
                .map(|at| (name.as_str(), at, OffsetSpec::End))
                .collect();
            assert_eq!(admin.offsets(&ends).await, [0; 6]);
        }
    });
}
