//! A stream joined with a table that has keys of another type.
use headwater_streams::App;

fn main() {
    let app = App::new("app");
    let prices = app.table::<u64, u64>("prices");
    let orders = app.stream::<String, String>("orders");
    orders.join(prices, |order, price| format!("{order} {price}")).to("priced");
}
