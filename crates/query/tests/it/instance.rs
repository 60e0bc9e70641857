//! An application of several instances in one process, and what writes its input. Not a test.
//! Invariant: instances are stopped as processes are that get a signal, and killed as those that do not.

use headwater_log::{Endpoint, Log, MemoryLog};
use headwater_query::{Joined, Queries, Token};
use headwater_runtime::{Running, Settings, SourceWriter, start};
use headwater_streams::{App, Topology};
use headwater_world::World;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const WAIT: Duration = Duration::from_secs(60);
pub(crate) const PARTITIONS: u32 = 4;

/// Orders by id, and how many there are of each kind: the value modulo 5, behind a repartition.
pub(crate) fn shop() -> Topology {
    let app = App::new("shop");
    let orders = app.table_in::<String, i64>("orders", "orders-store");
    orders
        .to_stream()
        .group_by(|_, value| format!("kind-{}", value % 5))
        .count("by-kind");
    app.global_table_in::<String, i64>("prices", "prices-store");
    app.build().unwrap()
}

pub(crate) struct Instance {
    pub(crate) running: Running,
    pub(crate) queries: Queries,
}

/// Instances that share a log and can ask each other.
pub(crate) struct Shop {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) joined: Joined,
    pub(crate) topology: fn() -> Topology,
    pub(crate) standbys: u32,
    settings: Settings,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self::of(shop)
    }

    pub(crate) fn of(topology: fn() -> Topology) -> Self {
        let world = World::real();
        Self::on(MemoryLog::new(&world), world, topology)
    }

    pub(crate) fn on(log: Arc<dyn Log>, world: World, topology: fn() -> Topology) -> Self {
        let settings = Settings {
            world,
            commit_interval_ms: 10,
            session_timeout_ms: 1_000,
            ..Settings::default()
        };
        let shop = Self {
            log,
            joined: Joined::default(),
            topology,
            standbys: 0,
            settings,
        };
        let mut writer = shop.writer("setup");
        for topic in ["orders", "prices"] {
            writer.ensure_topic(topic, PARTITIONS).unwrap();
        }
        shop
    }

    pub(crate) fn writer(&self, source: &str) -> SourceWriter {
        SourceWriter::open(&*self.log, "shop", source, &self.settings).unwrap()
    }

    /// An instance that answers at `endpoint`.
    pub(crate) fn run(&self, endpoint: Endpoint) -> Running {
        let settings = Settings {
            standby_replicas: Some(self.standbys),
            application_server: Some(endpoint),
            ..self.settings.clone()
        };
        start((self.topology)(), &self.log, settings).unwrap()
    }

    pub(crate) fn start(&self, number: u16) -> Instance {
        let settings = Settings {
            standby_replicas: Some(self.standbys),
            application_server: Some(endpoint(number)),
            ..self.settings.clone()
        };
        let running = start((self.topology)(), &self.log, settings).unwrap();
        let queries = Queries::new(&running, Arc::new(self.joined.clone()));
        self.joined.add(&queries);
        Instance { running, queries }
    }
}

impl Instance {
    /// Waits until a store has come to a token.
    pub(crate) async fn reached(&self, store: &str, token: &Token) {
        self.queries.reached(store, token, WAIT).await.unwrap();
    }

    pub(crate) fn stop(self, shop: &Shop) {
        let endpoint = self.queries.state().endpoint().cloned();
        self.running.stop(WAIT).unwrap();
        shop.joined.remove(&endpoint.unwrap());
    }
}

pub(crate) fn endpoint(number: u16) -> Endpoint {
    Endpoint {
        host: "shop.example".into(),
        port: 7_000 + number,
    }
}

/// Writes orders `0..count` with their numbers as values; the token of the last commit, and of all before it.
pub(crate) fn place(
    writer: &mut SourceWriter,
    topic: &str,
    numbers: std::ops::Range<i64>,
) -> Token {
    for number in numbers {
        let key = format!("order-{number}");
        writer.append(topic, &key, &number, number).unwrap();
    }
    let position = writer.position() + 1;
    writer.commit(position).unwrap();
    Token::of_receipt(writer.receipt())
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(future)
}

/// Waits until each instance says so.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_for(WAIT, what, is_so);
}

#[track_caller]
pub(crate) fn until_for(wait: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + wait;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until both instances have partitions.
pub(crate) fn share(instances: &[&Instance]) {
    until("a share for each", || {
        let held = |it: &&Instance| it.queries.state().views().readers("orders-store").len();
        let all: usize = instances.iter().map(held).sum();
        all == PARTITIONS as usize && instances.iter().all(|it| held(it) > 0)
    });
}
