//! The Orders service's own tables, derived from the topics: the orders to ask for, and the stock with what was sold of it.
//! Not the REST interface over them. Invariant: they hold what the topics hold; nothing writes them but the topics.

use crate::feed::Feed;
use crate::model::OrderState;
use crate::topics;
use headwater::prelude::*;
use std::sync::Arc;

/// The `application.id`.
pub const APPLICATION: &str = "OrdersService";
/// Every order, by id.
pub const ORDERS_STORE: &str = "orders-store";
/// Pieces in the warehouse, by product.
pub const STOCK: &str = "stock";
/// Pieces of validated orders, by the product's name.
pub const SOLD: &str = "sold-by-product";

/// Orders, answers of the checks and stock in; `feed` is told what changes.
pub fn orders_service(feed: &Arc<Feed>) -> Result<Topology> {
    let app = App::new(APPLICATION);
    let orders = app.table_in(topics::orders(), ORDERS_STORE);
    let changed = feed.clone();
    orders
        .to_stream()
        .for_each(move |_, order| changed.order(order));
    orders
        .filter(|_, order| order.state == OrderState::Validated && order.product.is_some())
        .group_by(|_, order| {
            let product = order.product.map_or("", |product| product.name());
            (product.to_owned(), i64::from(order.quantity))
        })
        .aggregate(
            || 0_i64,
            |_, quantity, sold| sold + quantity,
            |_, quantity, sold| sold - quantity,
            SOLD,
        );
    let answered = feed.clone();
    app.stream(topics::order_validations())
        .for_each(move |_, answer| answered.answer(answer));
    // By partition, as the orders: an instance asks the one that has the product.
    app.table_in(topics::warehouse_inventory(), STOCK);
    app.build()
}
