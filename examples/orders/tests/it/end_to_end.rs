//! All services together: EndToEndTest of the Java original with its data.
//! Invariant: orders are placed and asked for over HTTP; nobody looks behind it.

use crate::samples::order;
use crate::server::Server;
use orders::model::OrderState::{self, Failed, Validated};
use orders::model::Product::{Jumpers, Stockings, Underpants};
use orders::service::Service;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The original's set-up: without the email service.
const SERVICES: &[Service] = &[
    Service::Fraud,
    Service::Inventory,
    Service::Details,
    Service::Validations,
    Service::Orders,
];

#[track_caller]
fn check_ten(server: &Server, expected: OrderState) {
    for id in 0..10 {
        let placed = order(id, 2, Jumpers, 1, 1.0);
        server.place(&placed);
        let decided = server.get(&format!("/v1/orders/{id}/validated?timeout=60000"));
        assert_eq!(decided.order(), placed.with_state(expected));
    }
}

/// EndToEndTest.shouldCreateNewOrderAndGetBackValidatedOrder.
#[test]
fn a_new_order_comes_back_validated() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, SERVICES);
    server.write(&[], &[(Underpants, 75), (Jumpers, 10)]);
    server.place(&order(1, 2, Jumpers, 1, 1.0));
    let decided = server.get("/v1/orders/1/validated?timeout=60000");
    assert_eq!(decided.order().state, Validated);
    server.stop();
}

/// EndToEndTest.shouldProcessManyValidOrdersEndToEnd.
#[test]
fn ten_valid_orders_are_validated_and_the_eleventh_finds_the_stock_empty() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, SERVICES);
    server.write(&[], &[(Underpants, 75), (Jumpers, 10)]);
    check_ten(&server, Validated);
    server.place(&order(10, 2, Jumpers, 1, 1.0));
    let decided = server.get("/v1/orders/10/validated?timeout=60000");
    assert_eq!(decided.order().state, Failed);
    server.stop();
}

/// EndToEndTest.shouldProcessManyInvalidOrdersEndToEnd.
#[test]
fn ten_orders_without_stock_fail() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, SERVICES);
    server.write(&[], &[(Underpants, 75_000), (Jumpers, 0)]);
    check_ten(&server, Failed);
    server.stop();
}

/// Fault 10, from outside: the original's client waits in vain.
#[test]
fn an_order_of_what_was_never_stocked_fails_and_all_goes_on_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, &Service::ALL);
    server.place(&order(1, 2, Stockings, 1, 1.0));
    let decided = server.get("/v1/orders/1/validated?timeout=60000");
    assert_eq!(decided.order().state, Failed);
    server.stop();
    let server = Server::start(&dir, &Service::ALL);
    server.write(&[], &[(Stockings, 1)]);
    server.place(&order(2, 2, Stockings, 1, 1.0));
    let decided = server.get("/v1/orders/2/validated?timeout=60000");
    assert_eq!(decided.order().state, Validated);
    // What was sold is counted from the verdicts, a few commits behind them.
    let sold = r#"{"product":"STOCKINGS","quantity":1,"sold":1}"#;
    let begun = Instant::now();
    while !server.get("/v1/inventory").body.contains(sold) {
        assert!(begun.elapsed() < Duration::from_secs(60), "not sold");
        std::thread::sleep(Duration::from_millis(10));
    }
    server.stop();
}
