//! Orders and answers in one line each, and what drivers have written. Not a test.
//! Invariant: ids, amounts and states are those of the Java tests where a test is ported from there.

use headwater::{Data, TestDriver};
use orders::model::{
    Order, OrderState, OrderValidation, OrderValidationResult, OrderValidationType, Product,
};
use orders::topics::{ORDER_VALIDATIONS, ORDERS};

/// A new order; its id is the number, in text.
pub(crate) fn order(id: u32, customer: i64, product: Product, quantity: i32, price: f64) -> Order {
    Order {
        id: id.to_string(),
        customer_id: customer,
        state: OrderState::Created,
        product: Some(product),
        quantity,
        price,
    }
}

/// The answer to the order of this number.
pub(crate) fn answer(id: u32, check: OrderValidationType, passed: bool) -> OrderValidation {
    OrderValidation::new(id.to_string(), check, passed)
}

/// A check that could not be made.
pub(crate) fn error(id: u32, check_type: OrderValidationType) -> OrderValidation {
    OrderValidation {
        order_id: id.to_string(),
        check_type,
        validation_result: OrderValidationResult::Error,
    }
}

pub(crate) fn place(driver: &mut TestDriver, order: &Order, timestamp: i64) {
    let key = order.id.clone();
    driver.pipe(ORDERS, key, order.clone(), timestamp).unwrap();
}

/// A tombstone of topic `orders`.
pub(crate) fn delete(driver: &mut TestDriver, id: &str, timestamp: i64) {
    let record = headwater::TestRecord {
        key: Some(id.into()),
        value: None,
        timestamp,
        headers: headwater::Headers::default(),
    };
    driver.pipe_raw(ORDERS, record).unwrap();
}

/// The values written to a topic since the last call.
pub(crate) fn values<V: Data>(driver: &mut TestDriver, topic: &str) -> Vec<V> {
    let records = driver.read::<String, V>(topic).unwrap().into_iter();
    records.map(|(_, value, _)| value.unwrap()).collect()
}

/// The answers since the last call; each is under its order's id.
pub(crate) fn answers(driver: &mut TestDriver) -> Vec<OrderValidation> {
    let records = driver.read::<String, OrderValidation>(ORDER_VALIDATIONS);
    let keyed = records.unwrap().into_iter().map(|(key, value, _)| {
        let value = value.unwrap();
        assert_eq!(key, value.order_id);
        value
    });
    keyed.collect()
}
