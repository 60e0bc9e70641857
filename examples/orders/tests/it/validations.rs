//! The validations aggregator: the Java test with its data, answers that come twice, late or never, and faults 6, 8, 9 and 10.
//! Invariant: every order gets one verdict.

use crate::samples::{answer, delete, error, order, place, values};
use headwater::TestDriver;
use orders::model::OrderState::{Failed, Shipped, Validated};
use orders::model::OrderValidationType::{FraudCheck, InventoryCheck, OrderDetailsCheck};
use orders::model::Product::{Jumpers, Underpants};
use orders::model::{Order, OrderState, OrderValidation};
use orders::topics::{ORDER_VALIDATIONS, ORDERS};
use orders::validations::validations_aggregator_service;
use std::time::Duration;

const TIMEOUT_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 3_600_000;

fn service() -> TestDriver {
    let timeout = Duration::from_millis(TIMEOUT_MS as u64);
    TestDriver::new(validations_aggregator_service(timeout).unwrap()).unwrap()
}

fn tell(driver: &mut TestDriver, answer: OrderValidation) {
    let key = answer.order_id.clone();
    driver.pipe(ORDER_VALIDATIONS, key, answer, 10).unwrap();
}

fn verdicts(driver: &mut TestDriver) -> Vec<Order> {
    values(driver, ORDERS)
}

fn states(driver: &mut TestDriver) -> Vec<OrderState> {
    verdicts(driver)
        .into_iter()
        .map(|order| order.state)
        .collect()
}

/// ValidationsAggregatorServiceTest: with the two orders placed, the topic then holds four records.
#[test]
fn three_passes_validate_an_order_and_one_failure_fails_it() {
    let mut driver = service();
    let first = order(0, 0, Underpants, 3, 5.0);
    let second = order(1, 0, Jumpers, 1, 75.0);
    place(&mut driver, &first, 1);
    place(&mut driver, &second, 2);
    for (id, check, passed) in [
        (0, FraudCheck, true),
        (0, OrderDetailsCheck, true),
        (0, InventoryCheck, true),
        (1, FraudCheck, true),
        (1, OrderDetailsCheck, false),
        (1, InventoryCheck, true),
    ] {
        tell(&mut driver, answer(id, check, passed));
    }
    let expected = [first.with_state(Validated), second.with_state(Failed)];
    assert_eq!(verdicts(&mut driver), expected);
}

#[test]
fn answers_may_come_before_their_order() {
    let mut driver = service();
    for check in [FraudCheck, OrderDetailsCheck, InventoryCheck] {
        tell(&mut driver, answer(1, check, true));
    }
    assert_eq!(states(&mut driver), []);
    place(&mut driver, &order(1, 0, Jumpers, 1, 1.0), 1);
    assert_eq!(states(&mut driver), [Validated]);
}

#[test]
fn a_check_that_answers_three_times_is_one_check() {
    let mut driver = service();
    place(&mut driver, &order(1, 0, Jumpers, 1, 1.0), 1);
    for _ in 0..3 {
        tell(&mut driver, answer(1, FraudCheck, true));
    }
    tell(&mut driver, error(1, InventoryCheck));
    tell(&mut driver, answer(1, InventoryCheck, true));
    assert_eq!(states(&mut driver), []);
    tell(&mut driver, answer(1, OrderDetailsCheck, true));
    assert_eq!(states(&mut driver), [Validated]);
}

/// Fault 10: in the original an order whose checks do not all answer stays CREATED for ever.
#[test]
fn an_order_without_all_answers_fails_when_its_time_is_up() {
    let mut driver = service();
    let order = order(1, 0, Jumpers, 1, 1.0);
    place(&mut driver, &order, 1);
    tell(&mut driver, answer(1, FraudCheck, true));
    driver.advance_wall_clock(TIMEOUT_MS - 1).unwrap();
    assert_eq!(states(&mut driver), []);
    driver.advance_wall_clock(1).unwrap();
    assert_eq!(verdicts(&mut driver), [order.with_state(Failed)]);
    // What comes late changes nothing.
    tell(&mut driver, answer(1, OrderDetailsCheck, true));
    tell(&mut driver, answer(1, InventoryCheck, true));
    driver.advance_wall_clock(TIMEOUT_MS).unwrap();
    assert_eq!(states(&mut driver), []);
}

/// Fault 8: `orders` has two writers by design: the Orders service places an order, the aggregator adds one verdict, the first.
#[test]
fn an_order_gets_one_verdict_and_its_own_does_not_lead_to_another() {
    let mut driver = service();
    let order = order(1, 0, Jumpers, 1, 1.0);
    place(&mut driver, &order, 1);
    tell(&mut driver, answer(1, FraudCheck, false));
    tell(&mut driver, answer(1, InventoryCheck, false));
    assert_eq!(states(&mut driver), [Failed]);
    // The verdict comes back by the topic, and the order comes a second time.
    place(&mut driver, &order.clone().with_state(Failed), 2);
    place(&mut driver, &order, 3);
    for check in [FraudCheck, OrderDetailsCheck, InventoryCheck] {
        tell(&mut driver, answer(1, check, true));
    }
    driver.advance_wall_clock(TIMEOUT_MS).unwrap();
    assert_eq!(states(&mut driver), []);
}

#[test]
fn an_order_that_others_have_decided_is_left_alone() {
    for state in [Validated, Failed, Shipped] {
        let mut driver = service();
        place(
            &mut driver,
            &order(1, 0, Jumpers, 1, 1.0).with_state(state),
            1,
        );
        for check in [FraudCheck, OrderDetailsCheck, InventoryCheck] {
            tell(&mut driver, answer(1, check, true));
        }
        driver.advance_wall_clock(TIMEOUT_MS).unwrap();
        assert_eq!(states(&mut driver), []);
    }
}

#[test]
fn nothing_is_kept_of_an_order_a_day_after_its_verdict() {
    let mut driver = service();
    place(&mut driver, &order(1, 0, Jumpers, 1, 1.0), 1);
    tell(&mut driver, answer(1, FraudCheck, false));
    // Answers to an order that never came.
    tell(&mut driver, answer(2, FraudCheck, true));
    driver.advance_wall_clock(DAY_MS).unwrap();
    for store in ["order-progress", "order-timers"] {
        assert_eq!(driver.entries_raw(store).unwrap(), []);
    }
    assert_eq!(states(&mut driver), [Failed]);
}

/// Fault 6: a deleted order is forgotten, and does not come back with a verdict.
#[test]
fn a_tombstone_forgets_the_order() {
    let mut driver = service();
    delete(&mut driver, "1", 1);
    place(&mut driver, &order(1, 0, Jumpers, 1, 1.0), 2);
    delete(&mut driver, "1", 3);
    driver.advance_wall_clock(TIMEOUT_MS).unwrap();
    assert_eq!(states(&mut driver), []);
    assert_eq!(driver.entries_raw("order-timers").unwrap(), []);
}
