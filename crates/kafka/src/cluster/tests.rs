//! The cluster's view against scripted brokers: leaders, coalesced refreshes, brokers that are away, coordinators.
//! Not against real ones. Invariant: what is stale is asked for anew.

use super::*;
use crate::connection::fake::{Asked, Fake, Reply, run, versions};
use crate::protocol::{
    find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse},
    metadata::{
        MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    },
};

/// What a scripted broker says of the cluster.
#[derive(Clone)]
struct Told {
    cluster_id: &'static str,
    leader: NodeId,
    epoch: i32,
}

const FIRST: Told = Told {
    cluster_id: "c",
    leader: 1,
    epoch: 5,
};

fn metadata(asked: &Asked, told: &Told, port: u16) -> Reply {
    let request = asked.read::<MetadataRequest>();
    assert!(!request.allow_auto_topic_creation);
    let topics = request.topics.unwrap().into_iter().map(|topic| {
        let is_missing = topic.name.as_deref() == Some("missing");
        MetadataResponseTopic {
            error_code: match is_missing {
                true => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                false => ErrorCode::NONE,
            },
            topic_id: Uuid(if is_missing { 0 } else { 77 }),
            name: topic.name,
            // The second comes first.
            partitions: [1, 0]
                .map(|partition_index| MetadataResponsePartition {
                    partition_index,
                    leader_id: told.leader,
                    leader_epoch: told.epoch,
                    ..MetadataResponsePartition::default()
                })
                .into(),
            ..MetadataResponseTopic::default()
        }
    });
    asked.answer::<MetadataRequest>(&MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: 1,
            host: "127.0.0.1".into(),
            port: i32::from(port),
            rack: None,
        }],
        cluster_id: Some(told.cluster_id.into()),
        topics: topics.collect(),
        ..MetadataResponse::default()
    })
}

/// A broker that says what `told` holds.
async fn broker(told: &Rc<RefCell<Told>>) -> Rc<Fake> {
    let told = told.clone();
    let own_port = Rc::new(Cell::new(0));
    let port = own_port.clone();
    let fake = Fake::start(move |asked| match asked.key {
        18 => versions(asked, &[3, 10]),
        3 => metadata(asked, &told.borrow(), port.get()),
        10 => asked.answer::<FindCoordinatorRequest>(&FindCoordinatorResponse {
            coordinators: vec![Coordinator {
                node_id: 1,
                host: "127.0.0.1".into(),
                port: i32::from(port.get()),
                ..Coordinator::default()
            }],
            ..FindCoordinatorResponse::default()
        }),
        _ => Reply::Close,
    })
    .await;
    own_port.set(fake.address.port());
    fake
}

fn cluster(servers: &str, pairs: &[(&str, &str)]) -> Rc<Cluster> {
    let mut settings = Settings::at(servers).unwrap();
    for (name, value) in pairs {
        settings.set(name, value).unwrap();
    }
    Cluster::new(Rc::new(settings), "tester")
}

#[test]
fn leaders_are_heard_lost_and_heard_again() {
    run(async {
        let told = Rc::new(RefCell::new(FIRST));
        let fake = broker(&told).await;
        let cluster = cluster(&fake.address.to_string(), &[]);
        assert_eq!(cluster.feature("transaction.version"), None);
        let topics: [Arc<str>; 2] = ["t".into(), "missing".into()];
        cluster.refresh(&topics).await.unwrap();
        let leader = |epoch| Some(Leader { node: 1, epoch });
        assert_eq!(cluster.leader("t", 0), leader(5));
        assert_eq!(cluster.partitions("t"), Some(2));
        assert_eq!(cluster.leader("t", 2), None);
        assert_eq!(cluster.topic_id("t"), Some(Uuid(77)));
        assert_eq!(cluster.partitions("missing"), None);
        assert_eq!(
            cluster.topic_error("missing"),
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        );
        assert_eq!(cluster.feature("transaction.version"), Some(0));

        cluster.stale("t", 0);
        assert_eq!(
            (cluster.leader("t", 0), cluster.leader("t", 1)),
            (None, leader(5))
        );
        // An older answer does not undo what a broker said since; a newer one does.
        cluster.moved("t", 1, 1, 9);
        cluster.refresh(&topics).await.unwrap();
        assert_eq!(
            (cluster.leader("t", 0), cluster.leader("t", 1)),
            (leader(5), leader(9))
        );
        told.borrow_mut().epoch = 10;
        cluster.refresh(&topics).await.unwrap();
        assert_eq!(cluster.leader("t", 1), leader(10));
        // A leader nobody has an address of is none.
        cluster.moved("t", 1, 4, 11);
        assert_eq!(cluster.leader("t", 1), None);
        cluster.moved("t", 1, 1, 3);
        assert_eq!(cluster.leader("t", 1), None);
    });
}

#[test]
fn refreshes_that_wait_at_the_same_time_share_one_request() {
    run(async {
        let told = Rc::new(RefCell::new(FIRST));
        let fake = broker(&told).await;
        let cluster = cluster(&fake.address.to_string(), &[]);
        let mut waiting = Vec::new();
        for number in 0..20 {
            let cluster = cluster.clone();
            waiting.push(spawn_local(async move {
                let topic: Arc<str> = format!("t{number}").into();
                cluster.refresh(std::slice::from_ref(&topic)).await.unwrap();
                assert_eq!(cluster.partitions(&topic), Some(2));
            }));
        }
        for one in waiting {
            one.await.unwrap();
        }
        assert!(
            fake.count::<MetadataRequest>() <= 2,
            "{}",
            fake.count::<MetadataRequest>()
        );
    });
}

