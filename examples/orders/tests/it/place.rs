//! Where a test runs: on the embedded log with one instance, and on Apache Kafka with two behind different ports. Not a test.
//! Invariant: a test finds no topic and no group of the one before it; without Java it says that it was skipped.

use headwater::log::{ClientOptions, Log, Request, Response, call, call_deadline_default_ms};
use headwater::world::World;
use headwater::{EmbeddedLog, Kafka};
use headwater_broker::{Cluster, Options, is_usable};
use orders::service::prepare;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// ms after which the broker takes a silent member for dead: long enough for a machine that is busy.
const SESSION_TIMEOUT_MS: i64 = 10_000;

/// How long topics may take to go.
const CLEAR_MAX: Duration = Duration::from_secs(60);

/// The topics have fixed names, so tests take the broker in turn.
static TURN: Mutex<()> = Mutex::new(());

/// A log, and a folder for state.
pub(crate) struct Place {
    /// How many instances of each service run here.
    pub(crate) instances: usize,
    pub(crate) dir: TempDir,
    /// The log that is open in this process; two instances cannot open the same folder.
    open: Mutex<Option<Weak<dyn Log>>>,
    kafka: Option<Turn>,
}

struct Turn {
    address: String,
    /// `group.protocol`, where it is not up to the broker.
    group_protocol: Option<&'static str>,
    _alone: MutexGuard<'static, ()>,
}

/// Waits until it is so, `at_most` so long.
#[track_caller]
pub(crate) fn until(at_most: Duration, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < at_most);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a test on the embedded log, and on Kafka with two instances.
pub(crate) fn everywhere(test: impl Fn(&Place)) {
    test(&Place::embedded());
    on_kafka(test);
}

/// Runs a test on Kafka with two instances.
pub(crate) fn on_kafka(test: impl Fn(&Place)) {
    if let Some(place) = Place::kafka(None) {
        test(&place);
    }
}

/// The same in classic groups, as on brokers before 4.1.
pub(crate) fn on_kafka_in_classic_groups(test: impl Fn(&Place)) {
    if let Some(place) = Place::kafka(Some("classic")) {
        test(&place);
    }
}

impl Place {
    pub(crate) fn embedded() -> Self {
        let place = Self {
            instances: 1,
            dir: TempDir::new().unwrap(),
            open: Mutex::default(),
            kafka: None,
        };
        prepare(&*place.log()).unwrap();
        place
    }

    fn kafka(group_protocol: Option<&'static str>) -> Option<Self> {
        let alone = TURN.lock().unwrap_or_else(|broken| broken.into_inner());
        let address = broker()?.bootstrap();
        let place = Self {
            instances: 2,
            dir: TempDir::new().unwrap(),
            open: Mutex::default(),
            kafka: Some(Turn {
                address,
                group_protocol,
                _alone: alone,
            }),
        };
        let log = place.log();
        clear(&*log);
        prepare(&*log).unwrap();
        Some(place)
    }

    /// Where Kafka is, if it is the log here.
    pub(crate) fn servers(&self) -> Option<&str> {
        self.kafka.as_ref().map(|kafka| kafka.address.as_str())
    }

    /// The log as one more instance sees it.
    pub(crate) fn log(&self) -> Arc<dyn Log> {
        if let Some(kafka) = &self.kafka {
            let at = Kafka::at(&kafka.address).unwrap();
            return Arc::new(match kafka.group_protocol {
                Some(protocol) => at.with("group.protocol", protocol).unwrap(),
                None => at,
            });
        }
        let mut open = self.open.lock().unwrap();
        if let Some(log) = open.as_ref().and_then(Weak::upgrade) {
            return log;
        }
        let log: Arc<dyn Log> = EmbeddedLog::open(self.dir.path()).unwrap().shared();
        *open = Some(Arc::downgrade(&log));
        log
    }
}

/// The broker that all tests of this binary share.
fn broker() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let options = || {
        Options::default()
            .set("group.streams.min.session.timeout.ms", SESSION_TIMEOUT_MS)
            .set("group.streams.session.timeout.ms", SESSION_TIMEOUT_MS)
            .set("group.streams.min.heartbeat.interval.ms", 100)
            .set("group.streams.heartbeat.interval.ms", 200)
    };
    let start = || is_usable("the shop on a real broker").then(|| Cluster::start(&options()));
    let cluster = CLUSTER.get_or_init(|| start().transpose().unwrap());
    cluster.as_ref()
}

/// Deletes every group and every topic but Kafka's own, and waits until the broker knows none of them: members of processes that were
/// killed stay for a session, and a deleted topic is known for a moment still.
fn clear(log: &dyn Log) {
    let mut client = log.client(ClientOptions::default()).unwrap();
    let clock = World::real().clock;
    let mut ask = |request| call(&mut *client, &*clock, request, call_deadline_default_ms());
    let begun = Instant::now();
    loop {
        let groups = match ask(Request::ListGroups).unwrap() {
            Response::Groups(groups) => groups,
            other => panic!("{other:?}"),
        };
        let topics = match ask(Request::DescribeTopics(None)).unwrap() {
            Response::Topics(topics) => topics.into_iter().map(|topic| topic.name.to_string()),
            other => panic!("{other:?}"),
        };
        let topics: Vec<_> = topics.filter(|name| !name.starts_with("__")).collect();
        if groups.is_empty() && topics.is_empty() {
            return;
        }
        assert!(begun.elapsed() < CLEAR_MAX, "{groups:?} {topics:?}");
        // Those that are going already are unknown, and those that have members yet are refused.
        for group in groups {
            let _ = ask(Request::DeleteGroup(group.group));
        }
        if !topics.is_empty() {
            let _ = ask(Request::DeleteTopics(topics));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
