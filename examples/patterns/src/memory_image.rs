//! A memory image: a whole topic in memory before the first request is answered. Not a cache: nothing is looked up elsewhere.
//! Invariant: who holds an image sees every row that the topic held when it was opened, and each later one soon.

use headwater::prelude::*;
use headwater::{IntoLog, View};
use std::time::Duration;

/// All rows of topic `products`, in memory, on every instance.
pub struct MemoryImage {
    running: Running,
    products: View<String, String>,
}

impl MemoryImage {
    /// Loads the topic, best a compacted one, and returns when it is there; an error after `deadline`.
    pub fn open(log: impl IntoLog, deadline: Duration) -> Result<Self> {
        let app = App::new("memory-image");
        app.global_table_in(
            "products",
            Store::<String, String>::from("products").in_memory(),
        );
        let running = headwater::start(app.build()?, log)?;
        running.caught_up(deadline)?;
        let products = running.view("products")?;
        Ok(Self { running, products })
    }

    /// A product by its number.
    pub fn get(&self, number: &str) -> Result<Option<String>> {
        Ok(self.products.get(&number.to_owned())?)
    }

    /// Ends following the topic.
    pub fn close(self, deadline: Duration) -> Result<()> {
        Ok(self.running.stop(deadline)?)
    }
}