#[test]
fn a_dead_bootstrap_server_is_passed_over_and_asked_again_when_the_others_are_gone() {
    run(async {
        let told = Rc::new(RefCell::new(FIRST));
        let fake = broker(&told).await;
        let servers = format!("127.0.0.1:1,{}", fake.address);
        let cluster = cluster(&servers, &[("reconnect.backoff.ms", "10")]);
        cluster.refresh(&["t".into()]).await.unwrap();
        // The broker it heard of is another one now, where nobody listens.
        cluster.found(1, "127.0.0.1", 2);
        assert_eq!(cluster.brokers(), [1]);
        cluster.refresh(&["t".into()]).await.unwrap();
        assert_eq!(
            cluster.metadata.borrow().address(1).unwrap().port,
            fake.address.port()
        );
    });
}

#[test]
fn without_any_broker_the_reason_is_told_and_attempts_are_spaced() {
    run(async {
        let closing = Fake::start(|_| Reply::Close).await;
        let servers = closing.address.to_string();
        let cluster = cluster(&servers, &[("reconnect.backoff.ms", "100")]);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(450) {
            let error = cluster.any(&MetadataRequest::default()).await.unwrap_err();
            assert!(error.to_string().contains("security.protocol"), "{error}");
            assert!(error.is_retriable());
        }
        assert!(
            (2..=5).contains(&closing.connections.get()),
            "{}",
            closing.connections.get()
        );
        assert!(!cluster.is_proven());
    });
}

#[test]
fn another_cluster_at_the_same_address_is_refused() {
    run(async {
        let told = Rc::new(RefCell::new(FIRST));
        let fake = broker(&told).await;
        let cluster = cluster(&fake.address.to_string(), &[]);
        cluster.refresh(&["t".into()]).await.unwrap();
        told.borrow_mut().cluster_id = "other";
        let error = cluster.refresh(&["t".into()]).await.unwrap_err();
        assert!(
            matches!(&error, RequestError::Unsupported(why) if why.contains("cluster other, not c")),
            "{error:?}"
        );
    });
}

#[test]
fn a_coordinator_is_found_once_and_anew_after_it_was_forgotten() {
    run(async {
        let told = Rc::new(RefCell::new(FIRST));
        let fake = broker(&told).await;
        let cluster = cluster(&fake.address.to_string(), &[]);
        for _ in 0..3 {
            assert_eq!(
                cluster.coordinator(CoordinatorKind::Group, "g").await,
                Ok(1)
            );
        }
        assert_eq!(fake.count::<FindCoordinatorRequest>(), 1);
        cluster.forget_coordinator(CoordinatorKind::Group, "g");
        assert_eq!(
            cluster.coordinator(CoordinatorKind::Group, "g").await,
            Ok(1)
        );
        assert_eq!(fake.count::<FindCoordinatorRequest>(), 2);
    });
}

#[test]
fn idle_connections_are_closed() {
    run(async {
        let told = Rc::new(RefCell::new(FIRST));
        let fake = broker(&told).await;
        let cluster = cluster(
            &fake.address.to_string(),
            &[("connections.max.idle.ms", "0")],
        );
        cluster.refresh(&["t".into()]).await.unwrap();
        for link in cluster.links.borrow().values() {
            link.close_if_idle(Duration::ZERO);
        }
        cluster.refresh(&["t".into()]).await.unwrap();
        assert_eq!(fake.connections.get(), 2);
    });
}

#[test]
fn a_frozen_broker_is_passed_over_when_another_can_answer() {
    run(async {
        let frozen = Fake::start(|asked| match asked.key {
            18 => versions(asked, &[3]),
            _ => Reply::Silence,
        })
        .await;
        let told = Rc::new(RefCell::new(FIRST));
        let awake = broker(&told).await;
        let cluster = cluster(&awake.address.to_string(), &[]);
        cluster.refresh(&["t".into()]).await.unwrap();
        // The known broker is frozen; the bootstrap server is not.
        cluster.found(1, "127.0.0.1", i32::from(frozen.address.port()));
        let began = Instant::now();
        cluster.refresh(&["t".into()]).await.unwrap();
        assert!(began.elapsed() < 2 * LOOK_UP_TRY_MAX);
    });
}

#[test]
fn waits_double_up_to_the_largest_and_differ_between_clients() {
    run(async {
        let settings = [
            ("retry.backoff.ms", "100"),
            ("retry.backoff.max.ms", "1000"),
        ];
        let one = cluster("127.0.0.1:1", &settings);
        for (attempt, ms) in [(0, 100), (1, 200), (3, 800), (4, 1_000), (40, 1_000)] {
            let waits: BTreeSet<_> = (0..200).map(|_| one.backoff(attempt)).collect();
            let (first, last) = (waits.first().unwrap(), waits.last().unwrap());
            let part = |tenths: u64| Duration::from_millis(ms * tenths / 10);
            assert!(*first >= part(8) && *last < part(12), "{first:?} {last:?}");
            // 200 draws of 1,000 steps leave neither half out and do not repeat often.
            assert!(*first < part(9) && *last > part(11), "{first:?} {last:?}");
            assert!(waits.len() > 100, "{} different waits", waits.len());
        }
    });
}
