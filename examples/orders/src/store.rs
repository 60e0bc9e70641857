//! What the REST interface asks of the Orders service's tables, on whichever instance the key is. Not the tables.
//! Invariant: an order that was acknowledged before this instance started is found by it; all waits have a deadline.

use crate::model::{Order, Product};
use crate::producer::Written;
use crate::topics::ORDERS;
use crate::view::{FIRST_ORDERS, ORDERS_STORE, SOLD, STOCK};
use headwater::log::Log;
use headwater::query::{Queries, Read, Table, Token};
use serde::Serialize;
use std::time::Duration;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The deadline passed before what was waited for, or before the key's partition was ready.
    TimedOut,
    /// Too many wait.
    Busy,
    /// The question makes no sense, in words.
    Refused(String),
    /// The store failed, or the instance that has the key cannot be asked.
    Failed(String),
}

impl From<headwater::query::Error> for Error {
    fn from(error: headwater::query::Error) -> Self {
        use headwater::query::Error as Reason;
        match error {
            Reason::TimedOut(_) | Reason::NotReady(_) => Self::TimedOut,
            Reason::Overloaded(_) => Self::Busy,
            Reason::Refused(why) => Self::Refused(why),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// A product's pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stock {
    /// The product.
    pub product: Product,
    /// Pieces in the warehouse; `None` where it was never counted.
    pub quantity: Option<i32>,
    /// Pieces of validated orders.
    pub sold: i64,
}

/// The tables.
pub struct Store {
    queries: Queries,
    orders: Table<String, Order>,
    first: Table<String, Order>,
    stock: Table<Product, i32>,
    sold: Table<String, i64>,
    /// What the topic held when this instance started.
    floor: Token,
}

impl Store {
    /// Asks the Orders service through `queries`; `log` is where it runs.
    pub fn new(queries: Queries, log: &dyn Log) -> headwater::Result<Self> {
        let failed = |error: headwater::query::Error| headwater::Error::System(error.to_string());
        Ok(Self {
            orders: queries.store(ORDERS_STORE).map_err(failed)?,
            first: queries.store(FIRST_ORDERS).map_err(failed)?,
            stock: queries.store(STOCK).map_err(failed)?,
            sold: queries.store(SOLD).map_err(failed)?,
            queries,
            floor: headwater::end_offsets(log, ORDERS)?.into_iter().collect(),
        })
    }

    /// The order, if it was placed before this instance started, or is visible already.
    pub async fn get(&self, id: &str, patience: Duration) -> Result<Option<Order>, Error> {
        let read = Read::new().within(patience).after(self.floor.clone());
        Ok(self.orders.get(&id.to_owned(), read).await?)
    }

    /// Waits until the order is there and `is_it` says so of it, and until everything that `after` names is visible.
    pub async fn wait_for(
        &self,
        id: &str,
        after: Option<Token>,
        is_it: impl Fn(&Order) -> bool,
        patience: Duration,
    ) -> Result<Order, Error> {
        let mut read = Read::new().within(patience);
        if let Some(token) = after {
            read = read.after(token);
        }
        let is_it = |order: Option<&Order>| order.is_some_and(&is_it);
        let found = self.orders.wait_for(&id.to_owned(), is_it, read).await?;
        found.ok_or(Error::TimedOut)
    }

    /// The order that `id` stands for, once the request that was `written` is decided.
    pub async fn first(
        &self,
        id: &str,
        written: &Written,
        patience: Duration,
    ) -> Result<Order, Error> {
        let read = Read::new().within(patience).after(written.token());
        let first = self.first.get(&id.to_owned(), read).await?;
        first.ok_or_else(|| Error::Failed("the request was not taken".into()))
    }

    /// All products' pieces, once everything that `after` names is among them.
    pub async fn stock(
        &self,
        after: Option<Token>,
        patience: Duration,
    ) -> Result<Vec<Stock>, Error> {
        let mut stock = Vec::new();
        for product in Product::ALL {
            let mut read = Read::new().within(patience);
            if let Some(token) = &after {
                read = read.after(token.clone());
            }
            let name = product.name().to_owned();
            let sold = self.sold.get(&name, read.clone()).await?;
            stock.push(Stock {
                product,
                quantity: self.stock.get(&product, read).await?,
                sold: sold.unwrap_or(0),
            });
        }
        Ok(stock)
    }

    /// Reads of any instance that wait for an event here; not what follows the tables for browsers.
    pub fn waiting(&self) -> usize {
        let waiters = self.queries.state().watches().waiters();
        waiters.saturating_sub(self.queries.followed())
    }
}
