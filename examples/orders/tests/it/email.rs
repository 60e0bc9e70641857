//! The email service: the Java test with its data, payments that come early or late, and the levels' topics.
//! Invariant: one mail for each payment of an order.

use crate::samples::{delete, order, place, values};
use headwater::TestDriver;
use orders::email::{Email, email_service};
use orders::model::OrderState::Validated;
use orders::model::Product::Underpants;
use orders::model::{Customer, OrderEnriched, Payment};
use orders::topics::{CUSTOMERS, ORDERS_ENRICHED, PAYMENTS};
use std::sync::{Arc, Mutex};

type Sent = Arc<Mutex<Vec<Email>>>;

fn service() -> (TestDriver, Sent) {
    let sent = Sent::default();
    let outbox = sent.clone();
    let topology = email_service(move |email| outbox.lock().unwrap().push(email.clone()));
    (TestDriver::new(topology.unwrap()).unwrap(), sent)
}

fn kafka(level: &str) -> Customer {
    Customer {
        id: 15,
        first_name: "Franz".into(),
        last_name: "Kafka".into(),
        email: "frans@thedarkside.net".into(),
        address: "oppression street, prague, cze".into(),
        level: level.into(),
    }
}

fn payment() -> Payment {
    Payment {
        id: "Payment:1234".into(),
        order_id: "0".into(),
        ccy: "CZK".into(),
        amount: 1000.0,
    }
}

fn meet(driver: &mut TestDriver, customer: Customer) {
    driver.pipe(CUSTOMERS, customer.id, customer, 0).unwrap();
}

fn pay(driver: &mut TestDriver, payment: Payment, timestamp: i64) {
    let key = payment.id.clone();
    driver.pipe(PAYMENTS, key, payment, timestamp).unwrap();
}

/// EmailServiceTest.
#[test]
fn a_mail_holds_the_order_its_payment_and_the_customer() {
    let (mut driver, sent) = service();
    let order = order(0, 15, Underpants, 3, 5.0);
    meet(&mut driver, kafka("gold"));
    place(&mut driver, &order, 1);
    pay(&mut driver, payment(), 2);
    // The verdict is no second order.
    place(&mut driver, &order.clone().with_state(Validated), 3);
    let (payment, customer) = (payment(), kafka("gold"));
    let expected = Email {
        order,
        payment,
        customer,
    };
    assert_eq!(*sent.lock().unwrap(), [expected]);
}

#[test]
fn a_payment_may_come_a_minute_before_or_after_its_order_and_no_more() {
    for (paid, mails) in [(0, 1), (120_000, 1), (120_001, 0)] {
        let (mut driver, sent) = service();
        meet(&mut driver, kafka("gold"));
        if paid < 60_000 {
            pay(&mut driver, payment(), paid);
        }
        place(&mut driver, &order(0, 15, Underpants, 3, 5.0), 60_000);
        if paid >= 60_000 {
            pay(&mut driver, payment(), paid);
        }
        assert_eq!(sent.lock().unwrap().len(), mails, "paid at {paid}");
    }
}

#[test]
fn orders_go_to_the_topic_of_their_customers_level() {
    let (mut driver, _) = service();
    for (level, topic) in [
        ("gold", "gold"),
        ("silver", "silver"),
        ("tin", ORDERS_ENRICHED),
    ] {
        meet(&mut driver, kafka(level));
        place(&mut driver, &order(0, 15, Underpants, 3, 5.0), 1);
        let expected = OrderEnriched {
            id: "0".into(),
            customer_id: 15,
            customer_level: level.into(),
        };
        assert_eq!(values::<OrderEnriched>(&mut driver, topic), [expected]);
    }
}

#[test]
fn an_unknown_customer_and_a_tombstone_stop_nothing() {
    let (mut driver, sent) = service();
    delete(&mut driver, "0", 1);
    place(&mut driver, &order(0, 15, Underpants, 3, 5.0), 2);
    pay(&mut driver, payment(), 3);
    assert!(sent.lock().unwrap().is_empty());
}
