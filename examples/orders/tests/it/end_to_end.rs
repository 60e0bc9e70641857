//! All services together: EndToEndTest of the Java original with its data.
//! Invariant: orders are placed and asked for over HTTP; nobody looks behind it.

use crate::place::everywhere;
use crate::samples::order;
use crate::shops::Shops;
use orders::model::OrderState::{self, Failed, Validated};
use orders::model::Product::{Jumpers, Stockings, Underpants};
use orders::service::Service;
use std::time::{Duration, Instant};

/// The original's set-up: without the email service.
const SERVICES: &[Service] = &[
    Service::Fraud,
    Service::Inventory,
    Service::Details,
    Service::Validations,
    Service::Orders,
];

#[track_caller]
fn check_ten(shops: &Shops, expected: OrderState) {
    for id in 0..10 {
        let placed = order(id, 2, Jumpers, 1, 1.0);
        shops.place(&placed);
        let decided = shops.get(&format!("/v1/orders/{id}/validated?timeout=60000"));
        assert_eq!(decided.order(), placed.with_state(expected));
    }
}

/// EndToEndTest.shouldCreateNewOrderAndGetBackValidatedOrder.
#[test]
fn a_new_order_comes_back_validated() {
    everywhere(|place| {
        let shops = Shops::open(place, SERVICES);
        shops.write(&[], &[(Underpants, 75), (Jumpers, 10)]);
        shops.place(&order(1, 2, Jumpers, 1, 1.0));
        let decided = shops.get("/v1/orders/1/validated?timeout=60000");
        assert_eq!(decided.order().state, Validated);
        shops.stop();
    });
}

/// EndToEndTest.shouldProcessManyValidOrdersEndToEnd.
#[test]
fn ten_valid_orders_are_validated_and_the_eleventh_finds_the_stock_empty() {
    everywhere(|place| {
        let shops = Shops::open(place, SERVICES);
        shops.write(&[], &[(Underpants, 75), (Jumpers, 10)]);
        check_ten(&shops, Validated);
        shops.place(&order(10, 2, Jumpers, 1, 1.0));
        let decided = shops.get("/v1/orders/10/validated?timeout=60000");
        assert_eq!(decided.order().state, Failed);
        shops.stop();
    });
}

/// EndToEndTest.shouldProcessManyInvalidOrdersEndToEnd.
#[test]
fn ten_orders_without_stock_fail() {
    everywhere(|place| {
        let shops = Shops::open(place, SERVICES);
        shops.write(&[], &[(Underpants, 75_000), (Jumpers, 0)]);
        check_ten(&shops, Failed);
        shops.stop();
    });
}

/// Fault 10, from outside: the original's client waits in vain.
#[test]
fn an_order_of_what_was_never_stocked_fails_and_all_goes_on_after_a_restart() {
    everywhere(|place| {
        let shops = Shops::open(place, &Service::ALL);
        shops.place(&order(1, 2, Stockings, 1, 1.0));
        let decided = shops.get("/v1/orders/1/validated?timeout=60000");
        assert_eq!(decided.order().state, Failed);
        shops.stop();
        let shops = Shops::open(place, &Service::ALL);
        shops.write(&[], &[(Stockings, 1)]);
        shops.place(&order(2, 2, Stockings, 1, 1.0));
        let decided = shops.get("/v1/orders/2/validated?timeout=60000");
        assert_eq!(decided.order().state, Validated);
        // What was sold is counted from the verdicts, a few commits behind them.
        let sold = r#"{"product":"STOCKINGS","quantity":1,"sold":1}"#;
        let begun = Instant::now();
        while !shops.get("/v1/inventory").body.contains(sold) {
            assert!(begun.elapsed() < Duration::from_secs(60), "not sold");
            std::thread::sleep(Duration::from_millis(10));
        }
        shops.stop();
    });
}
