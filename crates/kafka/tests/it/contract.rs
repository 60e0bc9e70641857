//! The contract of a log (`headwater_log::suite`) on a real broker. Not what a broker does beyond it.
//! Invariant: a behaviour that fails here and not on the embedded log is a fault of the client, or stands in `gaps` with its reason.

use crate::broker::{SESSION_TIMEOUT_MS, address, kafka};
use headwater_kafka::Kafka;
use headwater_log::{
    Log,
    suite::{self, Harness},
};
use headwater_world::{Clock, World};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// What the client cannot do. A list that only shrinks.
const GAPS: &[&str] = &[];
struct OnKafka {
    log: Mutex<Option<Arc<Kafka>>>,
    clock: Arc<dyn Clock>,
    prefix: String,
    /// `group.protocol`, where it is not up to the broker.
    group_protocol: Option<&'static str>,
}

impl OnKafka {
    /// Groups are classic ones, as on brokers before KIP-1071.
    fn with_classic_groups() -> Self {
        Self {
            group_protocol: Some("classic"),
            ..Self::new()
        }
    }

    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            log: Mutex::new(None),
            clock: World::real().clock,
            // The process id, for a broker that outlives the tests.
            prefix: format!("s{}-{number}-", std::process::id()),
            group_protocol: None,
        }
    }
}

impl Harness for OnKafka {
    fn log(&self) -> Arc<dyn Log> {
        let mut log = self.log.lock().unwrap();
        let open = || {
            let kafka = kafka().unwrap();
            let kafka = match self.group_protocol {
                Some(protocol) => kafka.with("group.protocol", protocol).unwrap(),
                None => kafka,
            };
            Arc::new(kafka)
        };
        Arc::clone(log.get_or_insert_with(open)) as Arc<dyn Log>
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn advance(&self, ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn reopen(&self) -> Option<Arc<dyn Log>> {
        *self.log.lock().unwrap() = None;
        Some(self.log())
    }

    fn prefix(&self) -> String {
        self.prefix.clone()
    }

    fn session_timeout_ms(&self) -> i64 {
        SESSION_TIMEOUT_MS
    }

    fn is_silent_unless_polled(&self) -> bool {
        false
    }

    fn is_distributed(&self) -> bool {
        true
    }

    fn gaps(&self) -> &[&str] {
        match address() {
            Some(_) => GAPS,
            None => ALL,
        }
    }
}

/// Without a broker nothing can run, and each behaviour says so.
static ALL: &[&str] = &{
    let behaviours = headwater_log::suite::BEHAVIOURS;
    let mut names = [""; headwater_log::suite::BEHAVIOURS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = behaviours[at].0;
        at += 1;
    }
    names
};

headwater_log::log_suite!(OnKafka::new());

/// What queries are routed by, where the broker has streams groups and the application asks for a classic one.
#[test]
fn members_of_classic_groups_hear_which_host_holds_what() {
    suite::run(
        "members_hear_which_host_holds_what",
        suite::groups::members_hear_which_host_holds_what,
        &OnKafka::with_classic_groups(),
    );
}

#[test]
fn a_member_of_a_classic_group_may_stop_the_whole_group() {
    suite::run(
        "a_member_may_stop_the_whole_group",
        suite::groups::a_member_may_stop_the_whole_group,
        &OnKafka::with_classic_groups(),
    );
}
