//! The fraud service: the Java test with its data, sessions, and faults 6 and 9 of the original.
//! Invariant: the limit is 2000 in a session of one hour, whatever the original's comments say.

use crate::samples::{answer, answers, delete, order, place};
use headwater::TestDriver;
use orders::fraud::fraud_service;
use orders::model::OrderState::Failed;
use orders::model::OrderValidationType::FraudCheck;
use orders::model::Product::{Jumpers, Underpants};

const HOUR_MS: i64 = 3_600_000;

fn service() -> TestDriver {
    TestDriver::new(fraud_service().unwrap()).unwrap()
}

/// FraudServiceTest.
#[test]
fn orders_above_the_limit_within_a_session_fail() {
    let mut driver = service();
    let orders = [
        (order(0, 0, Underpants, 3, 5.0), true),
        (order(1, 0, Jumpers, 1, 75.0), true),
        (order(2, 1, Jumpers, 1, 75.0), true),
        (order(3, 1, Jumpers, 1, 75.0), true),
        (order(4, 1, Jumpers, 50, 75.0), false), // Over the limit by itself.
        (order(5, 2, Underpants, 10, 100.0), true),
        (order(6, 2, Underpants, 10, 100.0), false), // The customer's total reaches the limit.
        (order(7, 2, Underpants, 1, 5.0), false),    // And is still over it.
    ];
    let mut expected = Vec::new();
    for (at, (order, passes)) in orders.iter().enumerate() {
        place(&mut driver, order, 1_000 + at as i64);
        expected.push(answer(at as u32, FraudCheck, *passes));
    }
    assert_eq!(answers(&mut driver), expected);
}

#[test]
fn an_hour_without_orders_begins_a_new_session() {
    let mut driver = service();
    place(&mut driver, &order(1, 7, Jumpers, 1, 1999.0), 0);
    place(&mut driver, &order(2, 7, Jumpers, 1, 1.0), HOUR_MS);
    place(
        &mut driver,
        &order(3, 7, Jumpers, 1, 1999.0),
        2 * HOUR_MS + 1,
    );
    let expected = [(1, true), (2, false), (3, true)];
    let expected = expected.map(|(id, passed)| answer(id, FraudCheck, passed));
    assert_eq!(answers(&mut driver), expected);
}

/// Fault 9: the original says "5000 in 5 minutes" and means 2000 in an hour; what failed counts, since it was tried.
#[test]
fn orders_that_failed_count_and_their_verdicts_do_not_count_again() {
    let mut driver = service();
    let large = order(1, 7, Jumpers, 1, 1500.0);
    place(&mut driver, &large, 1_000);
    place(&mut driver, &large.with_state(Failed), 1_001);
    place(&mut driver, &order(2, 7, Jumpers, 1, 499.0), 400_000);
    place(&mut driver, &order(3, 7, Jumpers, 1, 1.0), 800_000);
    let expected = [(1, true), (2, true), (3, false)];
    let expected = expected.map(|(id, passed)| answer(id, FraudCheck, passed));
    assert_eq!(answers(&mut driver), expected);
}

#[test]
fn a_tombstone_stops_nothing() {
    let mut driver = service();
    delete(&mut driver, "1", 1);
    place(&mut driver, &order(2, 1, Jumpers, 1, 1.0), 2);
    assert_eq!(answers(&mut driver), [answer(2, FraudCheck, true)]);
}
