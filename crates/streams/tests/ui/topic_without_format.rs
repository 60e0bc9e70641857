//! A type of the application read from a topic by name alone.
use headwater_streams::App;

#[derive(Clone)]
struct Order;

fn main() {
    let app = App::new("app");
    let _orders = app.stream::<String, Order>("orders");
}
