//! Behaviours of topics: their making, changing and end. Not of what is in them, but for deleted records.
//! Invariant: a refused change leaves the topic as it was.

use super::{
    Harness,
    kit::{Kit, end_of, position},
};
use crate::{Error, NewTopic, OffsetSpec, Request, Response, TopicPartition};
use std::collections::BTreeMap;

/// Name, partitions, settings.
pub fn topics_are_created_and_described(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client("admin");
    let compacted = kit.topic("b", 1, &[("cleanup.policy", "compact")]);
    client.done(Request::CreateTopics(vec![
        kit.topic("a", 3, &[]),
        compacted,
    ]));
    let a = kit.describe(&mut client, "a").unwrap();
    let b = kit.describe(&mut client, "b").unwrap();
    assert_eq!((&*a.name, a.partitions), (&*kit.name("a"), 3));
    assert_eq!(b.config["cleanup.policy"], "compact");
    assert!(!a.config.contains_key("cleanup.policy"));
    assert_ne!(a.id, b.id);
}

/// Asking is how one finds out whether a topic exists.
pub fn descriptions_leave_unknown_topics_out(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("b", 1);
    kit.create(&mut client, "a", 1);
    let wanted = vec![kit.name("a"), kit.name("missing"), kit.name("b")];
    for request in [Some(wanted), None].map(Request::DescribeTopics) {
        let Ok(Response::Topics(topics)) = client.ask(request) else {
            panic!("no topics")
        };
        let names: Vec<_> = topics.iter().map(|topic| topic.name.to_string()).collect();
        assert!(names.is_sorted());
        assert!(!names.contains(&kit.name("missing")));
        assert!(names.contains(&kit.name("a")) && names.contains(&kit.name("b")));
    }
}

/// In the order given.
pub fn a_topic_that_exists_is_refused_and_those_before_it_stay(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    let before = kit.describe(&mut client, "t");
    let topics = vec![kit.topic("first", 1, &[]), kit.topic("t", 5, &[])];
    let error = client.refused(Request::CreateTopics(topics));
    assert!(matches!(error, Error::TopicExists(name) if name == kit.name("t")));
    assert_eq!(kit.describe(&mut client, "t"), before);
    assert!(kit.describe(&mut client, "first").is_some());
}

/// With a message that names the topic.
pub fn bad_names_counts_and_settings_are_refused(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client("admin");
    let named = |name: &str| NewTopic {
        name: name.into(),
        partitions: 1,
        config: BTreeMap::new(),
    };
    let bad = [
        named(""),
        named("."),
        named(".."),
        named("a/b"),
        named("a b"),
        named("ä"),
        named(&"x".repeat(250)),
        kit.topic("none", 0, &[]),
        kit.topic("setting", 1, &[("cleanup.policy", "shred")]),
        kit.topic("setting", 1, &[("retention.ms", "soon")]),
    ];
    for topic in bad {
        let error = client.refused(Request::CreateTopics(vec![topic.clone()]));
        assert!(matches!(error, Error::Invalid(_)), "{topic:?}: {error:?}");
    }
    assert!(kit.describe(&mut client, "setting").is_none());
    assert!(kit.describe(&mut client, "none").is_none());
    client.done(Request::CreateTopics(vec![named(&kit.name("A-z_0.9"))]));
}

/// `None` returns to the default.
pub fn settings_are_altered_and_reset(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client("admin");
    let topic = kit.topic(
        "t",
        1,
        &[("retention.ms", "1000"), ("cleanup.policy", "compact")],
    );
    client.done(Request::CreateTopics(vec![topic]));
    let alter = |changes: &[(&str, Option<&str>)]| Request::AlterTopic {
        topic: kit.name("t"),
        config: changes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
            .collect(),
    };
    client.done(alter(&[
        ("retention.ms", Some("2000")),
        ("cleanup.policy", None),
    ]));
    let config = client.until("the new settings", |client| {
        let config = kit.describe(client, "t").unwrap().config;
        (config.get("retention.ms").map(String::as_str) == Some("2000")).then_some(config)
    });
    assert!(!config.contains_key("cleanup.policy"));
    let error = client.refused(alter(&[("retention.ms", Some("soon"))]));
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    assert_eq!(kit.describe(&mut client, "t").unwrap().config, config);
    let missing = Request::AlterTopic {
        topic: kit.name("missing"),
        config: BTreeMap::new(),
    };
    assert!(matches!(client.refused(missing), Error::UnknownTopic(_)));
}

