//! The Orders service's own tables, derived from the topics: the orders to ask for, which order an id stands for, and the stock with
//! what was sold of it. Not the REST interface over them. Invariant: they hold what the topics hold; nothing writes them but the topics.

use crate::model::{Checks, Order, OrderState};
use crate::topics;
use headwater::prelude::*;

/// The `application.id`.
pub const APPLICATION: &str = "OrdersService";
/// Every order, by id.
pub const ORDERS_STORE: &str = "orders-store";
/// The first order that was asked for under each id.
pub const FIRST_ORDERS: &str = "first-orders";
/// Pieces in the warehouse, by product.
pub const STOCK: &str = "stock";
/// Pieces of validated orders, by the product's name.
pub const SOLD: &str = "sold-by-product";

/// What the checks have answered, by order.
pub const CHECKS_STORE: &str = "checks-by-order";

/// Orders, requests for some, answers of the checks and stock in, new orders out.
pub fn orders_service() -> Result<Topology> {
    let app = App::new(APPLICATION);
    let orders = app.table_in(topics::orders(), ORDERS_STORE);
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
    app.stream(topics::order_validations())
        .group_by_key()
        .aggregate(
            Checks::default,
            |_, answer, checks| checks.with(answer),
            CHECKS_STORE,
        );
    // By partition, as the orders: an instance asks the one that has the product.
    app.table_in(topics::warehouse_inventory(), STOCK);
    let first = app.store::<String, Order>(FIRST_ORDERS);
    app.stream(topics::order_requests())
        .process_values(first, move || Admit { first })
        .default_formats()
        .to(topics::ORDERS);
    app.build()
}

/// Lets the first order of an id pass. All requests of an id meet in one partition, whichever instances were asked, so that the log
/// decides which one is the first, and one commit covers the decision and the order.
struct Admit {
    first: StoreHandle<String, Order>,
}

impl FixedKeyProcessor for Admit {
    type Key = String;
    type ValueIn = Order;
    type ValueOut = Order;

    fn process(
        &mut self,
        record: FixedKeyRecord<String, Order>,
        ctx: &mut FixedKeyContext<'_, '_, '_, String, Order>,
    ) -> ProcessorResult<()> {
        let Some(order) = &record.value else {
            return Ok(());
        };
        if ctx.store(self.first)?.get(record.key())?.is_some() {
            return Ok(());
        }
        ctx.store(self.first)?.put(record.key(), order)?;
        ctx.forward(record)
    }
}
