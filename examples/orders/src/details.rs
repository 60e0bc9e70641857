//! The order details service: an order fails when it makes no sense. Stateless; not a check of stock or customer.
//! Invariant: the position commits past every order, checked or not, in the same commit as the answers.

use crate::model::{Order, OrderValidation, OrderValidationType};
use crate::topics;
use headwater::prelude::*;

/// The `application.id`.
pub const APPLICATION: &str = "OrderDetailsService";

/// Orders in, an answer for each new one out.
pub fn order_details_service() -> Result<Topology> {
    let app = App::new(APPLICATION);
    topics::created(app.stream(topics::orders()))
        .map_values(|order| {
            let passed = makes_sense(&order);
            OrderValidation::new(order.id, OrderValidationType::OrderDetailsCheck, passed)
        })
        .values(OrderValidation::format())
        .to(topics::ORDER_VALIDATIONS);
    app.build()
}

fn makes_sense(order: &Order) -> bool {
    order.quantity >= 0 && order.price >= 0.0 && order.product.is_some()
}
