//! The times that settings give, seen by the caller, against a scripted broker that falls silent. Not the connection's own deadlines.
//! Invariant: nothing fails before its time, and what fails says for which partition and by which option.

use crate::Kafka;
use crate::connection::fake::{Asked, Fake, Reply, run};
use crate::protocol::{
    ErrorCode, Uuid,
    api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey},
    fetch::{FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData},
    find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse},
    init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
    metadata::{
        MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
        MetadataResponseTopic,
    },
    produce::ProduceRequest,
};
use bytes::Bytes;
use headwater_log::{
    AppendRecord, Client, ClientOptions, CommitRequest, Guarantee, Log, Request, Response, Result,
    Ticket, TopicPartition, batch::BatchBuilder,
};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// On a machine that is busy.
const WAIT: Duration = Duration::from_secs(60);
/// What a failure may come later than its option says, on such a machine.
const LATE: Duration = Duration::from_secs(5);
const TOPIC_ID: Uuid = Uuid(77);
/// Fetch, Metadata, FindCoordinator, InitProducerId and EndTxn besides Produce.
const KEYS: [i16; 6] = [0, 1, 3, 10, 22, 26];

/// A broker that leads and coordinates all and gives out producer ids, unless `first` has an answer of its own.
async fn broker(first: impl Fn(&Asked) -> Option<Reply> + 'static) -> Rc<Fake> {
    let port = Rc::new(Cell::new(0));
    let own = port.clone();
    let fake = Fake::start(move |asked| {
        if let Some(reply) = first(asked) {
            return reply;
        }
        match asked.key {
            18 => versions_with_transactions(asked),
            3 => metadata(asked, own.get()),
            10 => coordinator(asked, own.get()),
            22 => asked.answer::<InitProducerIdRequest>(&InitProducerIdResponse {
                producer_id: 5,
                ..InitProducerIdResponse::default()
            }),
            _ => Reply::Silence,
        }
    })
    .await;
    port.set(i32::from(fake.address.port()));
    fake
}

/// As of a cluster where writing adds a partition to the transaction.
fn versions_with_transactions(asked: &Asked) -> Reply {
    let api_keys = KEYS.map(|api_key| ApiVersion {
        api_key,
        min_version: 0,
        max_version: 99,
    });
    asked.answer::<ApiVersionsRequest>(&ApiVersionsResponse {
        api_keys: api_keys.into(),
        finalized_features: vec![FinalizedFeatureKey {
            name: "transaction.version".into(),
            max_version_level: 2,
            min_version_level: 2,
        }],
        ..ApiVersionsResponse::default()
    })
}

fn metadata(asked: &Asked, port: i32) -> Reply {
    let topics = asked.read::<MetadataRequest>().topics.unwrap_or_default();
    let topics = topics.into_iter().map(|topic| MetadataResponseTopic {
        topic_id: TOPIC_ID,
        name: topic.name,
        partitions: vec![MetadataResponsePartition {
            leader_id: 1,
            leader_epoch: 1,
            ..MetadataResponsePartition::default()
        }],
        ..MetadataResponseTopic::default()
    });
    asked.answer::<MetadataRequest>(&MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: "127.0.0.1".into(),
            port,
            rack: None,
        }],
        cluster_id: Some("c".into()),
        topics: topics.collect(),
        ..MetadataResponse::default()
    })
}

fn coordinator(asked: &Asked, port: i32) -> Reply {
    let keys = asked.read::<FindCoordinatorRequest>().coordinator_keys;
    let coordinators = keys.into_iter().map(|key| Coordinator {
        key,
        node_id: 1,
        host: "127.0.0.1".into(),
        port,
        ..Coordinator::default()
    });
    asked.answer::<FindCoordinatorRequest>(&FindCoordinatorResponse {
        coordinators: coordinators.collect(),
        ..FindCoordinatorResponse::default()
    })
}

fn client(fake: &Fake, settings: &[(&str, &str)], options: ClientOptions) -> Box<dyn Client> {
    let kafka = Kafka::at(&fake.address.to_string()).unwrap();
    let settings = settings.iter().copied();
    let kafka = kafka.with_properties(settings).unwrap();
    kafka.client(options).unwrap()
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn write(client: &mut dyn Client) -> Ticket {
    let slot = client.slot(&partition());
    let record = AppendRecord {
        timestamp: 1_000,
        key: Some(b"k"),
        value: Some(b"v"),
        ..AppendRecord::default()
    };
    client.append(slot, &record).unwrap();
    client.submit(Request::Commit(CommitRequest::default()))
}

/// Polls as a worker does, and lets the broker work in between.
async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < WAIT, "{what} did not come");
        sleep(Duration::from_millis(2)).await;
    }
}

