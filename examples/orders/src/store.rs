//! What the REST interface asks of the Orders service's tables, of this instance. Not routing: keys of other instances are not here.
//! Invariant: who waits is told of every commit after the one it has seen, so that no wake-up is lost; all waits have a deadline.

use crate::feed::Feed;
use crate::model::{Order, Product};
use crate::producer::Written;
use crate::view::{ORDERS_STORE, SOLD, STOCK};
use headwater::{Running, View};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The deadline passed before what was waited for.
    TimedOut,
    /// The service has stopped, or its store failed.
    Failed(String),
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
    running: Arc<Running>,
    feed: Arc<Feed>,
    orders: View<String, Order>,
    stock: View<Product, i32>,
    sold: View<String, i64>,
}

impl Store {
    /// Over a running Orders service whose listener is `feed`.
    pub fn new(running: Arc<Running>, feed: Arc<Feed>) -> headwater::Result<Self> {
        Ok(Self {
            orders: running.view(ORDERS_STORE)?,
            stock: running.view(STOCK)?,
            sold: running.view(SOLD)?,
            running,
            feed,
        })
    }

    /// The order, if it is there.
    pub fn get(&self, id: &str) -> Result<Option<Order>, Error> {
        self.orders.get(&id.to_owned()).map_err(failed)
    }

    /// Waits until the order is there and `is_it` says so of it, and until everything before `after` is visible.
    pub async fn wait_for(
        &self,
        id: &str,
        after: Option<&Written>,
        is_it: impl Fn(&Order) -> bool,
        patience: Duration,
    ) -> Result<Order, Error> {
        let look = || {
            if after.is_some_and(|written| !self.has_seen(written)) {
                return Ok(None);
            }
            Ok(self.get(id)?.filter(&is_it))
        };
        self.until(look, patience).await
    }

    /// Waits until everything before `written` is visible.
    pub async fn reached(&self, written: &Written, patience: Duration) -> Result<(), Error> {
        let look = || Ok(self.has_seen(written).then_some(()));
        self.until(look, patience).await
    }

    /// All products' pieces.
    pub fn stock(&self) -> Result<Vec<Stock>, Error> {
        let stock = Product::ALL.iter().map(|product| {
            let sold = self.sold.get(&product.name().to_owned()).map_err(failed)?;
            Ok(Stock {
                product: *product,
                quantity: self.stock.get(product).map_err(failed)?,
                sold: sold.unwrap_or(0),
            })
        });
        stock.collect()
    }

    fn has_seen(&self, written: &Written) -> bool {
        let positions = self.running.positions();
        let found = positions.iter().find(|(at, _)| *at == written.at);
        found.is_some_and(|(_, next)| *next >= written.end)
    }

    async fn until<T>(
        &self,
        look: impl Fn() -> Result<Option<T>, Error>,
        patience: Duration,
    ) -> Result<T, Error> {
        let mut commits = self.feed.commits();
        let awaited = async {
            loop {
                // Marked first, looked at second: a commit in between wakes at once.
                commits.borrow_and_update();
                if let Some(found) = look()? {
                    return Ok(found);
                }
                if self.running.failed() || commits.changed().await.is_err() {
                    return Err(Error::Failed("the Orders service has stopped".into()));
                }
            }
        };
        let waited = tokio::time::timeout(patience, awaited).await;
        waited.unwrap_or(Err(Error::TimedOut))
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}
