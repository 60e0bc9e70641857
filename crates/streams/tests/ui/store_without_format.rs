//! Rows of the application's type in a store by name alone.
use headwater_streams::App;

#[derive(Clone, Default)]
struct Totals {
    sum: u64,
}

fn main() {
    let app = App::new("app");
    let orders = app.stream::<String, u64>("orders");
    orders.group_by_key().aggregate(Totals::default, |_, price, totals| Totals { sum: totals.sum + price }, "totals");
}