async fn completed(client: &mut dyn Client, ticket: Ticket) -> Result<Response> {
    let done = || client.poll().filter(|done| done.ticket == ticket);
    until("the end of a request", done).await.result
}

/// A write that is never answered: it ends with an error that says so, no earlier than `after`.
async fn check_no_answer(
    fake: &Fake,
    client: &mut dyn Client,
    after: Duration,
    option: &str,
) -> usize {
    let began = Instant::now();
    let ticket = write(client);
    let error = completed(client, ticket).await.unwrap_err();
    let took = began.elapsed();
    assert!(took >= after, "{took:?}: {error}");
    assert!(took < after + LATE, "{took:?}: {error}");
    let text = error.to_string();
    assert!(text.contains("t-0") && text.contains(option), "{text}");
    fake.count::<ProduceRequest>()
}

#[test]
fn a_write_without_an_answer_is_repeated_until_delivery_timeout_and_then_fails_by_name() {
    run(async {
        let fake = broker(|_| None).await;
        let settings = [
            ("request.timeout.ms", "150"),
            ("delivery.timeout.ms", "1200"),
            ("retry.backoff.ms", "20"),
        ];
        let mut client = client(&fake, &settings, ClientOptions::default());
        let after = Duration::from_millis(1_200);
        let tries = check_no_answer(&fake, &mut *client, after, "delivery.timeout.ms").await;
        assert!(tries >= 2, "{tries} tries");
        // Each try is the same batch on a connection of its own: what is behind a silent request would wait as well.
        assert!(fake.connections.get() > tries, "{}", fake.connections.get());
        let asked = fake.asked.borrow();
        let batches = asked.iter().filter(|asked| asked.is::<ProduceRequest>());
        let batches: Vec<_> = batches
            .map(|asked| {
                let request = asked.read::<ProduceRequest>();
                request.topic_data[0].partition_data[0].records.clone()
            })
            .collect();
        assert!(batches.iter().all(|batch| *batch == batches[0]));
    });
}

#[test]
fn one_try_that_takes_all_of_delivery_timeout_fails_by_name_as_well() {
    run(async {
        let fake = broker(|_| None).await;
        let settings = [
            ("request.timeout.ms", "800"),
            ("delivery.timeout.ms", "800"),
        ];
        let mut client = client(&fake, &settings, ClientOptions::default());
        let after = Duration::from_millis(800);
        check_no_answer(&fake, &mut *client, after, "delivery.timeout.ms").await;
    });
}

#[test]
fn a_transaction_whose_records_are_not_acknowledged_fails_after_its_own_timeout() {
    run(async {
        let fake = broker(|_| None).await;
        let options = ClientOptions {
            guarantee: Guarantee::ExactlyOnce,
            transactional_id: Some("x".into()),
            ..ClientOptions::default()
        };
        // The delivery timeout is Kafka's, 120 s: the transaction is over long before.
        let settings = [("transaction.timeout.ms", "700")];
        let mut client = client(&fake, &settings, options);
        let after = Duration::from_millis(700);
        let option = "transaction.timeout.ms";
        let tries = check_no_answer(&fake, &mut *client, after, option).await;
        assert_eq!(tries, 1, "request.timeout.ms is 30 s");
    });
}

/// Silent to the first request of this key.
fn silent_once(key: i16) -> impl Fn(&Asked) -> Option<Reply> {
    let is_first = Cell::new(true);
    move |asked| (asked.key == key && is_first.take()).then_some(Reply::Silence)
}

#[test]
fn metadata_without_an_answer_are_asked_for_again_on_another_connection_after_request_timeout() {
    run(async {
        let fake = broker(silent_once(3)).await;
        let settings = [
            ("request.timeout.ms", "300"),
            ("delivery.timeout.ms", "300"),
        ];
        let mut client = client(&fake, &settings, ClientOptions::default());
        let began = Instant::now();
        let count = until("the partitions of a topic", || {
            client.poll();
            client.partitions("t")
        })
        .await;
        assert_eq!(count, 1);
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(fake.count::<MetadataRequest>(), 2);
        assert_eq!(fake.connections.get(), 2);
    });
}

