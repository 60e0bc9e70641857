//! Several instances of the Orders service behind their own ports: whichever is asked has the answer. Not the routing itself, which
//! is headwater's. Invariant: requests go to instances that run; what waits at one that stops is asked for anew by its client.

use crate::samples::order;
use crate::server::Server;
use headwater::EmbeddedLog;
use headwater::log::Log;
use orders::model::OrderState::Validated;
use orders::model::Product::Jumpers;
use orders::service::{Service, prepare};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than a loaded machine needs.
const WAIT: Duration = Duration::from_secs(60);

struct Shops {
    dir: TempDir,
    log: Arc<dyn Log>,
}

impl Shops {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let log = EmbeddedLog::open(dir.path()).unwrap().shared();
        prepare(&*log).unwrap();
        Self { dir, log }
    }

    fn start(&self, name: &str) -> Server {
        let state = self.dir.path().join(name);
        Server::instance(self.log.clone(), Some(state), &[Service::Orders])
    }
}

/// Partitions of the orders that an instance has.
fn held(server: &Server) -> usize {
    let metadata = server.get("/metadata");
    let metadata: serde_json::Value = serde_json::from_str(&metadata.body).unwrap();
    let stores = metadata["stores"].as_array().unwrap();
    let orders = stores.iter().find(|it| it["store"] == "orders-store");
    let partitions = orders.unwrap()["partitions"].as_array().unwrap();
    partitions.iter().filter(|it| it["here"] == true).count()
}

#[track_caller]
fn until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// OrdersServiceTest.shouldGetOrderByIdWhenOnDifferentHost, for orders of every partition; while the second instance joins, too
/// (fault 4: a key whose host is not known yet is waited for).
#[test]
fn both_instances_have_every_order_also_while_partitions_move() {
    let shops = Shops::new();
    let first = shops.start("first");
    let placed: Vec<_> = (0..20).map(|id| order(id, 2, Jumpers, 1, 100.0)).collect();
    for order in &placed {
        first.place(order);
    }
    let second = shops.start("second");
    for order in &placed {
        for server in [&second, &first] {
            let found = server.get(&format!("/v1/orders/{}?timeout=60000", order.id));
            assert_eq!(&found.order(), order);
        }
    }
    until(|| held(&first) > 0 && held(&second) > 0 && held(&first) + held(&second) == 4);
    for order in &placed {
        for server in [&first, &second] {
            let found = server.get(&format!("/v1/orders/{}?timeout=60000", order.id));
            assert_eq!(&found.order(), order);
        }
    }
    // Fault 5: the owner's answer comes through as it is, a 504 too.
    for id in 100..110 {
        let late = second.get(&format!("/v1/orders/{id}?timeout=100"));
        assert_eq!(late.status, 504);
        assert_eq!(late.body, "HTTP GET timed out after 100 ms");
    }
    first.stop();
    second.stop();
}

#[test]
fn a_write_is_seen_at_once_at_the_other_instance_by_who_carries_its_token() {
    let shops = Shops::new();
    let (first, second) = (shops.start("first"), shops.start("second"));
    until(|| held(&first) > 0 && held(&second) > 0);
    for id in 0..50 {
        let placed = order(id, 2, Jumpers, 1, 100.0);
        let (writer, reader) = match id % 2 {
            0 => (&first, &second),
            _ => (&second, &first),
        };
        let answer = writer.place(&placed);
        let token = answer.header("headwater-token").unwrap();
        let path = format!("/stores/orders-store/{}", placed.id);
        assert_eq!(reader.get_after(&path, token).order(), placed);
    }
    first.stop();
    second.stop();
}

/// Fault 7: who waits is not left behind where the partition was.
#[test]
fn gets_that_wait_follow_a_partition_that_moves() {
    let shops = Shops::new();
    let (first, second) = (shops.start("first"), shops.start("second"));
    until(|| held(&first) > 0 && held(&second) > 0);
    std::thread::scope(|scope| {
        let first = &first;
        let waiting: Vec<_> = (0..20)
            .map(|id| {
                let path = format!("/v1/orders/{id}/validated?timeout=60000");
                scope.spawn(move || first.get(&path))
            })
            .collect();
        until(|| second.shop.waiting() > 0 && first.shop.waiting() + second.shop.waiting() >= 20);
        second.stop();
        for id in 0..20 {
            let placed = order(id, 2, Jumpers, 1, 100.0);
            first.place(&placed);
            first.write(&[placed.with_state(Validated)], &[]);
        }
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap().order().state, Validated);
        }
    });
    first.stop();
}
