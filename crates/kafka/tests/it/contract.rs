//! The contract of a log (`headwater_log::suite`) on a real broker. Not what a broker does beyond it.
//! Invariant: a behaviour that fails here and not on the embedded log is a fault of the client, or stands in `gaps` with its reason.

use crate::broker::{SESSION_TIMEOUT_MS, address, kafka};
use headwater_kafka::Kafka;
use headwater_log::{Log, suite::Harness};
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
/// What members of classic groups do not hear: there is no place for it in what our assignor hands out yet.
const CLASSIC_GAPS: &[&str] = &["members_hear_which_host_holds_what"];

/// Groups of the brokers before KIP-1071 are classic ones.
fn is_classic() -> bool {
    let version = std::env::var("HEADWATER_KAFKA_VERSION");
    version.is_ok_and(|it| it.starts_with("3.") || it.starts_with("4.0"))
}

struct OnKafka {
    log: Mutex<Option<Arc<Kafka>>>,
    clock: Arc<dyn Clock>,
    prefix: String,
}

impl OnKafka {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            log: Mutex::new(None),
            clock: World::real().clock,
            // The process id, for a broker that outlives the tests.
            prefix: format!("s{}-{number}-", std::process::id()),
        }
    }
}

impl Harness for OnKafka {
    fn log(&self) -> Arc<dyn Log> {
        let mut log = self.log.lock().unwrap();
        Arc::clone(log.get_or_insert_with(|| Arc::new(kafka().unwrap()))) as Arc<dyn Log>
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
            Some(_) if is_classic() => CLASSIC_GAPS,
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
