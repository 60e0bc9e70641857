//! The fraud service: an order fails when its customer has ordered for too much in one session. Not a judgement of what became
//! of those orders: failed ones count too, since they were tried.
//! Invariant: one answer for each new order, in the order in which the customer placed them.

use crate::model::{Order, OrderValidation, OrderValidationType, OrderValue};
use crate::topics;
use headwater::prelude::*;
use std::time::Duration;

/// The `application.id`.
pub const APPLICATION: &str = "FraudService";
/// A session's orders that come to so much, or more, fail.
pub const FRAUD_LIMIT: f64 = 2000.0;
/// A session ends when its customer has not ordered for so long.
const SESSION_GAP: Duration = Duration::from_secs(3600);

/// Orders in, an answer for each new one out.
pub fn fraud_service() -> Result<Topology> {
    let app = App::new(APPLICATION);
    // Without a record cache, which would answer for the last of several orders only.
    let totals = Store::from("session-totals").without_cache();
    topics::created(app.stream(topics::orders()))
        .group_by(|_, order| order.customer_id)
        .windowed_by(SessionWindows::of(SESSION_GAP))
        .aggregate(
            OrderValue::default,
            |_, order, total| OrderValue {
                value: total.value + value(&order),
                order: Some(order),
            },
            |_, earlier, later| OrderValue {
                order: later.order,
                value: earlier.value + later.value,
            },
            totals,
        )
        .to_stream()
        // A session that grew has a new key; the deletion of the old one has no value and ends here.
        .flat_map(|_, total: OrderValue| answer(total))
        .to(topics::ORDER_VALIDATIONS);
    app.build()
}

fn value(order: &Order) -> f64 {
    f64::from(order.quantity) * order.price
}

fn answer(total: OrderValue) -> Option<(String, OrderValidation)> {
    let order = total.order?;
    let passed = total.value < FRAUD_LIMIT;
    let answer = OrderValidation::new(&order.id, OrderValidationType::FraudCheck, passed);
    Some((order.id, answer))
}