#[test]
fn a_fetch_without_an_answer_is_repeated_on_another_connection_after_request_timeout() {
    run(async {
        let mut batch = BatchBuilder::default();
        batch.append(&AppendRecord {
            timestamp: 1_000,
            key: Some(b"k"),
            value: Some(b"v"),
            ..AppendRecord::default()
        });
        let batch = Bytes::from(batch.finish());
        let silence = silent_once(1);
        let fake = broker(move |asked| {
            silence(asked).or_else(|| asked.is::<FetchRequest>().then(|| fetched(asked, &batch)))
        })
        .await;
        let settings = [
            ("request.timeout.ms", "300"),
            ("delivery.timeout.ms", "300"),
        ];
        let mut client = client(&fake, &settings, ClientOptions::default());
        let slot = client.slot(&partition());
        let began = Instant::now();
        client.read_from(slot, 0);
        let chunk = until("a chunk", || {
            client.poll();
            client.fetch().unwrap()
        })
        .await;
        assert_eq!((chunk.position, chunk.next_offset), (0, 1));
        assert!(began.elapsed() >= Duration::from_millis(300));
        let asked = fake.asked.borrow();
        let fetches = asked.iter().filter(|asked| asked.is::<FetchRequest>());
        let from = fetches.take(2).map(|asked| {
            let request = asked.read::<FetchRequest>();
            request.topics[0].partitions[0].fetch_offset
        });
        assert_eq!(from.collect::<Vec<_>>(), [0, 0]);
        // One for metadata, one that fell silent, one that took its place.
        assert!(fake.connections.get() >= 3, "{}", fake.connections.get());
    });
}

/// One batch at offset 0, and nothing behind it.
fn fetched(asked: &Asked, batch: &Bytes) -> Reply {
    let request = asked.read::<FetchRequest>();
    let wanted = request.topics.iter().flat_map(|topic| &topic.partitions);
    let is_new = wanted.clone().any(|partition| partition.fetch_offset == 0);
    let response = FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic_id: TOPIC_ID,
            partitions: vec![PartitionData {
                high_watermark: 1,
                last_stable_offset: 1,
                records: is_new.then(|| batch.clone()),
                ..PartitionData::default()
            }],
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    };
    let Reply::Answer(body) = asked.answer::<FetchRequest>(&response) else {
        unreachable!("an answer was made");
    };
    match is_new {
        true => Reply::Answer(body),
        false => Reply::Late(Duration::from_millis(100), body),
    }
}

#[test]
fn tries_are_spaced_from_retry_backoff_up_to_its_maximum() {
    const FIRST_MS: u64 = 40;
    const MAX_MS: u64 = 160;
    const TRIES: usize = 8;
    run(async {
        let times = Rc::new(RefCell::new(Vec::new()));
        let heard = times.clone();
        let fake = broker(move |asked| {
            let is_id = asked.is::<InitProducerIdRequest>();
            is_id.then(|| {
                heard.borrow_mut().push(Instant::now());
                asked.answer::<InitProducerIdRequest>(&InitProducerIdResponse {
                    error_code: ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                    ..InitProducerIdResponse::default()
                })
            })
        })
        .await;
        let settings = [("retry.backoff.ms", "40"), ("retry.backoff.max.ms", "160")];
        let mut client = client(&fake, &settings, ClientOptions::default());
        write(&mut *client);
        until("the tries", || {
            client.poll();
            (times.borrow().len() >= TRIES).then_some(())
        })
        .await;
        let times = times.borrow();
        let gaps: Vec<_> = times.windows(2).map(|two| two[1] - two[0]).collect();
        for (number, gap) in gaps.iter().enumerate() {
            let wait_ms = (FIRST_MS << number.min(16)).min(MAX_MS);
            // Spread by a fifth; a busy machine makes it longer.
            let wait = Duration::from_millis(wait_ms * 4 / 5);
            assert!(*gap >= wait, "{number}: {gap:?} of {gaps:?}");
        }
        // The waits stop growing: one of those at the end at least came in time.
        let shortest = gaps[2..].iter().min().unwrap();
        let twice = Duration::from_millis(2 * MAX_MS);
        assert!(*shortest < twice, "{gaps:?}");
    });
}
