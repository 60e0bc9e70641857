//! The shop's topics: their names, and what is read of them. Not their contents: those are `model`.
//! Invariant: topics that are joined have the same number of partitions.

use crate::model::{Customer, Order, OrderValidation, Payment};
use headwater::{BadData, Data, KStream, Topic};

/// Orders by id, of every state.
pub const ORDERS: &str = "orders";
/// Orders that clients want placed, by id: the Orders service takes the first of each id into [`ORDERS`].
pub const ORDER_REQUESTS: &str = "order-requests";
/// Enriched orders of customers whose level has no topic of its own.
pub const ORDERS_ENRICHED: &str = "orders-enriched";
/// Payments by id.
pub const PAYMENTS: &str = "payments";
/// Customers by id.
pub const CUSTOMERS: &str = "customers";
/// Answers of the checks, by order.
pub const ORDER_VALIDATIONS: &str = "order-validations";
/// Pieces in the warehouse: the product's name in UTF-8, and a big-endian 32-bit number.
pub const WAREHOUSE_INVENTORY: &str = "warehouse-inventory";
/// Records that no service could read, as they came, with headers that tell why.
pub const UNREADABLE: &str = "unreadable";
/// The customers' levels; each is a topic.
pub const LEVELS: [&str; 4] = ["bronze", "silver", "gold", "platinum"];

/// Every topic that must be there before the services start.
pub fn all() -> Vec<&'static str> {
    let mut topics = vec![
        ORDERS,
        ORDER_REQUESTS,
        ORDERS_ENRICHED,
        PAYMENTS,
        CUSTOMERS,
        ORDER_VALIDATIONS,
        WAREHOUSE_INVENTORY,
        UNREADABLE,
    ];
    topics.extend(LEVELS);
    topics
}

/// Records that cannot be read are set aside: one writer's fault stops no service.
fn read<K: Data, V: Data>(name: &str) -> Topic<K, V> {
    Topic::from(name).on_bad_data(BadData::DeadLetter(UNREADABLE.into()))
}

/// The orders, for reading.
pub fn orders() -> Topic<String, Order> {
    read(ORDERS)
}

/// The orders that clients want placed, for reading.
pub fn order_requests() -> Topic<String, Order> {
    read(ORDER_REQUESTS)
}

/// The answers of the checks, for reading.
pub fn order_validations() -> Topic<String, OrderValidation> {
    read(ORDER_VALIDATIONS)
}

/// The payments, for reading.
pub fn payments() -> Topic<String, Payment> {
    read(PAYMENTS)
}

/// The customers, for reading.
pub fn customers() -> Topic<i64, Customer> {
    read(CUSTOMERS)
}

/// The stock, for reading.
pub fn warehouse_inventory() -> Topic<crate::model::Product, i32> {
    read(WAREHOUSE_INVENTORY)
}

/// The new orders of a stream of all; neither verdicts nor tombstones.
pub fn created(orders: KStream<'_, String, Order>) -> KStream<'_, String, Order> {
    orders
        .with_nulls()
        .filter(|_, order| order.is_some_and(Order::is_created))
}