/// Its id says so, and it is empty.
pub fn a_topic_created_again_is_another_one(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    client.write(&kit.at("t", 0), &["a"]);
    let first = kit.describe(&mut client, "t").unwrap();
    client.done(Request::DeleteTopics(vec![kit.name("t")]));
    client.until("the topic to be gone", |client| {
        kit.describe(client, "t").is_none().then_some(())
    });
    kit.create(&mut client, "t", 1);
    let second = kit.describe(&mut client, "t").unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(client.look_up(&kit.at("t", 0), OffsetSpec::End), 0);
    client.write(&kit.at("t", 0), &["b"]);
    assert_eq!(kit.texts(&kit.at("t", 0)), ["b"]);
}

/// Else a topic of the same name would be read from where the old one was left.
pub fn a_deleted_topic_is_gone_and_its_positions_with_it(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    kit.create(&mut client, "stays", 1);
    let group = kit.name("group");
    client
        .commit_with(position(&group, &kit.at("t", 0), 0))
        .unwrap();
    client
        .commit_with(position(&group, &kit.at("stays", 0), 0))
        .unwrap();
    client.done(Request::DeleteTopics(vec![kit.name("t")]));
    client.until("the topic to be gone", |client| {
        kit.describe(client, "t").is_none().then_some(())
    });
    let positions = client.until("the position to be gone", |client| {
        let positions = client.positions(&group);
        (positions.len() == 1).then_some(positions)
    });
    assert!(positions.contains_key(&kit.at("stays", 0)));
    let error = client.refused(Request::DeleteTopics(vec![kit.name("t")]));
    assert!(matches!(error, Error::UnknownTopic(name) if name == kit.name("t")));
}

/// What is in the others stays.
pub fn partitions_grow_and_never_shrink(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    client.write(&kit.at("t", 1), &["a"]);
    let grow = |name: &str, partitions| Request::CreatePartitions {
        topic: kit.name(name),
        partitions,
    };
    client.done(grow("t", 4));
    client.until("four partitions", |client| {
        (kit.describe(client, "t")?.partitions == 4).then_some(())
    });
    client.write(&kit.at("t", 3), &["b"]);
    assert_eq!(kit.texts(&kit.at("t", 1)), ["a"]);
    assert_eq!(kit.texts(&kit.at("t", 3)), ["b"]);
    for partitions in [4, 3, 0] {
        let error = client.refused(grow("t", partitions));
        assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    }
    assert!(matches!(
        client.refused(grow("missing", 2)),
        Error::UnknownTopic(_)
    ));
}

/// The error names what is held, so that a reader can decide where to go on.
pub fn deleted_records_are_out_of_range(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let end = end_of(&client.write(&partition, &["a", "b", "c"]), &partition);
    client.done(Request::DeleteRecords(vec![(partition.clone(), end - 1)]));
    assert_eq!(client.look_up(&partition, OffsetSpec::Start), end - 1);
    assert_eq!(kit.texts(&partition), ["c"]);
    let slot = client.at(&partition);
    client.read_from(slot, end - 3);
    let error = client.until("an error", |client| {
        client.pump();
        client.fetch().err()
    });
    let held = client.look_up(&partition, OffsetSpec::End);
    match error {
        Error::OffsetOutOfRange {
            partition: name,
            offset,
            start,
            end: found,
        } => {
            assert_eq!(
                (name, offset, start, found),
                (partition.clone(), end - 3, end - 1, held)
            );
        }
        other => panic!("{other:?}"),
    }
    client.done(Request::DeleteRecords(vec![(partition.clone(), 0)]));
    assert_eq!(
        client.look_up(&partition, OffsetSpec::Start),
        end - 1,
        "a start never goes back"
    );
    let beyond = Request::DeleteRecords(vec![(partition.clone(), held + 1)]);
    assert!(matches!(
        client.refused(beyond),
        Error::OffsetOutOfRange { .. }
    ));
    client.done(Request::DeleteRecords(vec![(partition.clone(), held)]));
    assert_eq!(kit.texts(&partition), [""; 0]);
    assert_eq!(client.look_up(&partition, OffsetSpec::End), held);
}

/// A missing topic and a missing partition are different mistakes.
pub fn unknown_topics_and_partitions_are_named(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let ask = |partition: TopicPartition| Request::Offsets(vec![(partition, OffsetSpec::End)]);
    let error = client.refused(ask(kit.at("missing", 0)));
    assert!(matches!(error, Error::UnknownTopic(name) if name == kit.name("missing")));
    let error = client.refused(ask(kit.at("t", 1)));
    assert!(matches!(error, Error::UnknownPartition(name) if name == kit.at("t", 1)));
    let delete = Request::DeleteRecords(vec![(kit.at("missing", 0), 0)]);
    assert!(matches!(client.refused(delete), Error::UnknownTopic(_)));
}

/// The client asks in the background.
pub fn the_number_of_partitions_becomes_known(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 3);
    let name = kit.name("t");
    let count = client.until("the count", |client| {
        client.pump();
        client.partitions(&name)
    });
    assert_eq!(count, 3);
    assert_eq!(client.partitions(&kit.name("missing")), None);
}
