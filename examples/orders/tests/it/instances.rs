//! Several instances of the Orders service behind their own ports: whichever is asked has the answer. Not the routing itself, which
//! is headwater's. Invariant: requests go to instances that run; what waits at one that stops is asked for anew by its client.

use crate::place::{Place, everywhere, on_kafka, on_kafka_in_classic_groups, until};
use crate::samples::order;
use crate::server::Server;
use orders::model::OrderState::Validated;
use orders::model::Product::Jumpers;
use orders::service::Service;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than a loaded machine needs.
const WAIT: Duration = Duration::from_secs(60);

/// One more instance of the Orders service, with a state directory of its own.
fn start(place: &Place, name: &str) -> Server {
    let state = place.dir.path().join(name);
    Server::instance(place.log(), Some(state), &[Service::Orders])
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

/// OrdersServiceTest.shouldGetOrderByIdWhenOnDifferentHost, for orders of every partition; while the second instance joins, too
/// (fault 4: a key whose host is not known yet is waited for).
#[test]
fn both_instances_have_every_order_also_while_partitions_move() {
    everywhere(both_have_every_order);
    on_kafka_in_classic_groups(both_have_every_order);
}

fn both_have_every_order(place: &Place) {
    let first = start(place, "first");
    let placed: Vec<_> = (0..20).map(|id| order(id, 2, Jumpers, 1, 100.0)).collect();
    for order in &placed {
        first.place(order);
    }
    let second = start(place, "second");
    for order in &placed {
        for server in [&second, &first] {
            let found = server.get(&format!("/v1/orders/{}?timeout=60000", order.id));
            assert_eq!(&found.order(), order);
        }
    }
    until(WAIT, || {
        held(&first) > 0 && held(&second) > 0 && held(&first) + held(&second) == 4
    });
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
    everywhere(|place| {
        let (first, second) = (start(place, "first"), start(place, "second"));
        until(WAIT, || held(&first) > 0 && held(&second) > 0);
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
    });
}

/// Fault 7: who waits is not left behind where the partition was.
#[test]
fn gets_that_wait_follow_a_partition_that_moves() {
    everywhere(|place| {
        let (first, second) = (start(place, "first"), start(place, "second"));
        until(WAIT, || held(&first) > 0 && held(&second) > 0);
        std::thread::scope(|scope| {
            let first = &first;
            let waiting: Vec<_> = (0..20)
                .map(|id| {
                    let path = format!("/v1/orders/{id}/validated?timeout=60000");
                    scope.spawn(move || first.get(&path))
                })
                .collect();
            until(WAIT, || {
                second.shop.waiting() > 0 && first.shop.waiting() + second.shop.waiting() >= 20
            });
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
    });
}

/// The bar of the requirements: instances come and go twenty times, and every GET that waits has its order in the end.
#[test]
fn no_get_that_waits_is_lost_over_twenty_rebalances() {
    rebalances(&Place::embedded(), 20);
    on_kafka(|place| rebalances(place, 4));
}

#[test]
#[ignore = "takes minutes"]
fn no_get_that_waits_is_lost_over_twenty_rebalances_on_kafka() {
    on_kafka(|place| rebalances(place, 20));
}

/// GETs wait at one instance, those of the other one's partitions with it, while the other one comes and goes: each time partitions
/// move, and who waits for them.
fn rebalances(place: &Place, times: usize) {
    const WAITING: u32 = 200;
    let (first, mut second) = (start(place, "first"), start(place, "second"));
    let shared = |second: &Server| held(&first) > 0 && held(second) > 0;
    until(WAIT, || shared(&second));
    let second = std::thread::scope(|scope| {
        let first = &first;
        let waiting: Vec<_> = (0..WAITING)
            .map(|id| scope.spawn(move || first.get(&format!("/v1/orders/{id}?timeout=300000"))))
            .collect();
        until(WAIT, || second.shop.waiting() > 0);
        until(WAIT, || {
            first.shop.waiting() + second.shop.waiting() >= WAITING as usize
        });
        for _ in 0..times / 2 {
            second.stop();
            until(WAIT, || held(first) == 4);
            second = start(place, "second");
            until(WAIT, || shared(&second));
        }
        assert!(waiting.iter().all(|waiter| !waiter.is_finished()));
        for id in 0..WAITING {
            first.place(&order(id, 2, Jumpers, 1, 100.0));
        }
        for (id, waiter) in (0..).zip(waiting) {
            let answer = waiter.join().unwrap();
            assert_eq!(answer.order(), order(id, 2, Jumpers, 1, 100.0));
        }
        second
    });
    first.stop();
    second.stop();
}

/// The ids of so many orders that a page which watches at `server` is told of.
fn watched(server: &Server, count: usize) -> BTreeSet<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    let request = b"GET /v1/events HTTP/1.1\r\nhost: shop\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut ids = BTreeSet::new();
    let mut lines = BufReader::new(stream).lines();
    while ids.len() < count {
        let line = lines.next().expect("a stream without an end").unwrap();
        if let Some(data) = line.strip_prefix("data: ") {
            let order: orders::model::Order = serde_json::from_str(data).unwrap();
            ids.insert(order.id);
        }
    }
    ids
}

#[test]
fn a_page_at_either_instance_is_told_of_the_orders_of_all() {
    everywhere(|place| {
        let (first, second) = (start(place, "first"), start(place, "second"));
        until(WAIT, || held(&first) > 0 && held(&second) > 0);
        let placed: Vec<_> = (0..20).map(|id| order(id, 2, Jumpers, 1, 100.0)).collect();
        let ids: BTreeSet<String> = placed.iter().map(|order| order.id.clone()).collect();
        std::thread::scope(|scope| {
            let early = scope.spawn(|| watched(&first, placed.len()));
            for order in &placed {
                second.place(order);
            }
            assert_eq!(early.join().unwrap(), ids);
        });
        assert_eq!(watched(&second, placed.len()), ids);
        first.stop();
        second.stop();
    });
}
