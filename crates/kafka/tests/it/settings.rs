//! Settings that a broker can be asked about. Not how they are read from text. Invariant: Kafka's own tools say what took effect.

use crate::broker::cluster;
use headwater_broker::read_committed;
use headwater_kafka::Kafka;
use headwater_log::{
    AppendRecord, ClientOptions, CommitRequest, Error, Guarantee, HeadersRef, Log, NewTopic,
    Request, TopicPartition, call,
};
use headwater_world::{Random, SeededRandom, World};

#[test]
fn a_transaction_has_the_timeout_of_the_setting_over_that_of_the_options() {
    let Some(cluster) = cluster() else { return };
    let kafka = Kafka::at(&cluster.bootstrap()).unwrap();
    let kafka = kafka
        .with("producer.transaction.timeout.ms", "23000")
        .unwrap();
    let options = ClientOptions {
        guarantee: Guarantee::ExactlyOnce,
        transactional_id: Some("timeout-of-a-setting".into()),
        ..ClientOptions::default()
    };
    let mut client = kafka.client(options).unwrap();
    let clock = World::real().clock;
    let topic = NewTopic {
        name: "timeout-of-a-setting".into(),
        partitions: 1,
        config: Default::default(),
    };
    let create = Request::CreateTopics(vec![topic]);
    call(&mut *client, &*clock, create, 30_000).unwrap();
    let slot = client.slot(&TopicPartition::new("timeout-of-a-setting", 0));
    client.append(slot, &record(b"x")).unwrap();
    let commit = Request::Commit(CommitRequest::default());
    call(&mut *client, &*clock, commit, 30_000).unwrap();
    let describe = ["describe", "--transactional-id", "timeout-of-a-setting"];
    let described = cluster.tool("transactions", &describe).unwrap();
    assert!(described.contains("23000"), "{described}");
}

#[test]
fn a_batch_above_the_topics_limit_is_split_and_one_record_is_refused() {
    let Some(cluster) = cluster() else { return };
    let clock = World::real().clock;
    for (codec, exactly_once) in [("none", true), ("zstd", false)] {
        let topic = format!("small-batches-{codec}");
        let create = ["--create", "--topic", &topic, "--partitions", "1"];
        let limit = ["--config", "max.message.bytes=2000"];
        cluster
            .tool("topics", &[&create[..], &limit].concat())
            .unwrap();
        let kafka = Kafka::at(&cluster.bootstrap()).unwrap();
        let kafka = kafka.with("compression.type", codec).unwrap();
        let options = ClientOptions {
            guarantee: match exactly_once {
                true => Guarantee::ExactlyOnce,
                false => Guarantee::AtLeastOnce,
            },
            transactional_id: exactly_once.then(|| topic.clone()),
            ..ClientOptions::default()
        };
        let mut client = kafka.client(options).unwrap();
        let slot = client.slot(&TopicPartition::new(topic.as_str(), 0));
        let random = SeededRandom::new(7);
        let mut expected = Vec::new();
        for round in 0..2 {
            for number in 0..100 {
                let value = format!(
                    "{round} {number} {:x}{:x}",
                    random.next_u64(),
                    random.next_u64()
                );
                let record = record(value.as_bytes());
                client.append(slot, &record).unwrap();
                expected.push(value);
            }
            let commit = Request::Commit(CommitRequest::default());
            call(&mut *client, &*clock, commit, 60_000).unwrap();
        }
        let found = read_committed(cluster, &topic).unwrap();
        let found: Vec<_> = found.into_iter().filter_map(|it| it.value).collect();
        assert_eq!(found, expected, "{codec}");
        let mut noise = Vec::new();
        while noise.len() < 3_000 {
            noise.extend(random.next_u64().to_be_bytes());
        }
        client.append(slot, &record(&noise)).unwrap();
        let commit = Request::Commit(CommitRequest::default());
        let error = call(&mut *client, &*clock, commit, 60_000).unwrap_err();
        assert!(
            matches!(&error, Error::TooLarge(text) if text.contains("max.message.bytes")),
            "{error}"
        );
    }
}

fn record(value: &[u8]) -> AppendRecord<'_> {
    AppendRecord {
        timestamp: 1,
        key: None,
        value: Some(value),
        headers: HeadersRef::NONE,
    }
}
