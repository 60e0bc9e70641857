//! The broker that all tests of this binary share. Not for tests that kill it: they start their own.
//! Invariant: it is started at most once, and dies with the test process.

use headwater_broker::{Cluster, Listener, Options, is_usable};
use headwater_kafka::Kafka;
use std::sync::OnceLock;

/// ms after which the broker takes a silent member for dead: short enough to wait for, long enough for a machine that is busy.
pub(crate) const SESSION_TIMEOUT_MS: i64 = 6_000;

/// Names a broker that runs already, to save its start while one works on the client.
const GIVEN: &str = "HEADWATER_TEST_BROKER";

/// The settings that tests of groups need, and a listener for proxies.
pub(crate) fn options() -> Options {
    Options::default()
        .listen(Listener::Proxied)
        .set("group.streams.min.session.timeout.ms", SESSION_TIMEOUT_MS)
        .set("group.streams.session.timeout.ms", SESSION_TIMEOUT_MS)
        .set("group.streams.min.heartbeat.interval.ms", 100)
        .set("group.streams.heartbeat.interval.ms", 200)
        // Standby tasks are assigned from what members report; not a second later than that.
        .set("group.streams.task.offset.interval.ms", 1_000)
}

/// The shared broker; `None` where there is no Java.
pub(crate) fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let start = || is_usable("the client on a real broker").then(|| Cluster::start(&options()));
    CLUSTER
        .get_or_init(|| start().transpose().unwrap())
        .as_ref()
}

/// Where the shared broker is.
pub(crate) fn address() -> Option<String> {
    let given = std::env::var(GIVEN).ok();
    given.or_else(|| cluster().map(Cluster::bootstrap))
}

/// A client of the shared broker.
pub(crate) fn kafka() -> Option<Kafka> {
    address().map(|address| Kafka::at(&address).unwrap())
}
