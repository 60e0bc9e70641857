//! The inventory service: an order passes when the warehouse has what earlier orders have left of it. Not the warehouse.
//! Invariant: an order holds its pieces at most once, and gives them back when it fails for whatever reason.

use crate::model::{Order, OrderState, OrderValidation, OrderValidationType, Product};
use crate::topics;
use headwater::json;
use headwater::prelude::*;
use serde::{Deserialize, Serialize};

/// The `application.id`.
pub const APPLICATION: &str = "InventoryService";
/// Pieces that orders hold or have bought, by product.
pub const RESERVED_STOCK: &str = "store-of-reserved-stock";
/// What each undecided order holds.
const RESERVATIONS: &str = "reservations";

/// Pieces that an order holds until it is decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reservation {
    product: Product,
    quantity: i64,
}

impl Data for Reservation {
    fn format() -> FormatOf<Self> {
        json()
    }
}

/// Orders and stock in, an answer for each new order out.
pub fn inventory_service() -> Result<Topology> {
    let app = App::new(APPLICATION);
    let orders = app.stream(topics::orders());
    let stock = app.table(topics::warehouse_inventory());
    let reserved = app.store::<Product, i64>(RESERVED_STOCK);
    let reservations = app.store::<String, Reservation>(RESERVATIONS);
    // All orders of a product meet in its partition, so that no two of them take the same piece. A product that the warehouse
    // has never counted has no pieces: such an order fails, it does not wait for ever.
    orders
        .flat_map(|_, order| order.product.map(|product| (product, order)))
        .left_join(stock, |order, pieces| {
            (order.clone(), pieces.copied().unwrap_or(0))
        })
        .process((reserved, reservations), move || Reserve {
            reserved,
            reservations,
        })
        .default_formats()
        .to(topics::ORDER_VALIDATIONS);
    topics::created(orders)
        .filter(|_, order| order.product.is_none())
        .map_values(|order| answer(&order, false))
        .to(topics::ORDER_VALIDATIONS);
    app.build()
}

fn answer(order: &Order, passed: bool) -> OrderValidation {
    OrderValidation::new(&order.id, OrderValidationType::InventoryCheck, passed)
}

struct Reserve {
    reserved: StoreHandle<Product, i64>,
    reservations: StoreHandle<String, Reservation>,
}

type Context<'a, 'c> = ProcessorContext<'a, 'c, String, OrderValidation>;

impl Processor for Reserve {
    type KeyIn = Product;
    type ValueIn = (Order, i32);
    type KeyOut = String;
    type ValueOut = OrderValidation;

    fn process(
        &mut self,
        mut record: Record<Product, (Order, i32)>,
        ctx: &mut Context<'_, '_>,
    ) -> ProcessorResult<()> {
        let Some((order, pieces)) = record.value.take() else {
            return Ok(());
        };
        let product = record.key;
        match order.state {
            OrderState::Created => {
                let passed = self.reserve(product, &order, pieces, ctx)?;
                let answer = answer(&order, passed);
                ctx.forward(record.with(order.id, Some(answer)))
            }
            OrderState::Failed => self.release(&order, ctx),
            // What was bought stays taken off the stock; nothing is left to give back.
            OrderState::Validated | OrderState::Shipped => {
                ctx.store(self.reservations)?.delete(&order.id)
            }
        }
    }
}

impl Reserve {
    /// Takes the pieces if there are enough; answers whether the order has them.
    fn reserve(
        &self,
        product: Product,
        order: &Order,
        pieces: i32,
        ctx: &mut Context<'_, '_>,
    ) -> ProcessorResult<bool> {
        if ctx.store(self.reservations)?.get(&order.id)?.is_some() {
            return Ok(true);
        }
        let quantity = i64::from(order.quantity);
        let reserved = ctx.store(self.reserved)?.get(&product)?.unwrap_or(0);
        if quantity < 0 || i64::from(pieces) - reserved - quantity < 0 {
            return Ok(false);
        }
        ctx.store(self.reserved)?
            .put(&product, &(reserved + quantity))?;
        let reservation = Reservation { product, quantity };
        ctx.store(self.reservations)?.put(&order.id, &reservation)?;
        Ok(true)
    }

    /// Gives back what the order holds, if it holds anything.
    fn release(&self, order: &Order, ctx: &mut Context<'_, '_>) -> ProcessorResult<()> {
        let Some(held) = ctx.store(self.reservations)?.get(&order.id)? else {
            return Ok(());
        };
        ctx.store(self.reservations)?.delete(&order.id)?;
        let reserved = ctx.store(self.reserved)?.get(&held.product)?.unwrap_or(0);
        ctx.store(self.reserved)?
            .put(&held.product, &(reserved - held.quantity))
    }
}
